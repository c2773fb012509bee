"""
W3C trace context: where a request comes from, carried on to whatever it asks.

Source: https://www.w3.org/TR/trace-context/ (version 00, and what later versions may add is ignored).
"""

from __future__ import annotations

import os
import random
import re
from contextvars import ContextVar
from typing import NamedTuple

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_draw = random.SystemRandom()
_fast = random.Random(_draw.getrandbits(128))  # noqa: S311 - ids, not secrets
"""Ids must differ between processes: seeded once from the system, and again after a fork."""


class Trace(NamedTuple):
    """
    One request's place in a trace. (A tuple: a frozen dataclass takes five times as long to make.)

    Args:
        trace_id: 128 bits.
        span_id: 64 bits, this request's.
        parent_id: 64 bits, the caller's; 0 for the first.
        sampled: whether spans of it are kept.
        state: the `tracestate` header, as it came.
    """

    trace_id: int
    span_id: int
    parent_id: int
    sampled: bool
    state: str = ""

    @property
    def traceparent(self) -> str:
        """The header to send with whatever this request asks of others."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.sampled:02x}"


_current: ContextVar[Trace | None] = ContextVar("headway_trace", default=None)


def current() -> Trace | None:
    """The trace of the request that is answered now; None outside of one."""
    return _current.get()


def begin(parent: bytes | None, state: bytes | None, sample_ratio: float) -> Trace:
    """
    The trace of a request: the caller's, when it sent a valid one, else a new one.

    Args:
        parent: its `traceparent` header.
        state: its `tracestate` header; dropped with an invalid parent, as the standard says.
        sample_ratio: the share of new traces whose spans are kept. The caller's own decision is followed.
    """
    found = _PARENT.fullmatch(parent) if parent is not None and len(parent) <= 512 else None
    if found is not None and found[1] != b"ff" and not (found[1] == b"00" and found[5]):
        trace_id, parent_id = int(found[2], 16), int(found[3], 16)
        if trace_id and parent_id:
            kept = bool(int(found[4], 16) & 1)
            text = state.decode("latin-1") if state is not None else ""
            return Trace(trace_id, _fast.getrandbits(64) or 1, parent_id, kept, text)
    return Trace(_fast.getrandbits(128) or 1, _fast.getrandbits(64) or 1, 0, _fast.random() < sample_ratio)


def seed_anew() -> None:
    """In a process made by fork, which would else repeat its parent's ids."""
    _fast.seed(_draw.getrandbits(128))


os.register_at_fork(after_in_child=seed_anew)
