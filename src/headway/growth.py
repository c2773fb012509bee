"""
The shop's growth, measured: at each stage the highest rate at which the promise holds, and what that takes.

Everything is measured in this run on this machine, the generator sharing its cores, but the figures of the classic
story, which are told beside it as the story's.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headway import breakpoint as search
from headway import growth_page, line
from headway.evidence import reading
from headway.lab import Lab, shop_folder
from headway.lab import sources as lab_sources
from headway.lab.stages import TUNED_APP_SERVERS, TUNED_SETTINGS
from headway.model import Side, State, Subject
from headway.report.figures import QUANTILES, figures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from headway.gate.breakpoint import Found
    from headway.growth_page import Page
    from headway.lab import LabStatus
    from headway.model import Evidence, Promise, Statement

INCREMENT = "0050"
WITHIN_RATIO = 0.2
TIMEOUT_S = 10.0
"""Later answers count as failed. The naive page of users takes 1.5 s alone and is one request in a hundred: with 2 s it
fails under any load, and whether at most 1% fail then is how many of them chance draws."""
SERVED = frozenset({"HIT", "STALE", "UPDATING", "REVALIDATED"})


@dataclass(frozen=True, kw_only=True)
class Effort:
    """
    What the search at each step may cost.

    `duration_s`: of a first try where the rate is high enough; the gate calls nothing that is shorter than ten.
    `warmup_s`: before each try; an edge is warm for the wanted answers after three. `allowed_s`: of load for each
    search, the confirming tries included; a step at which the promise breaks at every rate has two.
    `start_per_s`: the first rate to try; None: the step's own. `most_per_s`: no higher rate is tried.
    """

    duration_s: float = 10.0
    warmup_s: float = 3.0
    allowed_s: float = 480.0
    start_per_s: float | None = None
    most_per_s: float = 30_000.0


@dataclass(frozen=True, kw_only=True)
class Step:
    """
    One configuration of the lab.

    `story_per_s` is what the classic story says of its stage. `start_per_s` is the first rate to try. `app_servers`:
    None is the stage's.
    """

    name: str
    stage: int
    what: str
    story_per_s: float
    start_per_s: float
    app_servers: int | None = None
    settings: Mapping[str, str] | None = None
    tell_edge: bool = False


STEPS = (
    Step(name="1", stage=1, what="one app server, a connection per request", story_per_s=100, start_per_s=8),
    Step(name="2", stage=2, what="and a pool", story_per_s=500, start_per_s=8),
    Step(name="3", stage=3, what="and cache, edge, three app servers", story_per_s=5_000, start_per_s=25),
    Step(name="4", stage=4, what="and indexes, statements, replica", story_per_s=15_000, start_per_s=500),
    Step(name="4 tuned", stage=4, what="one app server whose statements gather, edge told of updates, copies in it",
         story_per_s=15_000, start_per_s=7_500, app_servers=TUNED_APP_SERVERS, settings=TUNED_SETTINGS,
         tell_edge=True),
)  # fmt: skip

LATER_MS = 500.0
"""Where no rate has the promised P95, the highest at which it stays below what the story began with is sought."""
STORY_BEFORE = "500 ms P95, 200 ms queries, 0% hits"
STORY_AFTER = "50 ms P95, 20 ms queries, 85% hits"
STORY_PAGE_MS = {"naive": 5_000.0, "joined": 50.0, "cached": 2.0}


@dataclass(frozen=True, kw_only=True)
class Reached:
    """
    What one step withstood. None: no rate held, or not seen.

    `limit_ms` is the P95 that was to hold: the promised one, or LATER_MS where that held at no rate; `promised_why` is
    then why not.
    `queries_per_s` are calls of the primary's statements, BEGIN and COMMIT left out; `query_ms` their mean.
    `edge_ratio`, `cache_ratio`: what each of the two answered of what it was asked for. `cpu_ratio`: of all cores of
    the machine; `cores`: how many of them each kind of service kept busy. The rest is the generator's and the kernel's.
    """

    step: Step
    rate_per_s: float | None
    breaks_per_s: float | None
    confirmed: bool
    stopped: str
    why: str = ""
    limit_ms: float | None = None
    promised_why: str = ""
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    failed_ratio: float | None = None
    queries_per_s: float | None = None
    query_ms: float | None = None
    edge_ratio: float | None = None
    cache_ratio: float | None = None
    cpu_ratio: float | None = None
    cores: Mapping[str, float] | None = None
    run: str = ""

    @property
    def promised_per_s(self) -> float:
        """The rate that held by the promise itself; 0: none did."""
        return 0.0 if self.rate_per_s is None or self.limit_ms == LATER_MS else self.rate_per_s


@dataclass(frozen=True, kw_only=True)
class Growth:
    """The steps measured, and the N+1 page."""

    scale: float
    cores: int
    steps: tuple[Reached, ...]
    pages: tuple[Page, ...]


def measure(
    *,
    root: Path,
    state: Path,
    scale: float,
    steps: Sequence[Step] = STEPS,
    effort: Effort,
    keep: bool = False,
    say: Callable[[str], None],
) -> Growth:
    """
    Bring the lab to each step and search where the promise stops holding.

    Args:
        root: the folder whose `.headway/runs` gets a run for each step.
        state: the lab's folder.
        scale: 1.0 is 200,000 users, 1,000,000 posts.
        steps: which.
        effort: what each may cost.
        keep: leave the lab running.
        say: gets progress.

    Raises:
        LabFailed, RunInvalid, BadInput: as the rooms raise them; the lab is taken down first unless `keep`.
    """
    promise = _of_all_requests(line.find_promise(INCREMENT, (shop_folder(),)))
    lab = Lab(state)
    measured: list[Reached] = []
    pages: list[Page] = []
    cores = 0
    try:
        for step in steps:
            say(f"step {step.name}: {step.what}")
            status = lab.up(
                step.stage, scale, settings=step.settings, tell_edge=step.tell_edge, app_servers=step.app_servers
            )
            pages += growth_page.timed(step.name, status)
            start = effort.start_per_s or max((step.start_per_s, *(each.promised_per_s for each in measured)))
            own = replace(effort, start_per_s=min(start, effort.most_per_s))
            one, evidence = _step(step, status, promise, root, own, say)
            measured.append(one)
            cores = evidence.machine.cores
    finally:
        if not keep:
            lab.down()
    return Growth(scale=scale, cores=cores, steps=tuple(measured), pages=tuple(pages))


def _of_all_requests(promise: Promise) -> Promise:
    """
    The promise of P95 alone, to which the search adds that at most 1% fail.

    Whether less than 0.1% fail takes 4,912 requests to tell: at a slow stage that is longer than the whole search. What
    did fail is in the table.
    """
    held = (
        each
        for each in promise.criteria
        if all(
            clause.subject is Subject.LATENCY and clause.side is Side.CLIENT and clause.route is None
            for clause in each.clauses
        )
    )
    return replace(promise, criteria=tuple(held))


def _limited(promise: Promise, limit_ms: float) -> Promise:
    """The same latencies, with another limit."""
    return replace(
        promise,
        criteria=tuple(
            replace(
                each, text=f"P95 <{limit_ms:g}ms",
                clauses=tuple(replace(clause, limit=limit_ms * 1e6) for clause in each.clauses),
            )
            for each in promise.criteria
        ),
    )  # fmt: skip


def _limit_ms(promise: Promise) -> float:
    """The strictest of its limits."""
    return min(clause.limit for each in promise.criteria for clause in each.clauses if clause.limit is not None) / 1e6


def _step(
    step: Step, status: LabStatus, promise: Promise, root: Path, effort: Effort, say: Callable[[str], None]
) -> tuple[Reached, Evidence]:
    """What one step withstands: by the promise, or, when it breaks at every rate, by LATER_MS."""
    later = _Hunt(_limited(promise, LATER_MS), status, effort)
    found, evidence = _Hunt(promise, status, effort).searched(root, say)
    if found.holds_per_s is not None or found.breaks_per_s is None:
        return replace(reached(step, found, evidence), limit_ms=_limit_ms(promise)), evidence
    say(f"no rate is known to have P95 < {_limit_ms(promise):g} ms; looking for the highest with P95 < {LATER_MS:g} ms")
    broken = next(each for each in found.probes if each.rate_per_s == found.breaks_per_s and each.state is State.BROKEN)
    found, evidence = later.searched(root, say)
    why = f"{broken.why} at {broken.rate_per_s:,.10g} req/s"
    return replace(reached(step, found, evidence), limit_ms=LATER_MS, promised_why=why), evidence


class _Hunt:
    """A search for the breakpoint of one step, planned. It looks below the first rate when that is too much."""

    def __init__(self, promise: Promise, status: LabStatus, effort: Effort) -> None:
        self._promise = promise
        self._sources = lab_sources(status)
        scenario = line.find_scenario(None, promise, self._sources.target_url)
        short = replace(scenario.default_phase, warmup_s=effort.warmup_s, timeout_s=TIMEOUT_S)
        self._scenario = replace(scenario, default_phase=short)
        self._bounds = search.bounds(
            promise, self._scenario, start_per_s=effort.start_per_s or STEPS[0].start_per_s,
            most_per_s=effort.most_per_s, duration_s=effort.duration_s, within_ratio=WITHIN_RATIO,
            allowed_s=effort.allowed_s,
        )  # fmt: skip

    def searched(self, root: Path, say: Callable[[str], None]) -> tuple[Found, Evidence]:
        """What it found, and the evidence of its run."""
        say(search.announced(self._bounds))
        searched = search.find(
            self._promise, self._scenario, self._sources, root=root, means=line.ORDINARY, bounds=self._bounds, say=say
        )
        return searched.found, reading.read(searched.folder)


def reached(step: Step, found: Found, evidence: Evidence) -> Reached:
    """What the longest try says that held."""
    held = [each for each in found.probes if each.rate_per_s == found.holds_per_s and each.state is State.KEPT]
    bare = Reached(
        step=step, rate_per_s=found.holds_per_s, breaks_per_s=found.breaks_per_s, confirmed=found.confirmed,
        stopped=found.stopped.value, why=found.why, run=evidence.id,
    )  # fmt: skip
    if not held:
        return bare
    phase = max(held, key=lambda each: each.duration_s).phase
    hits = next(each for each in evidence.phases if each.phase.name == phase)
    all_routes = figures(hits, ())[0]
    quantiles = dict(zip(QUANTILES, all_routes.response_ns, strict=True))
    statements = [each for each in evidence.statements if each.phase == phase and not each.is_utility]
    calls = sum(each.calls for each in statements)
    began_s, ended_s = hits.started_at_s, hits.started_at_s + hits.seconds
    machine = [each.cpu_ratio for each in evidence.host if began_s < each.at_s <= ended_s]
    return replace(
        bare,
        p50_ms=_ms(quantiles[0.5]), p95_ms=_ms(quantiles[0.95]), p99_ms=_ms(quantiles[0.99]),
        failed_ratio=all_routes.failed_ratio,
        queries_per_s=_per_second(statements, evidence, phase),
        query_ms=sum(each.total_ns for each in statements) / calls / 1e6 if calls else None,
        edge_ratio=_edge_ratio(evidence, phase), cache_ratio=_cache_ratio(evidence, phase),
        cpu_ratio=statistics.fmean(machine) if machine else None,
        cores=_cores(evidence, began_s, ended_s),
    )  # fmt: skip


def _per_second(statements: Sequence[Statement], evidence: Evidence, phase: str) -> float | None:
    """Calls per second of the phase, its warm-up left out."""
    if not evidence.statements:
        return None
    hits = next(each for each in evidence.phases if each.phase.name == phase)
    return sum(each.calls for each in statements) / hits.seconds


def _ms(value_ns: float | None) -> float | None:
    return None if value_ns is None else value_ns / 1e6


def _edge_ratio(evidence: Evidence, phase: str) -> float | None:
    use = next((each for each in evidence.edges if each.phase == phase), None)
    asked = {} if use is None else {name: n for name, n in use.by_status.items() if name not in ("", "-")}
    return sum(n for name, n in asked.items() if name in SERVED) / sum(asked.values()) if asked else None


def _cache_ratio(evidence: Evidence, phase: str) -> float | None:
    use = next((each for each in evidence.caches if each.phase == phase and not each.restarted), None)
    return None if use is None or not use.hits + use.misses else use.hits / (use.hits + use.misses)


def _cores(evidence: Evidence, began_s: float, ended_s: float) -> dict[str, float]:
    """Mean cores busy of each kind of service: the app servers together."""
    seen: dict[str, list[float]] = {}
    for each in evidence.processes:
        if began_s < each.at_s <= ended_s:
            seen.setdefault(each.name, []).append(each.cpu_cores)
    kinds: dict[str, float] = {}
    for name, values in seen.items():
        kind = name.partition("-")[0]
        kinds[kind] = kinds.get(kind, 0.0) + statistics.fmean(values)
    return dict(sorted(kinds.items()))
