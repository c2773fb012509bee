"""Find the highest rate at which every latency promise still holds: load, judge, choose the next rate, tell."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from headway import line
from headway.conventions import BREAKPOINT_FILE
from headway.errors import BadInput
from headway.evidence import bundle
from headway.gate import breakpoint as gate
from headway.gate import plan
from headway.gate.breakpoint import Found, Probe, Stopped
from headway.model import ExitCode, State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headway.model import Judgement, Promise, Scenario, Sources

EXIT_CODES = {
    Stopped.SERVICE: ExitCode.KEPT,
    Stopped.ASKED: ExitCode.KEPT,
    Stopped.PROBES: ExitCode.INCONCLUSIVE,
    Stopped.UNSURE: ExitCode.INCONCLUSIVE,
    Stopped.GENERATOR: ExitCode.INVALID,
    Stopped.INTERRUPTED: ExitCode.INVALID,
}


def find(
    promise: Promise,
    scenario: Scenario,
    sources: Sources,
    *,
    root: Path,
    means: line.Means,
    start_per_s: float,
    most_per_s: float,
    duration_s: float,
    within_ratio: float,
    say: Callable[[str], None],
) -> Found:
    """
    Search. Every try is a run of its own in `root`; the last one's folder gets the search as a whole.

    Args:
        promise: its latencies and its error rate must hold.
        scenario: the traffic.
        sources: the target and where else to look.
        root, means: as `line.load`.
        start_per_s, most_per_s: the first rate and the highest, of requests.
        duration_s: of each try, warm-up excluded.
        within_ratio: how near the broken rate may be to the one that holds.
        say: gets a line for each try.

    Raises:
        BadInput: the increment promises no latency or error rate, or the rates mean nothing.
    """
    held = gate.promise_of(promise)
    if not held.criteria:
        raise BadInput(
            f"{promise.id} promises no latency and no error rate",
            next_act='promise one: "API response time <100ms (P95)"',
        )
    if not start_per_s <= most_per_s:
        raise BadInput(f"--from {start_per_s:g} is above --to {most_per_s:g}", next_act="name a range that rises")
    ordinary = replace(scenario.default_phase, name=plan.ORDINARY)

    folders: list[Path] = []

    def probe(rate_per_s: float, seconds: float) -> Probe:
        wanted = plan.at_rate(scenario, replace(ordinary, duration_s=seconds), held, rate_per_s, name=plan.ORDINARY)
        folder = line.load(root, scenario=scenario, phases=(replace(wanted, duration_s=seconds),), sources=sources,
                           means=means)  # fmt: skip
        folders.append(folder)
        judged = line.judge_run(folder, held)
        tried = Probe(
            rate_per_s=rate_per_s, duration_s=seconds, state=judged.verdict.state,
            why=_why(judged.verdict.judgements, judged.verdict.state), run=folder.name,
            interrupted=judged.evidence.interrupted,
        )  # fmt: skip
        say(tried_text(tried))
        return tried

    found = gate.search(
        probe, start_per_s=start_per_s, most_per_s=most_per_s, duration_s=duration_s, within_ratio=within_ratio
    )
    bundle.put_json(folders[-1] / BREAKPOINT_FILE, as_json(found))
    return found


def _why(judgements: tuple[Judgement, ...], state: State) -> str:
    """What the first criterion of that state says, and the evidence that explains it."""
    worst = next((each for each in judgements if each.state is state), None)
    if worst is None or state is State.KEPT:
        return ""
    said = worst.reason if state is State.INVALID else f"{worst.criterion} ({worst.text}): {worst.reason}"
    return f"{said}; {worst.explanation}" if worst.explanation else said


def exit_code(found: Found) -> ExitCode:
    """0: a rate that holds is known, and so is why no higher one does; 3: no rate that was tried holds."""
    if found.stopped is Stopped.SERVICE and found.holds_per_s is None:
        return ExitCode.BROKEN
    if found.stopped is Stopped.SERVICE and not found.confirmed:
        return ExitCode.INCONCLUSIVE
    return EXIT_CODES[found.stopped]


def as_json(found: Found) -> dict[str, Any]:
    """For a program."""
    return {**asdict(found), "exit_code": int(exit_code(found))}


def tried_text(tried: Probe) -> str:
    """One try, in a line."""
    said = f"{tried.rate_per_s:>12,.1f} req/s for {tried.duration_s:g} s: {tried.state.value}"
    return f"{said}; {tried.why}" if tried.why else said


def as_text(found: Found) -> str:
    """For a person: every try, then what is known."""
    return "\n".join([*(tried_text(each) for each in found.probes), "", conclusion(found)])


def conclusion(found: Found) -> str:
    """What is known, and why the search stopped."""
    holds, breaks = found.holds_per_s, found.breaks_per_s
    held = "no rate that was tried holds" if holds is None else f"every promise held at {holds:,.1f} req/s"
    if holds is not None and found.stopped is Stopped.SERVICE:
        held += ", and held again for longer" if found.confirmed else ", but not when tried again for longer"
    broke = "" if breaks is None else f"; at {breaks:,.1f} req/s one was broken"
    stopped = {
        Stopped.SERVICE: "stopped by the service",
        Stopped.GENERATOR: "stopped by the generator, so this is not the service's limit",
        Stopped.ASKED: "stopped at the highest rate asked for: the service's limit lies above it",
        Stopped.UNSURE: "stopped because a rate could be called neither: try longer",
        Stopped.INTERRUPTED: "stopped by an interrupt: what was measured so far is kept",
        Stopped.PROBES: "stopped after too many tries",
    }[found.stopped]
    return f"{held}{broke}.\n{stopped}: {found.why}".strip()
