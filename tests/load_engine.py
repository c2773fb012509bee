"""One engine in this process, for a fraction of a second: what a worker does, without the worker."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import numpy as np
import uvloop

from headway.load import dial, histogram, starts
from headway.load.closed import ClosedEngine
from headway.load.open import OpenEngine
from headway.load.pacer import Pacer
from headway.load.plain import Poller
from headway.load.recorder import Recorder
from headway.load.target import parse
from headway.load.worker import Assignment
from headway.model import FailureKind, LoadModel, Phase, Scenario

if TYPE_CHECKING:
    from headway.load.recorder import Second, Sparse


@dataclass
class Tally:
    """What an engine counted in one short run."""

    planned: int
    sent: int
    good: Counter[int]  # by route
    failures: Counter[FailureKind]
    statuses: Counter[int]
    errors: list[str]
    seconds: float
    journeys_ended: int
    second: Second = field(repr=False)

    def quantile_ms(self, measure: str, q: float, route: int = 0) -> float:
        """Of response, service, or a part of the time."""
        found: dict[int, Sparse] = getattr(self.second, measure, None) or self.second.details[measure]
        counts = np.zeros(histogram.BUCKETS, dtype=np.int64)
        buckets, numbers = found[route]
        counts[buckets] = numbers
        return histogram.quantile_ns(counts, q) / 1e6


def run(url: str, scenario: Scenario, phase: Phase, *, seconds: float = 0.25) -> Tally:
    """Drive so long; planned is good or failed, always."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_driven(url, scenario, phase, seconds))


async def _driven(url: str, scenario: Scenario, phase: Phase, seconds: float) -> Tally:
    wire, target = scenario.wire, parse(url)
    mine = Assignment(
        phase=phase, routes=scenario.routes, parameters=scenario.parameters, journeys=scenario.journeys,
        wire=wire, values={}, address=str(wire.unix_socket) if wire.unix_socket else target.place(wire),
        host=target.header(wire), scheme=target.scheme, name=target.name(wire), worker=0, workers=1,
    )  # fmt: skip
    recorder, poller = Recorder(len(scenario.routes)), Poller(asyncio.get_running_loop())
    began_ns = monotonic_ns()
    shared: Any = {
        "dialer": dial.dialer(wire, mine.address, phase.timeout_s, poller, scheme=mine.scheme, name=mine.name),
        "poller": poller, "recorder": recorder, "starts": starts.of(mine), "wire": wire,
        "timeout_ns": int(phase.timeout_s * 1e9), "origin": f"{mine.scheme}://{mine.host}",
    }  # fmt: skip
    engine: OpenEngine | ClosedEngine
    if phase.model is LoadModel.OPEN:
        front, back = (Pacer(phase, worker=0, workers=1, end_ns=int(seconds * 1e9)) for _ in range(2))
        engine = OpenEngine(front=front, back=back, began_ns=began_ns, most=phase.max_connections, **shared)
    else:
        each, together = (phase.iterations if wanted else None for wanted in (phase.iterations_each, True))
        engine = ClosedEngine(
            users=phase.users or 1, began_ns=began_ns, each=each, together=None if each else together, **shared
        )
    engine.measure_from_ns, engine.measure_to_ns = began_ns, began_ns + int(seconds * 1e9)
    engine.begin()
    counted = engine if isinstance(engine, ClosedEngine) else None
    while monotonic_ns() < engine.measure_to_ns and not (counted and counted.exhausted):  # noqa: ASYNC110 - as below
        await asyncio.sleep(0.01)
    engine.wake()
    engine.stop_sending(forget_backlog=False)
    async with asyncio.timeout(10):
        while not engine.quiet:  # noqa: ASYNC110 - as the worker does
            await asyncio.sleep(0.01)
    engine.abandon()
    poller.close()
    return _tally(recorder.flush(0, monotonic_ns(), connections=0, backlog=0), (monotonic_ns() - began_ns) / 1e9)


def _tally(second: Second, seconds: float) -> Tally:
    kinds: Counter[FailureKind] = Counter()
    for _, kind, n in second.failures:
        kinds[FailureKind[kind]] += n
    good = Counter({route: sum(counts) for route, (_, counts) in second.response.items()})
    assert second.planned == good.total() + kinds.total()
    return Tally(
        planned=second.planned, sent=second.sent, good=good, failures=kinds, statuses=Counter(second.statuses),
        errors=second.errors, seconds=seconds, journeys_ended=second.journeys_ended, second=second,
    )  # fmt: skip
