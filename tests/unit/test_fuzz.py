"""The fuzzer of scripts/fuzz.py finds nothing in four seconds, and would find what it looks for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fuzz import Fault, fuzz, fuzz_real

from headway.load import connection
from headway.load.heads import Heads
from headway.load.lanes import Lane


def test_arbitrary_answers_end_each_request_once() -> None:
    """Whatever bytes come, cut anywhere: no crash, no hang, and each request ends exactly once, good or failed."""
    counts = asyncio.run(fuzz(4, 0))
    found = counts["connection"]
    assert found["conversations"] > 50
    assert found["good"] > 50
    assert found["failed"] > 50
    assert counts["handshake"]["failed"] == counts["handshake"]["conversations"] > 0
    assert counts["http2"]["good"] > 50 < counts["http2"]["failed"]


def test_arbitrary_answers_over_sockets_end_each_request_once() -> None:
    """With an engine, its dialer and a server: what was planned is good or failed, and the end comes in time."""
    counts = asyncio.run(fuzz_real(1.5, 0))
    for found in counts.values():
        assert found["failed"] > 20
    assert sum(found["good"] for found in counts.values()) > 5


def test_a_wrong_memory_of_heads_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that took a known head's length on trust, off by one, does not pass."""

    def learn(self: Heads, answer: bytes, status: int) -> None:
        self.known[answer[: answer.find(b"\r\n\r\n")]] = (len(answer) - 1, status)

    monkeypatch.setattr(Heads, "learn", learn)
    with pytest.raises(Fault, match="with memory"):
        asyncio.run(fuzz(4, 0))


def test_a_request_that_ends_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that tells of its failure and then of an answer does not pass."""
    once = connection.Connection.fail

    def twice(self: connection.Connection, *told: Any) -> None:
        once(self, *told)
        once(self, *told)

    monkeypatch.setattr(connection.Connection, "fail", twice)
    with pytest.raises(Fault, match="ends"):
        asyncio.run(fuzz(4, 0))


def test_an_http2_request_that_never_ends_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane that keeps its failure to itself does not pass."""
    monkeypatch.setattr(Lane, "ended", lambda _lane, _kind, _message: None)
    with pytest.raises(Fault, match="ends"):
        asyncio.run(fuzz(4, 0))
