"""Every way a service can answer or fail to, over real sockets: counted once, and as what it was."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any

import pytest
import uvloop

from headway.load.closed import ClosedEngine
from headway.load.dial import Dialer
from headway.load.open import OpenEngine
from headway.load.pacer import Pacer
from headway.load.plain import Poller
from headway.load.recorder import Recorder
from headway.load.scenario import split_url
from headway.load.starts import Shot, Starts
from headway.model import FailureKind, LoadModel, Phase, Wire
from load_target import OK, Answer, says, target

RATE_PER_S = 100
SECONDS = 0.25
PLANNED = 25


@dataclass
class Tally:
    """What an engine counted in one short run."""

    planned: int
    sent: int
    good: int
    failures: Counter[str]
    statuses: Counter[int]
    errors: list[str]
    seconds: float


async def driven(
    url: str, *, model: LoadModel, method: str, good: tuple[int, ...], timeout_s: float, most: int
) -> Tally:
    recorder = Recorder(1)
    poller = Poller(asyncio.get_running_loop())
    request = f"{method} / HTTP/1.1\r\nhost: x\r\n\r\n".encode()
    host, port, _ = split_url(url)
    shot = Shot(render=lambda: request, good=frozenset(good), head_only=method == "HEAD")
    shared: Any = {
        "dialer": Dialer((host, port), timeout_s, poller), "poller": poller, "recorder": recorder,
        "starts": Starts(shots=[shot], draw=lambda: [0] * 64), "timeout_ns": int(timeout_s * 1e9),
        "wire": Wire(max_body_bytes=1 << 20),
    }  # fmt: skip
    began_ns = monotonic_ns()
    phase = Phase(name="p", model=LoadModel.OPEN, rate_per_s=RATE_PER_S, duration_s=1, warmup_s=0)
    front, back = (Pacer(phase, worker=0, workers=1, end_ns=int(SECONDS * 1e9)) for _ in range(2))
    engine: OpenEngine | ClosedEngine = (
        OpenEngine(front=front, back=back, began_ns=began_ns, most=most, **shared)
        if model is LoadModel.OPEN
        else ClosedEngine(users=most, began_ns=began_ns, **shared)
    )
    engine.measure_from_ns, engine.measure_to_ns = began_ns, began_ns + int(SECONDS * 1e9)
    engine.begin()
    await asyncio.sleep(SECONDS)
    engine.wake()
    engine.stop_sending(forget_backlog=False)
    async with asyncio.timeout(10):
        while not engine.quiet:  # noqa: ASYNC110 - as the worker does
            await asyncio.sleep(0.01)
    engine.abandon()
    poller.close()
    second = recorder.flush(0, monotonic_ns(), connections=0, backlog=0)
    kinds: Counter[str] = Counter()
    for _, kind, n in second.failures:
        kinds[FailureKind[kind].value] += n
    return Tally(
        planned=second.planned, sent=second.sent, good=second.good, failures=kinds, statuses=Counter(second.statuses),
        errors=second.errors, seconds=(monotonic_ns() - began_ns) / 1e9,
    )  # fmt: skip


def run(
    url: str, *, model: LoadModel = LoadModel.OPEN, method: str = "GET", good: tuple[int, ...] = (),
    timeout_s: float = 0.3, most: int = 64,
) -> Tally:  # fmt: skip
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(driven(url, model=model, method=method, good=good, timeout_s=timeout_s, most=most))


async def endless(_head: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def dribbles(_head: bytes, writer: asyncio.StreamWriter) -> None:
    for each in b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok":
        writer.write(bytes([each]))
        await writer.drain()
        await asyncio.sleep(0.001)


GOOD: dict[str, tuple[Answer, str, tuple[int, ...]]] = {
    "content-length": (says(OK), "GET", ()),
    "chunked": (says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), "GET", ()),
    "chunked with trailers": (
        says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: 1\r\n\r\n"), "GET", ()),
    "closes after each answer": (
        says(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok", then="close"), "GET", ()),
    "ends with the connection": (says(b"HTTP/1.1 200 OK\r\n\r\nok", then="close"), "GET", ()),
    "http/1.0": (says(b"HTTP/1.0 200 OK\r\n\r\nok", then="close"), "GET", ()),
    "early hints first": (says(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + OK), "GET", ()),
    "continue first": (says(b"HTTP/1.1 100 Continue\r\n\r\n" + OK), "GET", ()),
    "no content": (says(b"HTTP/1.1 204 No Content\r\n\r\n"), "GET", ()),
    "not modified": (says(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 500\r\n\r\n"), "GET", ()),
    "redirect": (says(b"HTTP/1.1 302 Found\r\nlocation: /a\r\ncontent-length: 0\r\n\r\n"), "GET", ()),
    "head": (says(b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n"), "HEAD", ()),
    "head, chunked": (says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), "HEAD", ()),
    "an expected 404": (says(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"), "GET", (404,)),
    "a byte at a time": (dribbles, "GET", ()),
}  # fmt: skip

BAD: dict[str, tuple[Answer, FailureKind]] = {
    "error status": (says(b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n"), FailureKind.STATUS),
    "not found": (says(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"), FailureKind.STATUS),
    "another protocol": (says(b"220 mail.example ESMTP ready\r\n"), FailureKind.PROTOCOL),
    "switches protocols": (
        says(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"), FailureKind.PROTOCOL),
    "a damaged chunk": (says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"), FailureKind.PROTOCOL),
    "silence": (says(b""), FailureKind.TIMEOUT),
    "half a head": (says(b"HTTP/1.1 200 OK\r\ncont"), FailureKind.TIMEOUT),
    "reset at once": (says(b"", then="reset"), FailureKind.RESET),
    "reset in the head": (says(b"HTTP/1.1 200 OK\r\ncont", then="close"), FailureKind.RESET),
    "shorter than said": (says(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", then="close"), FailureKind.RESET),
    "shorter than said, after a hint": (
        says(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", then="close"),
        FailureKind.RESET),
    "chunks without an end": (
        says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", then="close"), FailureKind.RESET),
    "endless body": (endless, FailureKind.TOO_LARGE),
    "endless head": (says(b"HTTP/1.1 200 OK\r\n" + b"x-pad: 1\r\n" * 9000), FailureKind.TOO_LARGE),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_good_answer_in_any_form_is_good(name: str) -> None:
    """However HTTP/1 lets an answer end, each planned request is one good answer: none lost, none twice."""
    answer, method, expected = GOOD[name]
    with target(answer) as service:
        found = run(service.url, method=method, good=expected, timeout_s=5)
    assert (found.planned, found.sent, found.good, found.failures) == (PLANNED, PLANNED, PLANNED, Counter())
    assert found.statuses.total() == PLANNED


@pytest.mark.parametrize("name", BAD)
def test_a_bad_answer_is_a_failure_of_its_kind(name: str) -> None:
    """Each planned request that got no good answer is one failure of the kind that fits, with a sample for people."""
    answer, kind = BAD[name]
    with target(answer) as service:
        found = run(service.url)
    assert (found.planned, found.good) == (PLANNED, 0)
    assert found.failures == Counter({kind.value: PLANNED})
    assert found.errors[0].startswith(kind.value)
    assert found.seconds < SECONDS + 2


@pytest.mark.parametrize("name", ["error status", "reset at once", "shorter than said", "another protocol"])
def test_a_closed_user_goes_on_after_a_failure(name: str) -> None:
    """In a closed model too each request is one answer or one failure, and what is planned is what is sent."""
    answer, kind = BAD[name]
    with target(answer) as service:
        found = run(service.url, model=LoadModel.CLOSED, most=3)
    assert found.planned == found.sent == found.failures.total() > 3
    assert set(found.failures) == {kind.value}


def test_unexpected_statuses_fail_even_when_they_are_200() -> None:
    """A scenario that expects 404 and gets 200 has failures: expect_status is what counts as good."""
    with target(says(OK)) as service:
        found = run(service.url, good=(404,))
    assert found.failures == Counter({FailureKind.STATUS.value: PLANNED})
    assert found.statuses == Counter({200: PLANNED})


def test_a_refused_connection_is_a_failure_at_the_planned_rate() -> None:
    """Nothing listens: every planned request fails as refused, none is sent, and the run ends on time."""
    with target(says(OK)) as service:
        url = service.url
    found = run(url)
    assert (found.planned, found.sent, found.good) == (PLANNED, 0, 0)
    assert found.failures == Counter({FailureKind.CONNECT.value: PLANNED})
    assert found.seconds < SECONDS + 1


def test_closed_users_do_not_spin_on_a_dead_target() -> None:
    """A refused user tries again ten times a second, not as fast as it can; each try is counted."""
    with target(says(OK)) as service:
        url = service.url
    found = run(url, model=LoadModel.CLOSED, most=4)
    assert found.planned == found.failures[FailureKind.CONNECT.value]
    assert 4 <= found.planned <= 4 * (SECONDS * 10 + 1)


def test_what_finds_no_connection_in_time_is_not_sent() -> None:
    """One connection and a service that takes 0.06 s: what waits longer than the timeout is said to be unsent."""
    with target(says(OK, wait_s=0.06)) as service:
        found = run(service.url, most=1, timeout_s=0.1)
    unsent = found.failures[FailureKind.UNSENT.value]
    assert found.good + unsent == found.planned == PLANNED
    assert found.sent == found.good
    assert unsent > PLANNED / 3


@pytest.mark.parametrize(
    "second", [b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 500 Oh\r\n\r\nzz", b"HTTP/1.1 500 O"]
)
def test_a_second_answer_is_not_taken_for_the_next_request_s(second: bytes) -> None:
    """An answer that nobody asked for never counts, whole or begun, not even as the one to the request that follows."""
    with target(says(OK + second)) as service:
        found = run(service.url)
    assert (found.good, found.failures) == (PLANNED, Counter())
    assert found.statuses == Counter({200: PLANNED})


def test_planned_is_good_or_failed_whatever_the_mix() -> None:
    """A service that answers, fails, resets, stalls and closes in turn: planned = good + failed, to the request."""
    turn = iter(range(10_000))
    acts = [says(OK), BAD["error status"][0], says(b"", then="reset"), says(b""), says(OK, then="close"),
            BAD["another protocol"][0], says(OK, wait_s=0.05)]  # fmt: skip

    async def mixed(head: bytes, writer: asyncio.StreamWriter) -> None:
        await acts[next(turn) % len(acts)](head, writer)

    with target(mixed) as service:
        found = run(service.url, most=4)
    assert found.planned == PLANNED == found.good + found.failures.total()
    assert found.sent == found.planned - found.failures[FailureKind.UNSENT.value]
    assert len(found.failures) >= 3
