"""
Debounce and rate limits across processes.

    debounce = Debounce("redis://localhost", "reindex", window_s=2)
    if await debounce.fires("shop-5"):  # skipped when it fired less than 2 s ago, in any process
        ...

Rate limits are in headway.runtime.debounce.limiter, which needs the extra `limits`.
"""

from headway.runtime.debounce.debouncer import Debounce, SyncDebounce
from headway.runtime.debounce.plan import Answer, Edge, Plan

__all__ = ["Answer", "Debounce", "Edge", "Plan", "SyncDebounce"]
