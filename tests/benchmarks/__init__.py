"""Tests of the benchmarks, in their own environment (`make bench-smoke`): tiny archives, no timed assertions."""
