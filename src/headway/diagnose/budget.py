"""
The latency budget: where the middle request's time goes, and the slow ones', by route and for all.

From traces: client's response time less its service time is waiting to be sent; service time less the server span is
accept queue and network; the server span is taken apart along its critical path. The client's and the server's requests
are joined by rank, not one by one: the middle tenth of one beside the middle tenth of the other.

Without traces: means only, from what PostgreSQL counted of its statements and the client's times.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from headway.conventions import BUDGET_FILE
from headway.diagnose import profiled, profiled_routes, traced
from headway.diagnose.critical_path import attribute
from headway.diagnose.windows import answered
from headway.errors import BundleDamaged
from headway.evidence import bundle, runfile
from headway.evidence.stacks import CPU
from headway.load import histogram
from headway.model import Budget, BudgetBand, BudgetPart, Spent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from headway.diagnose.traced import Requests, Taken
    from headway.model import Evidence, PhaseHits

    IntArray = NDArray[np.int64]

MEAN = "mean"
BANDS = {"p50": (0.45, 0.55), "slowest 5%": (0.95, 1.0)}
RANKS = {**BANDS, MEAN: (0.0, 1.0)}
MOST_ROUTES = 20
MIN_TRACED = 5
"""Traces of a band below which it isn't taken apart."""
SEEN = "spans on the critical path"


def budgets(evidence: Evidence) -> tuple[Budget, ...]:
    """Every phase: all requests first, then the routes asked most; empty where neither traces nor statements are."""
    found: list[Budget] = []
    for hits in evidence.phases:
        if not int(histogram.fold(hits.response).sum()):
            continue
        with traced.requests(evidence.folder, hits) as requests:
            counts = requests.by_route() if requests is not None else {}
            if requests is not None and sum(counts.values()) >= MIN_TRACED:
                found += _from_traces(evidence, hits, requests, counts)
            elif any(each.phase == hits.phase.name for each in evidence.statements):
                found.append(_from_statements(evidence, hits))
    return tuple(found)


def _from_traces(
    evidence: Evidence, hits: PhaseHits, requests: Requests, counts: Mapping[str | None, int]
) -> list[Budget]:
    seen, asked = sum(counts.values()), answered(hits)
    notes = [f"server spans of {seen:,} requests, {asked:,} were answered"] if seen != asked else []
    cpu = _processor_ns(evidence, hits)
    routes = [each for each in counts if each is not None][:MOST_ROUTES]
    requests.prepare((route, *BANDS[band]) for route in (None, *routes) for band in BANDS)
    found = [_budget(evidence, hits, requests, None, None, cpu.get(None), notes)]
    for route in routes:
        index = next((i for i, name in enumerate(evidence.routes) if profiled_routes.same_route(name, route)), None)
        if index is not None and counts[route] >= MIN_TRACED and histogram.fold(hits.response, index).any():
            found.append(_budget(evidence, hits, requests, route, index, cpu.get(route), []))
    return [each for each in found if each.bands]


def _budget(
    evidence: Evidence,
    hits: PhaseHits,
    requests: Requests,
    route: str | None,
    index: int | None,
    cpu_ns: float | None,
    notes: Sequence[str],
) -> Budget:
    said = list(notes)
    bands: list[BudgetBand] = []
    running = None
    if cpu_ns is not None:
        own = _mean_parts(requests.take(route, 0.0, 1.0))[0].get(BudgetPart.OWN, 0.0)
        running = min(1.0, cpu_ns / own) if own else None
    for name in (*BANDS, MEAN):
        if name == MEAN and bands:
            break
        taken = requests.take(route, *RANKS[name])
        if taken.too_large:
            said.append(f"{name}: {taken.too_large} traces of more than {traced.MOST_SPANS:,} spans were left out")
        if len(taken.requests) >= MIN_TRACED:
            bands.append(_band(hits, index, name, taken, running))
        else:
            said.append(f"{name}: too few traces ({len(taken.requests)}) to be taken apart")
    return Budget(phase=hits.phase.name, route=route, by="traces", bands=tuple(bands), notes=tuple(said))


def _band(hits: PhaseHits, index: int | None, name: str, taken: Taken, running: float | None) -> BudgetBand:
    low, high = RANKS[name]
    response, requests = band_mean_ns(histogram.fold(hits.response, index), low, high)
    service, _ = band_mean_ns(histogram.fold(hits.service, index), low, high)
    inside, server, overlap = _mean_parts(taken)
    parts = [
        Spent(part=BudgetPart.QUEUE, ns=max(0.0, response - service), how="client: response time less service time"),
        *_arrival(hits, index, service - server),
        *(
            Spent(part=part, ns=inside[part], how=SEEN)
            for part in (BudgetPart.POOL, BudgetPart.DATABASE, BudgetPart.CACHE, BudgetPart.DOWNSTREAM)
            if part in inside
        ),
        *_own(inside.get(BudgetPart.OWN, 0.0), running),
    ]
    return BudgetBand(
        band=name, requests=requests, traced=len(taken.requests), measured_ns=response, parts=tuple(parts),
        residue_ns=response - sum(each.ns for each in parts), overlap_ns=overlap,
    )  # fmt: skip


def _arrival(hits: PhaseHits, index: int | None, between: float) -> list[Spent]:
    """
    What lies between sending and the server span: the network where the client measured it, and the rest.

    Reading a body is the network's, as far as the service sent it in one go.
    """
    how = "client's service time less the server span"
    cells = hits.details.get("body")
    counts = histogram.fold(cells, index) if cells is not None else None
    if counts is None or not counts.any():
        return [Spent(part=BudgetPart.ARRIVAL, ns=max(0.0, between), how=how)]
    reading = min(histogram.mean_ns(counts), max(0.0, between))
    return [
        Spent(part=BudgetPart.ACCEPT, ns=max(0.0, between - reading), how=f"{how} and the network"),
        Spent(part=BudgetPart.NETWORK, ns=reading, how="client: mean time of reading the body"),
    ]


def _own(own: float, running: float | None) -> list[Spent]:
    if running is None:
        return [Spent(part=BudgetPart.OWN, ns=own, how="the server span's time that no call covers")]
    how = "of the server span's time that no call covers, {:.0%}: as in the profile's mean"
    return [
        Spent(part=BudgetPart.CPU, ns=own * running, how=how.format(running)),
        Spent(part=BudgetPart.OWN_WAITING, ns=own * (1 - running), how="the rest: for its turn, a lock, calls unseen"),
    ]


def _mean_parts(taken: Taken) -> tuple[dict[BudgetPart, float], float, float]:
    """Mean ns by part, of the server spans, and of the time behind parallel calls."""
    sums: dict[BudgetPart, float] = defaultdict(float)
    server = overlap = 0.0
    for root, spans in taken.requests:
        found = attribute(root, spans)
        for part, ns in found.parts.items():
            sums[part] += ns
        server += root.end_ns - root.start_ns
        overlap += found.overlap_ns
    count = max(1, len(taken.requests))
    return {part: ns / count for part, ns in sums.items()}, server / count, overlap / count


def band_mean_ns(counts: IntArray, low: float, high: float) -> tuple[float, int]:
    """
    The mean of the requests whose rank lies in [low, high), and how many they are; one at least.

    Args:
        counts: (BUCKETS,) requests by bucket, not empty.
        low, high: ratios of rank.
    """
    total = int(counts.sum())
    first = min(int(low * total), total - 1)
    last = max(first + 1, round(high * total))
    reached = np.cumsum(counts)
    inside = np.minimum(reached, last) - np.maximum(reached - counts, first)
    kept = np.maximum(inside, 0)
    return histogram.mean_ns(kept), int(kept.sum())


def _processor_ns(evidence: Evidence, hits: PhaseHits) -> dict[str | None, float]:
    """Processor time of a request in the profiled processes: by route as far as it can be told, under None of all."""
    profile = profiled.load(evidence.folder)
    watched_s = profile.watched_s.get(hits.phase.name, 0.0) if profile is not None else 0.0
    if profile is None or not watched_s:
        return {}
    told = profiled_routes.told(evidence, profile)
    spent: dict[str | None, float] = defaultdict(float)
    for samples in profile.of(CPU, hits.phase.name):
        had = profiled.had_core_ratio(evidence, profile, hits, samples.process)
        for looked, stack in zip(samples.seconds, samples.stacks, strict=True):
            seconds = looked * had
            spent[None] += seconds
            route = told.of(profile, stack[profiled.after_loop(profile, stack) or 0 :])
            if route is not None:
                spent[route] += seconds
    seen = min(1.0, watched_s / max(1, hits.seconds))
    found: dict[str | None, float] = {}
    for route, seconds in spent.items():
        requests = answered(hits) if route is None else _answers(evidence, hits, route)
        if requests:
            found[route] = seconds * 1e9 / (requests * seen)
    return found


def _answers(evidence: Evidence, hits: PhaseHits, route: str) -> int:
    return sum(
        int(histogram.fold(hits.service, index).sum())
        for index, name in enumerate(evidence.routes)
        if profiled_routes.same_route(name, route)
    )


def _from_statements(evidence: Evidence, hits: PhaseHits) -> Budget:
    response = histogram.mean_ns(histogram.fold(hits.response))
    service = histogram.mean_ns(histogram.fold(hits.service))
    own = [each for each in evidence.statements if each.phase == hits.phase.name and not each.nested]
    database = sum(each.total_ns for each in own) / max(1, answered(hits))
    queue = max(0.0, response - service)
    cpu_ns = _processor_ns(evidence, hits).get(None)
    cpu = [] if cpu_ns is None else [Spent(part=BudgetPart.CPU, ns=cpu_ns, how="profile: processor time a request")]
    parts = (
        Spent(part=BudgetPart.QUEUE, ns=queue, how="client: response time less service time"),
        Spent(part=BudgetPart.DATABASE, ns=database, how="pg_stat_statements: execution time a request"),
        *cpu,
    )
    band = BudgetBand(
        band=MEAN, requests=answered(hits), traced=0, measured_ns=response, parts=parts,
        residue_ns=response - sum(each.ns for each in parts),
    )  # fmt: skip
    notes = (
        "no traces: means of all requests only, no routes, no slow ones apart; what is not explained is own code, pool,"
        " cache and network together; --traces tells them apart",
        "execution time is the database's own: reading results, and statements of one request at once, are not told",
    )
    return Budget(phase=hits.phase.name, route=None, by="statements", bands=(band,), notes=notes)


def write(folder: Path, found: Sequence[Budget]) -> None:
    """
    Write the budgets beside their evidence.

    Raises:
        HeadwayError: the folder cannot be written.
    """
    bundle.put_json(folder / BUDGET_FILE, [runfile.plain(each) for each in found])


def read(folder: Path) -> tuple[Budget, ...]:
    """
    The budgets of a run that was judged; empty when it has none.

    Raises:
        BundleDamaged: they cannot be read.
    """
    file = folder / BUDGET_FILE
    if not file.exists():
        return ()
    try:
        return tuple(runfile.typed(Budget, row) for row in bundle.get_json(file))
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise BundleDamaged(f"cannot read the budget: {exc}", next_act="judge the run again", file=file) from exc
