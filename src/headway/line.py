"""
The line from end to end: a promise goes in, a verdict comes out, and a folder that can show it again.

No room knows the next one; this file does. The command line and the demo call it.
"""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from headway import diagnose
from headway.conventions import REPORT_FILE
from headway.diagnose import budget
from headway.errors import BadInput
from headway.evidence import bundle, collect, reading
from headway.gate import plan, record
from headway.interchange.watching import Watchers, watched
from headway.load import hooks
from headway.load import scenario as scenarios
from headway.load.drive import Stop
from headway.load.wire_choice import WireChoice
from headway.promises import increment
from headway.report.live import LiveView

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from headway.evidence.collect import Chooser
    from headway.model import Evidence, Finding, Phase, Progress, Promise, Scenario, Sources, Verdict

SCENARIO_IN_INCREMENT = Path("scripts/scenario.toml")


@dataclass(frozen=True, kw_only=True)
class Means:
    """
    What makes the load, and who watches it.

    `workers`: generator processes, None chooses. `on`: `dask://host:port` of a scheduler whose workers make the load,
    None: this machine does. `tolerate`: how many generator processes may be lost without ending the run. `calibrate`:
    measure first what this machine's generator can reach, where that is not known. `wire`: how requests travel, where
    that is not as the scenario says.
    """

    workers: int | None = None
    on: str | None = None
    tolerate: int = 0
    calibrate: bool = False
    watchers: Watchers = field(default_factory=Watchers)
    wire: WireChoice = field(default_factory=WireChoice)


ORDINARY = Means()


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One run, read back and judged. `findings` are told once each: what the verdict explains itself by may be more."""

    folder: Path
    evidence: Evidence
    findings: tuple[Finding, ...]
    verdict: Verdict

    @property
    def report(self) -> Path:
        """Where its HTML report stands."""
        return self.folder / REPORT_FILE


def find_promise(reference: str, roots: Sequence[Path]) -> Promise:
    """
    The increment `reference` names, looked for in each root in turn.

    Raises:
        BadInput: no root has it, or it cannot be read.
    """
    for last, root in enumerate(roots, start=1):
        try:
            folder = increment.find(reference, root)
        except BadInput:
            if last == len(roots):
                raise
            continue
        return increment.read(folder)
    raise BadInput("no folder to look for increments in", next_act="name one with --root")


def find_scenario(file: Path | None, promise: Promise | None, target_url: str) -> Scenario:
    """The scenario named, else the increment's own, else one GET of the target's URL as it stands."""
    if file is not None:
        return scenarios.read(file)
    if promise is not None and promise.folder is not None:
        own = promise.folder / SCENARIO_IN_INCREMENT
        if own.exists():
            return scenarios.read(own)
    return scenarios.single(target_url)


@contextmanager
def two_interrupts(stop: Stop) -> Iterator[None]:
    """Ctrl-C once drains and keeps the evidence; twice stops now."""

    def interrupted(_signal: int, _frame: FrameType | None) -> None:
        if stop.draining:
            stop.now()
            return
        stop.drain()
        print("\nheadway: draining; the evidence is kept. Ctrl-C again stops now.", file=sys.stderr)

    before = {number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            # A second Ctrl-C may come when the drain is over already: what is left is to write the evidence down.
            signal.signal(number, signal.SIG_IGN if stop.draining else handler)


def load(
    root: Path, *, scenario: Scenario, phases: tuple[Phase, ...] | Chooser, sources: Sources, means: Means = ORDINARY
) -> Path:
    """
    Drive the phases against the target, collect what they leave behind, and return the run's folder.

    `phases` may also be what chooses them one by one, given the folder, as it sees what became of those before.

    Raises:
        TargetUnreachable: nothing that speaks HTTP answers.
        SourceRefused: a named source refuses.
    """
    scenario = replace(scenario, wire=means.wire.over(scenario.wire))
    stop = Stop()
    with (
        two_interrupts(stop),
        hooks.around(scenario, sources.target_url, lambda: stop.draining) as ready,
        watched(ready, means.watchers, _say) as told,
        LiveView() as view,
    ):

        def second(progress: Progress) -> None:
            view.second(progress)
            told(progress)

        return collect.collect(
            root,
            scenario=ready,
            phases=phases,
            sources=sources,
            slug=scenario.name,
            workers=means.workers,
            on=means.on,
            tolerate=means.tolerate,
            calibrate=means.calibrate,
            on_second=second,
            stop=stop,
            say=_say,
        )


def _say(text: str) -> None:
    print(f"headway: {text}", file=sys.stderr, flush=True)


def judge_run(folder: Path, promise: Promise) -> Judged:
    """Read a run's folder, judge it, and write findings, verdict and report beside the evidence."""
    # Statistics and templates take memory that the load should not have to share.
    from headway.gate.judge import judge
    from headway.prove import foretold
    from headway.report import html

    evidence = reading.read(folder)
    findings = diagnose.find(evidence)
    verdict = judge(promise, evidence, findings)
    verdict = replace(verdict, notes=(*verdict.notes, *foretold.notes(evidence)))
    foretold.keep(evidence)
    diagnose.write(folder, findings)
    record.write(folder, verdict)
    budget.write(folder, budget.budgets(evidence))
    judged = Judged(folder=folder, evidence=evidence, findings=diagnose.told_once(findings), verdict=verdict)
    html.write(evidence, verdict, judged.findings, judged.report)
    return judged


def validate(
    promise: Promise,
    scenario: Scenario,
    sources: Sources,
    *,
    root: Path,
    means: Means = ORDINARY,
    duration_s: float | None = None,
) -> Judged:
    """
    Load the service as the promise needs, then judge it.

    Args:
        promise: what must hold.
        scenario: the traffic.
        sources: the target and where else to look.
        root: the folder whose `.headway/runs` gets the run.
        means: what makes the load.
        duration_s: length of every phase, warm-up excluded; None takes the scenario's.
    """
    phases = plan.plan(promise, scenario, duration_s=duration_s).phases
    return judge_run(load(root, scenario=scenario, phases=phases, sources=sources, means=means), promise)


def judge_again(promise: Promise, root: Path, reference: str | None) -> Judged:
    """Judge a run that was made before, from its folder alone."""
    return judge_run(bundle.find(root, reference), promise)


def with_rules(sources: Sources, rule_files: Sequence[Path]) -> Sources:
    """The sources with these alert rule files added."""
    return replace(sources, rule_files=(*sources.rule_files, *rule_files))
