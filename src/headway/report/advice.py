"""Findings as text and JSON: what it costs, where it is, why, what would mend it, and the next command."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from rich.text import Text

from headway.evidence import runfile
from headway.model import Presence
from headway.promises.spoken import duration_text
from headway.report import activity, coverage
from headway.report.terminal import LEAST_WIDTH, PIPED_WIDTH, printed, wrapped
from headway.report.visible import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headway.diagnose.accepted import Accepted
    from headway.model import Evidence, Finding

LONGEST = 1000
"""Characters of what is said about a finding; what a remedy would run is shown whole."""


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """
    A finding in its place. `budget_ratio` is what it costs a request on average over what the promise allows one;
    None: one of them is not known. `accepted`: why nobody wants to hear of it. `also`: the other phases it is in, where
    it weighs less.
    """

    number: int
    finding: Finding
    budget_ratio: float | None = None
    accepted: Accepted | None = None
    also: tuple[str, ...] = ()

    @property
    def rank_ratio(self) -> float:
        """What findings are ranked by: `budget_ratio` where it is known, else the rule's weight, else the share."""
        if self.budget_ratio is not None:
            return self.budget_ratio
        weight = self.finding.weight_ratio
        return self.finding.share_ratio if weight is None else weight


def as_text(ranked: Sequence[Ranked], evidence: Evidence, stale: Sequence[Accepted], stream: IO[str] | None) -> str:
    """For a person: weightiest first, then what was accepted, what was not seen."""
    on_terminal = stream is not None and stream.isatty()
    color = on_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    width = max(LEAST_WIDTH, shutil.get_terminal_size((PIPED_WIDTH, 24)).columns)
    return printed(_lines(ranked, evidence, stale, width), color=color)


def as_json(ranked: Sequence[Ranked], evidence: Evidence, stale: Sequence[Accepted]) -> str:
    """For a program."""
    content = {
        "run": evidence.id,
        "findings": [
            {
                "number": each.number,
                "rank_ratio": each.rank_ratio,
                "budget_ratio": each.budget_ratio,
                "also_in_phases": list(each.also),
                "accepted": None if each.accepted is None else runfile.plain(each.accepted),
                **runfile.plain(each.finding),
            }
            for each in ranked
        ],
        "sessions": {each.phase.name: activity.line(evidence, each.phase.name) for each in evidence.phases},
        "accepted_and_gone": [runfile.plain(each) for each in stale],
        "traces": coverage.data(evidence),
        "not_seen": not_seen(evidence),
    }
    # ASCII only: it may go to a terminal, which obeys U+009B and turns text around at U+202E.
    return json.dumps(content, indent=2)


def not_seen(evidence: Evidence) -> dict[str, str]:
    """Source -> why it was not seen; no finding from it is not no problem."""
    return {
        name: state.detail + (f"; {state.next_act}" if state.next_act else "")
        for name, state in evidence.sources.items()
        if state.presence is not Presence.PRESENT
    }


def _lines(ranked: Sequence[Ranked], evidence: Evidence, stale: Sequence[Accepted], width: int) -> Iterator[Text]:
    yield Text(f"run {one_line(evidence.id)}", style="dim")
    yield Text("")
    loud = [each for each in ranked if each.accepted is None]
    for each in loud:
        yield from _finding(each, evidence, width)
    if not loud:
        yield Text("Nothing was found that was not accepted, in what could be seen.")
        yield Text("")
    quiet = [each for each in ranked if each.accepted is not None]
    if quiet or stale:
        yield Text("Accepted", style="bold")
    for each in quiet:
        yield from wrapped(
            one_line(f"- {each.finding.line}: {reason(each)}", LONGEST), width, indent=2, hang=2, style="dim"
        )
    for gone in stale:
        text = f"- no longer there: {gone.line} ({gone.fingerprint}, accepted: {gone.reason})"
        yield from wrapped(one_line(text, LONGEST), width, indent=2, hang=2, style="dim")
    for phase in evidence.phases:
        if said := activity.line(evidence, phase.phase.name):
            yield from wrapped(one_line(f"{phase.phase.name}: {said}", LONGEST), width, indent=0, hang=2, style="dim")
    for line in coverage.lines(evidence):
        yield from wrapped(one_line(line, LONGEST), width, indent=0, hang=2, style="dim")
    missing = not_seen(evidence)
    if missing:
        yield Text("Not seen, so nothing is said of it", style="bold")
        for name, why in missing.items():
            yield from wrapped(one_line(f"- {name}: {why}", LONGEST), width, indent=2, hang=2, style="dim")


def reason(ranked: Ranked) -> str:
    """Why it was accepted, and when; empty: it was not."""
    return "" if ranked.accepted is None else f"{ranked.accepted.reason} ({ranked.accepted.at[:10]})"


def _finding(ranked: Ranked, evidence: Evidence, width: int) -> Iterator[Text]:
    finding = ranked.finding
    yield from wrapped(one_line(f"{ranked.number}. {finding.line}", LONGEST), width, indent=0, hang=3, style="bold")
    for label, text in facts(ranked):
        yield from wrapped(one_line(f"{label}: {text}", LONGEST), width, indent=3, hang=2)
    for sign, texts in (("+", finding.reasons_for), ("-", finding.reasons_against)):
        for text in texts:
            yield from wrapped(one_line(f"{sign} {text}", LONGEST), width, indent=3, hang=2)
    for remedy in finding.remedies:
        yield from wrapped(one_line(f"→ {remedy.title}", LONGEST), width, indent=3, hang=2, style="green")
        yield from wrapped(one_line(remedy.act), width, indent=5, hang=2)
    if finding.remedies:
        yield Text(f"   headway prove {one_line(evidence.id)} {finding.fingerprint}", style="dim")
    yield Text("")


def facts(ranked: Ranked) -> Iterator[tuple[str, str]]:
    """What it costs, where it is, and how sure that is: (label, text)."""
    finding, place = ranked.finding, ranked.finding.location
    cost = f"{finding.share_ratio:.0%} of {finding.share_of}"
    if finding.cost_ns is not None:
        cost += f"; {duration_text(finding.cost_ns)} a request on average"
    if ranked.budget_ratio is not None:
        cost += f", {ranked.budget_ratio:.0%} of what the promise allows one"
    yield "costs", cost
    where = [each for each in (place.route, place.code, place.key) if each]
    if place.table:
        where.append(f"table {place.table}")
    if place.statement_id:
        where.append(f"statement {place.statement_id}")
    if where:
        yield "where", "; ".join(where)
    phases = ", ".join((finding.phase, *ranked.also))
    yield "sure", f"{finding.confidence.value}; rule {finding.rule}, {finding.fingerprint}, phase {phases}"


def reasons_text(reasons: Sequence[tuple[str, str]], statement: str) -> str:
    """Why nothing is said of a statement, a line a rule."""
    head = one_line(statement, PIPED_WIDTH)
    return "\n".join([head, *(f"  {rule}: {one_line(why, LONGEST)}" for rule, why in reasons)])
