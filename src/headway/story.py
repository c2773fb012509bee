"""
The demo: one increment, the slow shop, what breaks it, which indexes are proven to mend how much of that; the same shop
with these, then with all its settings on, and both ends side by side.

Everything shown is measured in this run on this machine. The lab and the generator share its cores.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from headway import line, proving
from headway.diagnose.rules import missing_index
from headway.gate import plan
from headway.lab import Lab, shop_folder
from headway.lab import sources as lab_sources
from headway.lab.stages import TUNED_APP_SERVERS, TUNED_SETTINGS
from headway.prove.clone import ROOM, CopyBy
from headway.prove.room import Wish
from headway.report import comparison, terminal
from headway.report import proofs as shown

if TYPE_CHECKING:
    from headway.model import Promise

INCREMENT = "0050"
SLOW_STAGE = 1
FAST_STAGE = 4
COMPARISON_FILE = "before-after.html"
PROOF_S = 12.0
"""About as long as one proof may take: the whole story is to be told within five minutes."""
BETWEEN_S = 10.0
"""Length of each phase of the run between the two that are compared."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """What the demo says at its end: text for the terminal, and the reports by name."""

    text: str
    reports: tuple[tuple[str, Path], ...]


def tell(*, root: Path, state: Path, scale: float, duration_s: float | None, keep: bool) -> Story:
    """
    Run the demo.

    Args:
        root: the folder whose `.headway/runs` gets the two runs.
        state: the lab's folder.
        scale: 1.0 is 200,000 users, 1,000,000 posts, 50,000 products, 1,000,000 orders.
        duration_s: length of each phase; None takes the scenario's.
        keep: leave the lab running.

    Raises:
        LabFailed, RunInvalid, BadInput: as the rooms raise them; the lab is taken down first unless `keep`.
    """
    promise = line.find_promise(INCREMENT, (shop_folder(),))
    lab = Lab(state)
    try:
        say("slow form: one app server, a connection per request, no secondary index, no cache")
        before = judged_at(lab, SLOW_STAGE, promise, root=root, scale=scale, duration_s=duration_s)
        if proven(lab, before, root=root):
            say("the same slow form with the indexes that were proven, and nothing else, under its ordinary load alone")
            short_s = min(duration_s or BETWEEN_S, BETWEEN_S)
            judged(lab, promise, root=root, duration_s=short_s, ordinary_load=True)
        say("the same code with its settings on: pool, batched and gathered statements, caches, edge, indexes, replica")
        after = judged_at(lab, FAST_STAGE, promise, root=root, scale=scale, duration_s=duration_s, tuned=True)
    finally:
        if not keep:
            lab.down()
    pair = (before.evidence, before.verdict), (after.evidence, after.verdict)
    path = after.folder / COMPARISON_FILE
    comparison.write_html(*pair, path)
    return Story(
        text=comparison.side_by_side(*pair),
        reports=(("before", before.report), ("after", after.report), ("report", path)),
    )


def proven(lab: Lab, before: line.Judged, *, root: Path) -> bool:
    """Try the missing indexes on a copy, make those that are worth it, and say what came of each; whether any was."""
    if not any(each.rule == missing_index.RULE for each in before.findings):
        say("no index was found missing")
        return False
    say("proving on a copy of the database what the missing indexes that were found would be worth")
    told = proving.prove(
        root, before.folder.name, (missing_index.RULE,), lab_sources(lab.status()),
        Wish(budget_s=PROOF_S, apply=True, copy=CopyBy.BACKUP, folder=ROOM, fast=True), say=say,
    )  # fmt: skip
    print("\n".join(shown.short(told.proofs, told.predictions)), flush=True)
    return any(each.applied for each in told.proofs)


def judged_at(
    lab: Lab, stage: int, promise: Promise, *, root: Path, scale: float, duration_s: float | None, tuned: bool = False
) -> line.Judged:
    """Bring the lab to a stage, and judge the promise there. `tuned`: as docs/growth.md says of "4 tuned"."""
    status = (
        lab.up(stage, scale, settings=TUNED_SETTINGS, tell_edge=True, app_servers=TUNED_APP_SERVERS)
        if tuned
        else lab.up(stage, scale)
    )
    say(f"stage {stage} stands at {status.app_url}; loading it as increment {promise.id} needs")
    return judged(lab, promise, root=root, duration_s=duration_s)


def judged(
    lab: Lab, promise: Promise, *, root: Path, duration_s: float | None, ordinary_load: bool = False
) -> line.Judged:
    """
    Judge the promise on the lab as it stands, and print the verdict.

    `ordinary_load`: only those criteria that hold under the scenario's own load; the others are left out, not judged.
    """
    sources = line.with_rules(lab_sources(lab.status()), sorted((shop_folder() / "monitoring").glob("*.yml")))
    sources = replace(sources, answers=True)
    scenario = line.find_scenario(None, promise, sources.target_url)
    if ordinary_load:
        promise = plan.ordinary_only(promise, scenario)
    found = line.validate(promise, scenario, sources, root=root, duration_s=duration_s)
    print(terminal.verdict_text(found.verdict, found.findings, stream=sys.stdout), flush=True)
    return found


def say(text: str) -> None:
    """One line of progress, to stderr."""
    print(f"headway: {text}", file=sys.stderr, flush=True)
