"""Every way an HTTP/2 server can answer or fail to, made with another implementation: counted once, as what it was."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from headway.load import frames
from headway.load.scenario import single
from headway.model import FailureKind, LoadModel, Phase, Route, Wire
from http2_target import Act, Peer, answers, served
from load_engine import Tally, run

if TYPE_CHECKING:
    from headway.model import Scenario

QUICK = Phase(name="p", model=LoadModel.OPEN, rate_per_s=100, duration_s=1, warmup_s=0, timeout_s=0.3)
PLANNED = 25
OK_BLOCK = b"\x88\x5c\x012"


def asked(url: str, *routes: Route, **wire: object) -> Scenario:
    made = replace(single(url), wire=Wire(http2=True, max_body_bytes=1 << 20, **wire))  # type: ignore[arg-type]
    return replace(made, routes=routes) if routes else made


def load(act: Act, *, phase: Phase = QUICK, method: str = "GET", **settings: int) -> Tally:
    numbers = {{"streams": 3, "window": 4}[name]: value for name, value in settings.items()}
    with served(act, numbers) as service:
        return run(service.url, asked(service.url, Route(name="r", method=method, path="/")), phase)


def says(*headers: tuple[str, str], body: bytes = b"ok", trailers: bool = False, hints: bool = False) -> Act:
    def act(peer: Peer, stream: int) -> None:
        if hints:
            peer.send_headers(stream, [(":status", "103"), ("link", "</a>")])
        peer.send_headers(stream, [*headers], end_stream=not body and not trailers)
        if body:
            peer.send_data(stream, body, end_stream=not trailers)
        if trailers:
            peer.send_headers(stream, [("x-sum", "1")], end_stream=True)

    return act


def raw(*made: bytes, stream: int = 0) -> Act:
    """Frames as they are, with the stream's number put in where theirs is 1."""
    return lambda _peer, number: b"".join(
        each if stream or int.from_bytes(each[5:9], "big") != 1 else each[:5] + number.to_bytes(4, "big") + each[9:]
        for each in made
    )


def large(peer: Peer, stream: int) -> bytes:
    """More than is taken."""
    del peer
    return frames.headers(stream, b"\x88", ends=False) + frames.frame(0, 0, stream, bytes(16_384)) * 70


def dynamic(peer: Peer, stream: int) -> None:
    """Each answer has a header that changes the compression's table."""
    headers = [
        (":status", "200"),
        (f"x-{stream}", "y" * (stream % 90)),
        ("server", "tested"),
        ("date", str(stream // 8)),
    ]
    peer.send_headers(stream, headers)
    peer.send_data(stream, b"ok", end_stream=True)


GOOD: dict[str, tuple[Act, str]] = {
    "plain": (answers, "GET"),
    "no length": (says((":status", "200")), "GET"),
    "no body": (says((":status", "204"), body=b""), "GET"),
    "trailers": (says((":status", "200"), trailers=True), "GET"),
    "trailers alone": (says((":status", "200"), body=b"", trailers=True), "GET"),
    "early hints": (says((":status", "200"), hints=True), "GET"),
    "head": (says((":status", "200"), ("content-length", "500"), body=b""), "HEAD"),
    "a table that changes": (dynamic, "GET"),
    "padded": (raw(frames.frame(1, 0x0C, 1, b"\x03" + OK_BLOCK + b"\0\0\0"),
                   frames.frame(0, 0x09, 1, b"\x04ok\0\0\0\0")), "GET"),
    "headers in three frames": (raw(frames.frame(1, 0, 1, b"\x88"), frames.frame(9, 0, 1, b"\x5c"),
                                    frames.frame(9, 4, 1, b"\x012"), frames.frame(0, 1, 1, b"ok")), "GET"),
    "with a priority": (raw(frames.frame(1, 0x24, 1, b"\0\0\0\0\x0f" + OK_BLOCK), frames.frame(0, 1, 1, b"ok")), "GET"),
    "frames of no known kind": (raw(frames.frame(0x42, 7, 1, b"?"), frames.frame(6, 0, 0, b"12345678"),
                                    frames.headers(1, OK_BLOCK, ends=False), frames.frame(0, 1, 1, b"ok")), "GET"),
}  # fmt: skip

BAD: dict[str, tuple[Act, FailureKind, str]] = {
    "error status": (says((":status", "500")), FailureKind.STATUS, "500"),
    "silence": (lambda _peer, _stream: None, FailureKind.TIMEOUT, "no whole answer"),
    "half an answer": (raw(frames.headers(1, b"\x88", ends=False)), FailureKind.TIMEOUT, "no whole answer"),
    "reset": (lambda peer, stream: peer.reset_stream(stream, 2), FailureKind.RESET, "INTERNAL_ERROR"),
    "refused": (lambda peer, stream: peer.reset_stream(stream, 7), FailureKind.RESET, "REFUSED_STREAM"),
    "hangs up": (lambda _peer, _stream: b"", FailureKind.RESET, "closed by the server"),
    "goes away in anger": (raw(frames.frame(7, 0, 0, frames.word(0) + frames.word(11))),
                           FailureKind.RESET, "ENHANCE_YOUR_CALM"),
    "shorter than said": (raw(frames.headers(1, OK_BLOCK, ends=False), frames.frame(0, 1, 1, b"o")),
                          FailureKind.PROTOCOL, "content-length says 2 bytes, and 1 came"),
    "longer than said": (raw(frames.headers(1, OK_BLOCK, ends=False), frames.frame(0, 1, 1, b"okay")),
                         FailureKind.PROTOCOL, "and 4 came"),
    "no status": (raw(frames.headers(1, b"\x5c\x012", ends=False)), FailureKind.PROTOCOL, "without a status"),
    "a body first": (raw(frames.frame(0, 1, 1, b"ok")), FailureKind.PROTOCOL, "a body before its headers"),
    "switches protocols": (raw(frames.headers(1, b"\x08\x03101", ends=False)), FailureKind.PROTOCOL, "101"),
    "headers in the middle": (raw(frames.headers(1, b"\x88", ends=False), frames.headers(1, b"\x88", ends=False)),
                              FailureKind.PROTOCOL, "middle of a body"),
    "damaged headers": (raw(frames.headers(1, b"\xff\xff\xff\xff\xff", ends=True)),
                        FailureKind.PROTOCOL, "damaged headers"),
    "a push": (raw(frames.frame(5, 4, 1, frames.word(2) + b"\x82")), FailureKind.PROTOCOL, "push"),
    "a stream nobody opened": (raw(frames.headers(4001, b"\x88", ends=True)), FailureKind.PROTOCOL, "nobody opened"),
    "an interrupted block": (raw(frames.frame(1, 0, 1, b"\x88"), frames.frame(6, 0, 0, b"12345678")),
                             FailureKind.PROTOCOL, "interrupted"),
    "a frame too large": (raw(b"\x00\x40\x01\x00\x00" + frames.word(1)), FailureKind.PROTOCOL, "a frame of 16,385"),
    "noise": (raw(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", stream=1), FailureKind.PROTOCOL, "a frame of"),
    "a body too large": (large, FailureKind.TOO_LARGE, "more than 1,048,576 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_good_answer_in_any_form_is_good(name: str) -> None:
    """However HTTP/2 lets an answer be sent, each planned request is one good answer: none lost, none twice."""
    act, method = GOOD[name]
    tally = load(act, method=method)
    assert (tally.planned, tally.good.total(), tally.failures) == (PLANNED, PLANNED, Counter())


@pytest.mark.parametrize("name", BAD)
def test_a_bad_answer_is_a_failure_of_its_kind(name: str) -> None:
    """Each planned request that got no good answer is one failure of the kind that fits, with a sample for people."""
    act, kind, said = BAD[name]
    tally = load(act)
    assert (tally.planned, tally.good.total(), tally.failures) == (PLANNED, 0, Counter({kind: PLANNED}))
    assert any(said in each for each in tally.errors), tally.errors
    assert tally.seconds < 2


def test_headers_too_large_are_said() -> None:
    """More header bytes than are taken, in one frame or in many: answer too large."""

    def act(_peer: Peer, stream: int) -> bytes:
        return frames.frame(1, 0, stream, b"\x88") + frames.frame(9, 0, stream, b"\x00\x01x\x05hello" * 1500) * 20

    tally = load(act)
    assert tally.failures == Counter({FailureKind.TOO_LARGE: PLANNED})
    assert "headers of more than 65,536 bytes" in tally.errors[0]


def test_what_one_stream_does_leaves_the_others_alone() -> None:
    """Every third stream is reset: those requests fail, the others on the same connection are good."""

    def act(peer: Peer, stream: int) -> None:
        if stream % 3:
            answers(peer, stream)
        else:
            peer.reset_stream(stream, 2)

    with served(act) as service:
        tally = run(service.url, asked(service.url), QUICK)
        assert service.connections == 1
        assert service.complaints == []
    assert tally.failures == Counter({FailureKind.RESET: 8})
    assert tally.good.total() == PLANNED - 8


def test_a_server_that_leaves_in_peace_loses_no_request() -> None:
    """GOAWAY that leaves a request undone: it is asked again elsewhere, and its time runs from the first."""

    def act(peer: Peer, stream: int) -> bytes | None:
        if stream == 5:
            return frames.frame(7, 0, 0, frames.word(3) + frames.word(0))
        answers(peer, stream)
        return None

    with served(act) as service:
        tally = run(service.url, asked(service.url), QUICK)
        assert service.connections >= PLANNED // 2
    assert (tally.good.total(), tally.failures) == (PLANNED, Counter())


def test_a_server_that_never_begins_is_not_asked_for_ever() -> None:
    """GOAWAY in peace to each request, on each connection: tried again three times, then a failure."""

    def act(_peer: Peer, _stream: int) -> bytes:
        return frames.frame(7, 0, 0, frames.word(0) + frames.word(0))

    with served(act) as service:
        tally = run(service.url, asked(service.url), QUICK)
        assert service.connections <= 4 * PLANNED
    assert tally.failures == Counter({FailureKind.RESET: PLANNED})
    assert "went away" in tally.errors[0]


def test_a_connection_on_which_an_answer_timed_out_takes_no_new_request() -> None:
    """The first connection falls silent after a while; what comes later goes out on others, and is answered."""
    silent: list[Peer] = []

    def act(peer: Peer, stream: int) -> None:
        if not silent:
            silent.append(peer)
        if peer is not silent[0] or stream < 9:
            answers(peer, stream)

    tally = load(act, phase=replace(QUICK, timeout_s=0.1))
    assert tally.good.total() > 5
    assert set(tally.failures) == {FailureKind.TIMEOUT}
    assert 1 <= tally.failures.total() <= PLANNED - 5


def test_uploads_keep_to_the_server_s_windows() -> None:
    """A server with windows of 1,000 bytes gets 50,000 whole, and complains of nothing."""
    route = Route(name="r", method="POST", path="/a?b=c", body="x" * 50_000, headers=(("authorization", "Bearer t"),))
    with served(answers, {4: 1000}) as service:
        tally = run(service.url, asked(service.url, route), replace(QUICK, rate_per_s=40, timeout_s=5))
        assert service.complaints == []
        assert list(service.bodies.values()) == [50_000] * 10
        headers = dict(service.asked[0])
    assert (tally.good.total(), tally.failures) == (10, Counter())
    assert list(headers)[:4] == [b":method", b":scheme", b":path", b":authority"]
    assert headers[b":path"] == b"/a?b=c"
    assert headers[b"content-length"] == b"50000"
    assert headers[b"authorization"] == b"Bearer t"
    assert b"host" not in headers


def test_a_server_that_allows_no_stream_is_said() -> None:
    """MAX_CONCURRENT_STREAMS = 0: each request fails at once, not by its timeout."""
    tally = load(answers, streams=0)
    assert tally.failures == Counter({FailureKind.PROTOCOL: PLANNED})
    assert "allows no stream" in tally.errors[0]
