"""The contenders: what is measured, how each is started, and what its number contains."""

from benchmarks.contenders.table import CONTENDERS, FLOOR, OTHER, OURS, REFERENCE, Assignment, Contender, available

__all__ = ["CONTENDERS", "FLOOR", "OTHER", "OURS", "REFERENCE", "Assignment", "Contender", "available"]
