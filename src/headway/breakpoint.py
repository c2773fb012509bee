"""Find the highest rate at which every latency promise still holds: load, judge, choose the next rate, tell."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from headway import diagnose, line
from headway.conventions import BREAKPOINT_FILE, REPORT_FILE
from headway.errors import BadInput, BundleDamaged
from headway.evidence import bundle, reading, runfile
from headway.gate import breakpoint as gate
from headway.gate import plan, record
from headway.gate.bounds import Bounds, requests_needed
from headway.gate.breakpoint import Found, Search, Stopped
from headway.gate.judge import judge
from headway.gate.ladder import Figure, Probe
from headway.model import ExitCode, Order, State
from headway.promises.spoken import limit_text, statistic_text, value_text
from headway.report import html
from headway.report.rows import interval_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from headway.gate.breakpoint import Try
    from headway.model import Evidence, Finding, Judgement, Phase, PhaseHits, Promise, Scenario, Sources, Verdict

EXIT_CODES = {
    Stopped.SERVICE: ExitCode.KEPT,
    Stopped.ASKED: ExitCode.KEPT,
    Stopped.UNSURE: ExitCode.INCONCLUSIVE,
    Stopped.TIME: ExitCode.INCONCLUSIVE,
    Stopped.GENERATOR: ExitCode.INVALID,
    Stopped.INTERRUPTED: ExitCode.INVALID,
}
SLACK_S = 5.0
"""Starting the generator's processes and judging a try."""


@dataclass(frozen=True, kw_only=True)
class Searched:
    """What a search found, and the folder of its run."""

    found: Found
    folder: Path


def bounds(
    promise: Promise,
    scenario: Scenario,
    *,
    start_per_s: float,
    most_per_s: float,
    duration_s: float,
    within_ratio: float,
    allowed_s: float | None = None,
) -> Bounds:
    """
    What to search, in requests per second, and what it may cost.

    Raises:
        BadInput: the range does not rise, or there is no time for it.
    """
    if not start_per_s <= most_per_s:
        raise BadInput(f"--from {start_per_s:g} is above --to {most_per_s:g}", next_act="name a range that rises")
    ordinary = scenario.default_phase
    found = Bounds(
        start_per_s=start_per_s, most_per_s=most_per_s, duration_s=duration_s, within_ratio=within_ratio,
        needed=requests_needed(gate.promise_of(promise), scenario),
        overhead_s=ordinary.warmup_s + 2 * ordinary.timeout_s + SLACK_S, allowed_s=allowed_s,
    )  # fmt: skip
    first_s, again_s = found.first_s(start_per_s), found.again_s(start_per_s)
    needed_s = found.cost_s(first_s) + 2 * found.cost_s(again_s)
    if found.longest_s < needed_s:
        raise BadInput(
            f"{found.longest_s / 60:.3g} minutes are too few: one try of {first_s:g} s at {start_per_s:,.10g} req/s and"
            f" another of both ends may take {needed_s / 60:.3g}",
            next_act="allow more --minutes, begin at a higher --from, or shorten --duration",
        )
    return found


def announced(bounds: Bounds) -> str:
    """Before any load: how long the tries are, and how long all of them may take."""
    usual = f"tries of {bounds.duration_s:g} s"
    if bounds.first_s(bounds.floor_per_s) > bounds.duration_s:
        usual += (
            f", longer below {bounds.needed / bounds.duration_s:,.3g} req/s, as a rate is called kept from"
            f" {bounds.needed:,.0f} requests on (none over {bounds.most_s:g} s)"
        )
    lowest = f"no rate below {bounds.floor_per_s:,.3g} req/s"
    return f"{usual}; {lowest}; at most {math.ceil(bounds.longest_s / 60)} minutes of load in all"


def find(
    promise: Promise,
    scenario: Scenario,
    sources: Sources,
    *,
    root: Path,
    means: line.Means,
    bounds: Bounds,
    say: Callable[[str], None],
) -> Searched:
    """
    Search. All tries are phases of one run.

    Args:
        promise: its latencies and its error rate must hold.
        scenario: the traffic.
        sources: the target and where else to look.
        root, means: as `line.load`.
        bounds: what to search.
        say: gets a line for each try.

    Raises:
        BadInput: the increment promises no latency or error rate, or the scenario's values are to be used once.
    """
    held = gate.promise_of(promise)
    if not held.criteria:
        raise BadInput(
            f"{promise.id} promises no latency and no error rate",
            next_act='promise one: "API response time <100ms (P95)"',
        )
    once = next((each.name for each in scenario.parameters if each.order is Order.ONCE), None)
    if once is not None:
        raise BadInput(
            f"the values of {once} are to be used once, and how many a search needs cannot be known before",
            next_act="draw them in sequential order, which begins again at its end",
        )
    tries = _Tries(held, scenario, bounds, say)
    folder = line.load(root, scenario=scenario, phases=tries.phases, sources=sources, means=means)
    found = _with_findings(tries.search.found(), folder, held)
    _write(folder, found)
    return Searched(found=found, folder=folder)


class _Tries:
    """Chooses the phases of a run, one after another, as the search asks for them."""

    def __init__(self, held: Promise, scenario: Scenario, bounds: Bounds, say: Callable[[str], None]) -> None:
        self._held = held
        self._scenario = scenario
        self._say = say
        self.search = Search(bounds)
        self._made: dict[float, int] = {}

    def phases(self, folder: Path) -> Iterator[Phase]:
        """Each phase in turn; when the next is asked for, the one before is judged."""
        tries = self.search.tries()
        wanted = next(tries, None)
        while wanted is not None:
            began_s = time.monotonic()
            phase = self._phase(wanted)
            yield phase
            evidence = reading.read(folder)
            tried = _judged(self._held, evidence, phase.name, wanted, took_s=time.monotonic() - began_s)
            self._say(tried_text(tried))
            try:
                wanted = tries.send(tried)
            except StopIteration:
                wanted = None
            _write(folder, self.search.found())

    def _phase(self, wanted: Try) -> Phase:
        """The load of a try. Each try of one rate draws its own arrivals: what chance did to one is not repeated."""
        rate = wanted.rate_per_s
        self._made[rate] = self._made.get(rate, 0) + 1
        again = f", try {self._made[rate]}" if self._made[rate] > 1 else ""
        ordinary = replace(self._scenario.default_phase, seed=self._scenario.default_phase.seed + self._made[rate] - 1)
        phase = plan.at_rate(self._scenario, ordinary, self._held, rate, name=plan.rate_name(rate) + again)
        return replace(phase, duration_s=wanted.duration_s)


def _judged(held: Promise, evidence: Evidence, name: str, wanted: Try, *, took_s: float) -> Probe:
    """What became of one try. While the run goes on, what other sources saw of it is not there yet."""
    hits = next((each for each in evidence.phases if each.phase.name == name), None)
    if hits is None:
        return Probe(
            rate_per_s=wanted.rate_per_s, duration_s=wanted.duration_s, state=State.INVALID, phase=name, took_s=took_s,
            why="its load never began", interrupted=True,
        )  # fmt: skip
    verdict = verdict_at(held, replace(evidence, interrupted=False), (), hits)
    worst = next((each for each in verdict.judgements if each.state is verdict.state), None)
    return Probe(
        rate_per_s=wanted.rate_per_s, duration_s=wanted.duration_s, state=verdict.state, phase=name, took_s=took_s,
        why=_why(worst), decided_by=_decided_by(worst), useful_s=_useful_s(verdict, wanted.rate_per_s),
        interrupted=not hits.finished and not hits.health.workers_lost,
    )  # fmt: skip


def verdict_at(held: Promise, evidence: Evidence, findings: tuple[Finding, ...], hits: PhaseHits) -> Verdict:
    """The promise judged on one try: its phase takes the place of the scenario's own."""
    own, ordinary = hits.phase.name, plan.ORDINARY
    alone = replace(evidence, phases=(replace(hits, phase=replace(hits.phase, name=ordinary)),))
    there = tuple(replace(each, phase=ordinary) for each in findings if each.phase == own)
    verdict = judge(held, alone, there)
    return replace(
        verdict,
        judgements=tuple(
            replace(each, phase=own if each.phase == ordinary else each.phase) for each in verdict.judgements
        ),
        invalid_phases={own: verdict.invalid_phases[ordinary]} if verdict.invalid_phases else {},
    )  # fmt: skip


def _useful_s(verdict: Verdict, rate_per_s: float) -> float | None:
    """How long a try would have to be for what it left open to be called; None: some of it can't be said."""
    seconds = []
    for each in verdict.judgements:
        if each.state is State.INCONCLUSIVE:
            if each.requests_to_settle is None or each.samples is None:
                return None
            seconds.append((each.samples + each.requests_to_settle) / rate_per_s)
    return max(seconds, default=None)


def _why(worst: Judgement | None) -> str:
    """What decided: the criterion, its figure with its interval, and the evidence that explains it."""
    if worst is None or worst.state is State.KEPT:
        return ""
    said = worst.reason
    if worst.state is not State.INVALID:
        said = f"{worst.criterion} ({worst.text}): {_figure(worst)}{worst.reason}"
    return f"{said}; {worst.explanation}" if worst.explanation else said


def _decided_by(worst: Judgement | None) -> Figure | None:
    if worst is None or worst.clause is None or worst.state is State.KEPT:
        return None
    measured, low, high = (
        None if each is None or math.isinf(each) else each for each in (worst.measured, worst.low, worst.high)
    )
    return Figure(
        criterion=worst.criterion, text=worst.text, limit=worst.clause.limit, measured=measured, low=low, high=high,
        samples=worst.samples,
    )  # fmt: skip


def _figure(judgement: Judgement) -> str:
    """ "P95 41.2 ms (38.9 ms to 44.0 ms), promised < 30 ms: "."""
    clause, measured = judgement.clause, judgement.measured
    if clause is None or measured is None:
        return ""
    noun = clause.subject.value if clause.statistic is None else statistic_text(clause.statistic)
    value = "failed requests" if math.isinf(measured) else value_text(clause, measured)
    return f"{noun} {value} ({interval_text(judgement)}), promised {limit_text(clause)}; "


def _with_findings(found: Found, folder: Path, held: Promise) -> Found:
    """The search with what the other sources saw; writes the run's findings, verdict and report."""
    evidence = reading.read(folder)
    findings = diagnose.find(evidence)
    hits = {each.phase.name: each for each in evidence.phases}
    verdicts = {name: verdict_at(held, evidence, findings, each) for name, each in hits.items()}
    breaking = _longest(found, found.breaks_per_s, State.BROKEN)
    if found.stopped is Stopped.SERVICE and breaking is not None and breaking.phase in verdicts:
        broken = next((each for each in verdicts[breaking.phase].judgements if each.state is State.BROKEN), None)
        found = replace(found, why=_why(broken) or found.why)
    shown = _longest(found, found.holds_per_s, State.KEPT) or breaking or next(iter(found.probes[-1:]), None)
    diagnose.write(folder, findings)
    if shown is not None and shown.phase in verdicts:
        record.write(folder, verdicts[shown.phase])
        html.write(evidence, verdicts[shown.phase], diagnose.told_once(findings), folder / REPORT_FILE)
    return found


def _longest(found: Found, rate_per_s: float | None, state: State) -> Probe | None:
    tries = (each for each in found.probes if each.rate_per_s == rate_per_s and each.state is state)
    return max(tries, key=lambda each: each.duration_s, default=None)


def _write(folder: Path, found: Found) -> None:
    bundle.put_json(folder / BREAKPOINT_FILE, as_json(found, folder))


def shown_again(root: Path, reference: str | None) -> Searched:
    """
    A search that was made before, from its run's folder.

    Raises:
        BadInput: there is no such run, or it is no search.
        BundleDamaged: its file cannot be read.
    """
    folder = bundle.find(root, reference)
    file = folder / BREAKPOINT_FILE
    if not file.exists():
        raise BadInput(f"the run {folder.name} is no search for a breakpoint", next_act="name one that is")
    try:
        return Searched(found=runfile.typed(Found, bundle.get_json(file)), folder=folder)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise BundleDamaged(f"is damaged: {exc}", next_act="search again", file=file) from exc


def exit_code(found: Found) -> ExitCode:
    """0: a rate that holds is known, and so is why no higher one does; 3: no rate that was tried holds."""
    if found.stopped in {Stopped.SERVICE, Stopped.ASKED} and not found.confirmed:
        return ExitCode.INCONCLUSIVE
    if found.stopped is Stopped.SERVICE and found.holds_per_s is None:
        return ExitCode.BROKEN
    return EXIT_CODES[found.stopped]


def as_json(found: Found, folder: Path) -> dict[str, Any]:
    """For a program."""
    return {"run": folder.name, **runfile.plain(found), "exit_code": int(exit_code(found))}


def tried_text(tried: Probe) -> str:
    """One try, in a line."""
    said = f"{tried.rate_per_s:>12,.10g} req/s for {tried.duration_s:g} s: {tried.state.value}"
    return f"{said}; {tried.why}" if tried.why else said


def as_text(found: Found) -> str:
    """For a person: every try, then what is known."""
    return "\n".join([*(tried_text(each) for each in found.probes), "", conclusion(found)])


def conclusion(found: Found) -> str:
    """What is known, and why the search stopped."""
    holds, breaks = found.holds_per_s, found.breaks_per_s
    again = ", and in a longer try as well" if found.confirmed else ", not confirmed by a longer try"
    held = "no rate that was tried is known to hold" if holds is None else f"every promise held at {holds:,.10g} req/s"
    broke = "" if breaks is None else f"; at {breaks:,.10g} req/s one was broken"
    known = again if holds is not None or breaks is not None else ""
    stopped = {
        Stopped.SERVICE: "stopped by the service",
        Stopped.GENERATOR: "stopped by the generator, so this is not the service's limit",
        Stopped.ASKED: "stopped at the highest rate asked for: the service's limit lies above it",
        Stopped.UNSURE: "stopped because what lies between could be called neither: try longer",
        Stopped.TIME: "stopped as no time is left: allow more, or ask for less",
        Stopped.INTERRUPTED: "stopped by an interrupt: what was measured so far is kept",
    }[found.stopped]
    return f"{held}{broke}{known}.\n{stopped}{': ' if found.why else '.'}{found.why}".strip()
