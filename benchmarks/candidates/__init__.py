"""Candidates: what was tried for the engine, each by itself on the pixels of :mod:`benchmarks.archives`.

``python -m benchmarks.candidates`` prints a table a question; what the answers led to stands in docs/performance.md.
"""
