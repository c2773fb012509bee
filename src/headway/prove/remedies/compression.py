"""
Compression, tried: the route's answers through an nginx that compresses and one that does not, in turns.

Bytes and processor time are measured. What bytes are worth in time depends on the client's link, and over loopback they
are worth nothing: that part is computed for a link that is named.
"""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np
import psutil

from headway.diagnose.rules.compression import link_ns
from headway.errors import BadInput, HeadwayError
from headway.evidence.answers import requests, with_headers
from headway.load import target
from headway.model import Price, ProofState
from headway.promises.spoken import duration_text
from headway.prove import borrowed, fronting, outcome
from headway.prove.measure import Paired, paired
from headway.thresholds.rules import COMPRESSION_LINK_BITS_PER_S

if TYPE_CHECKING:
    from headway.model import Finding, Proof, Remedy, Route
    from headway.prove.grounds import Grounds

ROUNDS = 10
EACH = 40
SHARE = 0.8
TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """(rounds, EACH) bytes received and ns of each answer; processor ns an answer (without, with)."""

    bytes: Paired
    ns: Paired
    cpu_ns: tuple[float, float]
    encoded: bool


def prove(finding: Finding, remedy: Remedy, grounds: Grounds) -> Proof:
    """
    Measure one route's answers with and without compression.

    Raises:
        LabFailed: there is no nginx to be started.
    """
    wanted = remedy.parameters
    scenario = grounds.evidence.scenario
    route = next((each for each in scenario.routes if each.name == wanted["route"]), None)
    if route is None:
        return outcome.unproven(finding, remedy, grounds, f"the run's scenario has no route {wanted['route']}")
    try:
        found = _measured(grounds, route, str(wanted["content_type"]))
    except (BadInput, OSError, http.client.HTTPException) as exc:
        said = f"{exc.what}; {exc.next_act}" if isinstance(exc, HeadwayError) else f"{type(exc).__name__}: {exc}"
        return outcome.unproven(finding, remedy, grounds, f"the route could not be asked: {said}")
    return _judged(finding, remedy, grounds, found)


def _measured(grounds: Grounds, route: Route, content_type: str) -> _Measured:
    where = target.parse(grounds.sources.target_url)
    scenario = grounds.evidence.scenario
    only = replace(scenario, routes=(replace(route, weight=1.0),), journeys=())
    asked = [request for _, request in requests(only, grounds.sources.database_url, where.header(scenario.wire))]
    if not asked:
        raise BadInput(f"{route.name} needs what an earlier answer gives", next_act="prove it by hand")
    request = with_headers(asked[0], {"accept-encoding": "gzip"})
    url = grounds.sources.target_url
    with borrowed.front(
        2, lambda _room, ports, _log: fronting.compressing(url, scenario.wire, content_type, ports)
    ) as it:
        grounds.say(f"{route.name}: {ROUNDS} rounds of {EACH} answers with and without compression")
        return _rounds(it, request, time.monotonic() + grounds.budget_s * SHARE)


def _rounds(it: borrowed.Front, request: bytes, until: float) -> _Measured:
    sizes: dict[bool, list[list[float]]] = {False: [], True: []}
    times: dict[bool, list[list[float]]] = {False: [], True: []}
    cpu = {False: 0.0, True: 0.0}
    encoded = False
    connections = [http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_S) for url in it.urls]
    try:
        for number in range(ROUNDS):
            if number >= 3 and time.monotonic() > until:
                break
            for packed in (False, True) if number % 2 else (True, False):
                before = _cpu_s(it)
                round_ = [_asked(connections[packed], request) for _ in range(EACH)]
                cpu[packed] += _cpu_s(it) - before
                sizes[packed].append([size for size, _, _ in round_])
                times[packed].append([took for _, took, _ in round_])
                encoded |= packed and any(each for _, _, each in round_)
    finally:
        for each in connections:
            each.close()
    answers = EACH * len(sizes[False])
    return _Measured(
        bytes=paired(sizes[False], sizes[True]), ns=paired(times[False], times[True]),
        cpu_ns=(cpu[False] * 1e9 / answers, cpu[True] * 1e9 / answers), encoded=encoded,
    )  # fmt: skip


def _asked(connection: http.client.HTTPConnection, request: bytes) -> tuple[float, float, bool]:
    """(bytes of the body as received, ns, whether it was compressed)."""
    head = request.split(b"\r\n\r\n", 1)[0].decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
    began = time.perf_counter_ns()
    connection.request("GET", head[0].split(" ")[1], headers=headers)
    answer = connection.getresponse()
    size = len(answer.read())
    if answer.status != 200:
        raise BadInput(f"it answered {answer.status}", next_act="see the service's log")
    return float(size), float(time.perf_counter_ns() - began), answer.headers.get("content-encoding") is not None


def _cpu_s(it: borrowed.Front) -> float:
    """Processor time of the nginx and its workers."""
    process = psutil.Process(it.identity.pid)
    return sum(sum(each.cpu_times()[:2]) for each in (process, *process.children()))


def _judged(finding: Finding, remedy: Remedy, grounds: Grounds, found: _Measured) -> Proof:
    if not found.encoded:
        return outcome.unproven(
            finding, remedy, grounds, "nginx compressed no answer: the route's type may have changed"
        )
    low, saved, _ = found.bytes.saved(grounds.seed)
    link, cpu = link_ns(saved), max(0.0, found.cpu_ns[1] - found.cpu_ns[0])
    mbit = f"{COMPRESSION_LINK_BITS_PER_S / 1e6:.0f} Mbit/s"
    said = f"{saved:,.0f} bytes fewer an answer: {duration_text(link)} on {mbit}, for {duration_text(cpu)} of a core"
    _, quicker, at_best = found.ns.saved(grounds.seed)
    if low <= 0 or link_ns(low) <= cpu:
        state, said = ProofState.NOT_WORTH_IT, f"{said}: it costs more than it saves there"
    elif at_best < 0 and -quicker > link:
        state = ProofState.UNPROVEN
        said = f"{said}; but an answer took {duration_text(-quicker)} longer here, more than the bytes are worth there"
    else:
        state = ProofState.WORTH_IT
    effects = (
        found.bytes.effect("bytes of an answer", "bytes", decides=True, seed=grounds.seed),
        found.ns.effect("time of an answer over loopback", "ns", seed=grounds.seed),
    )
    return outcome.proof(
        finding, remedy, grounds, state, said, effects=effects, prices=_prices(found), notes=_notes(found, link),
        where=f"an nginx in front of {grounds.sources.target_url}",
    )  # fmt: skip


def _prices(found: _Measured) -> tuple[Price, ...]:
    return (
        Price(
            what="processor time of an answer, in front", unit="ns", before=found.cpu_ns[0], after=found.cpu_ns[1]
        ),
    )  # fmt: skip


def _notes(found: _Measured, link: float) -> tuple[str, ...]:
    slower = float(np.mean(found.ns.with_) - np.mean(found.ns.without))
    way = "longer" if slower > 0 else "shorter"
    return (
        f"computed, not measured: {duration_text(link)} is what the bytes saved take on the link named",
        f"over loopback, where bytes cost next to nothing, an answer took {duration_text(abs(slower))} {way}",
        "processor time is counted in steps of 10 ms over all answers",
    )
