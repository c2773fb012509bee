"""
What the service's answers say of caching and compression: each GET route asked a few times when the load is over.

Only routes that the load asked, only GET, only the target, within PATIENCE_S altogether: as it stands, again, with
compression accepted, and, when the answer can be validated, whether it is still good.
"""

from __future__ import annotations

import gzip
import http.client
import io
import re
import socket
import time
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from headway.conventions import ANSWERS_FILE
from headway.errors import HeadwayError
from headway.evidence import bundle, redact, runfile
from headway.evidence.collector import Collector, absent, in_words, present
from headway.load import draw, environment, feed, reach, target, template, tls
from headway.model import Answer, Order

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from headway.load.target import Address, Target
    from headway.model import Phase, Route, Scenario, Sources, SourceState, Wire

MOST_ROUTES = 40
PATIENCE_S = 8.0
ANSWER_S = 2.0
"""For one answer. A route that takes longer is left out."""
MOST_BYTES = 8 << 20
KEPT = frozenset({"age", "cache-control", "cf-cache-status", "content-encoding", "content-type", "etag", "expires",
    "last-modified", "pragma", "vary", "via", "x-cache"})  # fmt: skip
LONGEST = 200
_PLAIN = re.compile(r"[^ -~]")


@dataclass(frozen=True, kw_only=True)
class _Got:
    status: int
    headers: Mapping[str, str]
    raw: http.client.HTTPMessage
    body: bytes  # as it came, encoded or not
    whole: bool


class Answers(Collector):
    """Asks once the load is over; a run that was cut short is not asked."""

    name = "answers"

    def __init__(self, sources: Sources, scenario: Scenario | None) -> None:
        super().__init__()
        self._sources = sources
        self._scenario = scenario
        self._phase: Phase | None = None
        self.answers: list[Answer] = []

    def check(self) -> SourceState:
        if not self._sources.answers:
            return absent(self.name, "--answers")
        if self._scenario is None or not any(each.method == "GET" for each in self._scenario.routes):
            return replace(absent(self.name, ""), detail="no GET route to ask", next_act="load one")
        return present(self.name, "each GET route, asked when the load is over")

    def end(self, phase: Phase, at_s: float) -> None:
        self._phase = phase

    def finish(self) -> None:
        if self._phase is None or self._scenario is None or not self._sources.answers:
            return
        until = time.monotonic() + PATIENCE_S
        where, wire, address = self._place(self._scenario)
        failures: list[str] = []
        for route, request in requests(self._scenario, self._sources.database_url, where.header(wire)):
            if time.monotonic() > until:
                failures.append(f"not all routes within {PATIENCE_S:.0f} s")
                break
            try:
                self.answers.append(_asked(route, request, where, wire, address))
            except (OSError, http.client.HTTPException, ValueError, HeadwayError) as exc:
                failures.append(f"{route.name}: {in_words(exc)}")
                if isinstance(exc, ConnectionRefusedError):
                    break
        if failures:
            self.remark = f"{len(self.answers)} routes answered; {failures[0]}"

    def write(self, folder: Path) -> None:
        if self._phase is not None and self._sources.answers:
            bundle.put_json(folder / ANSWERS_FILE, [runfile.plain(each) for each in self.answers])

    def _place(self, scenario: Scenario) -> tuple[Target, Wire, Address]:
        where = target.parse(self._sources.target_url)
        wire = replace(scenario.wire, http2=False)
        if wire.unix_socket is not None:
            return where, wire, str(wire.unix_socket.absolute())
        return where, wire, reach.resolve(*where.place(wire))


def requests(scenario: Scenario, database_url: str | None, host: str) -> Iterator[tuple[Route, bytes]]:
    """
    One request of each GET route, as it is written, that needs nothing of an earlier answer; values as the load draws.

    A route with values to be used once is left out: the load has used them.

    Raises:
        BadInput: a parameter's values cannot be read.
    """
    written, scenario = scenario.routes, environment.filled(scenario)
    values = feed.values(scenario.parameters, database_url)
    draws = draw.draws(scenario.parameters, values, np.random.default_rng((scenario.default_phase.seed, 0, 1)))
    asked = {step.route for journey in scenario.journeys for step in journey.steps}
    barred = {each.name for route in scenario.routes for each in route.extract}
    barred |= {each.name for each in scenario.parameters if each.order is Order.ONCE}
    routes = [
        (number, route)
        for number, route in enumerate(scenario.routes)
        if route.method == "GET" and (route.weight or number in asked) and not template.route_names(route) & barred
    ]
    for number, route in routes[:MOST_ROUTES]:
        # What came from the environment may be a secret: the route as written is what is kept.
        yield written[number], template.renderer(route, host, draws)()


def _asked(route: Route, request: bytes, where: Target, wire: Wire, address: Address) -> Answer:
    plain = _get(request, {"accept-encoding": "identity"}, where, wire, address)
    again = _get(request, {"accept-encoding": "identity"}, where, wire, address)
    encoded = _get(request, {"accept-encoding": "br, gzip"}, where, wire, address)
    body = _decoded(plain)
    began_ns = time.perf_counter_ns()
    packed = gzip.compress(body, 6) if body else b""
    took_ns = time.perf_counter_ns() - began_ns
    head = request.split(b"\r\n\r\n", 1)[0].lower()
    return Answer(
        route=route.name,
        target=redact.body(route.path),
        status=plain.status,
        headers=plain.headers,
        encoded_headers=encoded.headers,
        body_bytes=len(body),
        encoded_bytes=len(encoded.body),
        gzip_bytes=len(packed),
        gzip_ns=took_ns,
        whole=plain.whole and encoded.whole,
        same_again=plain.status == again.status and plain.body == again.body,
        revalidated=_revalidated(request, plain, where, wire, address),
        credentials=b"\r\nauthorization:" in head or b"\r\ncookie:" in head,
    )


def _revalidated(request: bytes, got: _Got, where: Target, wire: Wire, address: Address) -> bool | None:
    """Whether an answer that can be validated is: 304 and no body. None: it has nothing to be validated by."""
    if got.status != 200:
        return None
    condition = {
        asked: value
        for said, asked in (("etag", "if-none-match"), ("last-modified", "if-modified-since"))
        if (value := got.raw.get(said))
    }
    if not condition:
        return None
    return _get(request, {"accept-encoding": "identity", **condition}, where, wire, address).status == 304


def _get(request: bytes, headers: Mapping[str, str], where: Target, wire: Wire, address: Address) -> _Got:
    """One answer on a connection of its own, at most MOST_BYTES within ANSWER_S."""
    until = time.monotonic() + ANSWER_S
    with _connected(where, wire, address) as connection:
        connection.sendall(with_headers(request, {**headers, "connection": "close"}))
        answer = http.client.HTTPResponse(connection, method="GET")
        try:
            answer.begin()
            body = bytearray()
            while len(body) <= MOST_BYTES and (chunk := answer.read1(1 << 16)):
                body += chunk
                if time.monotonic() > until:
                    raise TimeoutError(f"takes over {ANSWER_S:.0f} s")
            if len(body) <= MOST_BYTES and answer.length:
                raise http.client.IncompleteRead(bytes(body[:0]), answer.length)
            return _Got(
                status=answer.status,
                headers=kept(answer.headers),
                raw=answer.headers,
                body=bytes(body),
                whole=len(body) <= MOST_BYTES,
            )
        finally:
            answer.close()


def _connected(where: Target, wire: Wire, address: Address) -> socket.socket:
    if isinstance(address, str):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(ANSWER_S)
        connection.connect(address)
    else:
        connection = socket.create_connection(address, ANSWER_S)
    if not where.tls:
        return connection
    try:
        return tls.context(wire).wrap_socket(connection, server_hostname=where.name(wire))
    except BaseException:
        connection.close()
        raise


def with_headers(request: bytes, headers: Mapping[str, str]) -> bytes:
    """The request with these headers, in place of those of the same name that it had."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *rest = head.split(b"\r\n")
    stays = [line for line in rest if line.partition(b":")[0].decode("latin-1").strip().lower() not in headers]
    more = [f"{name}: {value}".encode("latin-1", "replace") for name, value in headers.items()]
    return b"\r\n".join([first, *stays, *more]) + b"\r\n\r\n" + body


def kept(headers: http.client.HTTPMessage) -> dict[str, str]:
    """Those that say something of caching, on one line each and cut short; of cookies the names alone."""
    found: dict[str, list[str]] = {}
    for name, value in headers.items():
        low = name.lower()
        if low in KEPT:
            found.setdefault(low, []).append(_PLAIN.sub(" ", value)[:LONGEST])
        elif low == "set-cookie":
            found.setdefault(low, []).append(_PLAIN.sub(" ", value.partition("=")[0])[:40])
    return {name: ", ".join(values)[:LONGEST] for name, values in found.items()}


def _decoded(got: _Got) -> bytes:
    """The body as it is before compression: some services compress what nobody asked to be compressed."""
    encoding = got.headers.get("content-encoding", "").lower()
    try:
        if encoding == "gzip":
            with gzip.GzipFile(fileobj=io.BytesIO(got.body)) as stream:
                return stream.read(MOST_BYTES)
        if encoding == "deflate":
            return zlib.decompressobj().decompress(got.body, MOST_BYTES)
    except (OSError, EOFError, zlib.error):
        pass
    return got.body
