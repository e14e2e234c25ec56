"""The contenders: what is measured, how each is started, and what its number contains."""

from benchmarks.contenders.table import CONTENDERS, REFERENCE, Assignment, Contender, available

__all__ = ["CONTENDERS", "REFERENCE", "Assignment", "Contender", "available"]
