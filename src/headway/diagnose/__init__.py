"""Evidence to findings: what costs the promise its budget. One file a rule, one line a rule in `rules`."""

from headway.diagnose.ranking import explain, find, told_once
from headway.diagnose.record import read, write

__all__ = ["explain", "find", "read", "told_once", "write"]
