"""
The verdict as GitHub-flavoured Markdown: a pull-request comment.

Text from outside (criteria, SQL, server messages) may hold anything. Each of its characters that Markdown or HTML could
read becomes a character reference, and a zero-width space parts `@` and `#` from what follows, as GitHub looks for
mentions and issue numbers after it has resolved references.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from headway.model import State
from headway.report.rows import Row, rows, verdict_line
from headway.report.visible import one_line
from headway.report.words import NOTHING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.model import Evidence, Finding, Verdict

MOST_CHARACTERS = 60_000
"""A comment on GitHub holds 65,536. Source: GitHub's API answers "body is too long (maximum is 65536 characters)"."""

MOST_TEXT = 400
_SIGNS = {
    State.KEPT: "✅ kept",
    State.BROKEN: "❌ **broken**",
    State.INCONCLUSIVE: "❔ **inconclusive**",
    State.INVALID: "⚠️ **invalid**",
}
# ASCII punctuation but for `,;%?`, a decimal point and a hyphen inside a word.
_SPECIAL = re.compile(r"(?<!\d)\.|\.(?!\d)|(?<!\w)-|-(?!\w)|[!-$&-+/:<->@\[-`{-~]")
_LINKING = re.compile(r"(@|#|GH-)(?=\w)", re.IGNORECASE)


def render(verdict: Verdict, findings: Sequence[Finding], evidence: Evidence) -> str:
    """
    The comment. It begins with a hidden mark (`<!-- headway 0050 -->`) by which a bot finds its earlier one.

    What would not fit into a comment is left out, those that are kept first, and the cut is said.
    """
    table = rows(verdict.judgements)
    parts = [*_head(verdict), *_table(table), *_remarks(table)]
    parts += ["", f"Run {escaped(verdict.run_id)} against {escaped(evidence.target_url)}", ""]
    details = [f"- {escaped(each)}" for each in verdict.notes]
    details += [f"- {escaped(each.line)} (phase {escaped(each.phase)})" for each in findings]
    if details:
        room = MOST_CHARACTERS - sum(len(part) + 1 for part in parts)
        kept = _fitting(details, room)
        parts += [f"<details><summary>Notes and findings ({len(details)})</summary>", "", *kept, ""]
        parts += [*_left_out(len(kept), len(details), "notes and findings"), "</details>", ""]
    return "\n".join(parts)


def escaped(text: str, most: int = MOST_TEXT) -> str:
    """One line of outside text that renders as itself: no markup, no cell border, no mention, no link."""
    parted = _LINKING.sub("\\1\u200b", one_line(text, most))
    return _SPECIAL.sub(lambda match: f"&#{ord(match.group())};", parted)


def _head(verdict: Verdict) -> list[str]:
    mark = re.sub(r"[^A-Za-z0-9]+", "-", verdict.promise_id)[:60]
    lines = [
        f"<!-- headway {mark} -->",
        f"### {_SIGNS[verdict.state].replace('**', '')}: {escaped(verdict.promise_title)}",
        "",
        escaped(verdict_line(verdict)),
        "",
    ]
    phases = [f"⚠️ Phase {escaped(phase)} is invalid: {escaped(why)}" for phase, why in verdict.invalid_phases.items()]
    return lines + [part for phase in _fitting(phases, MOST_CHARACTERS // 6) for part in (phase, "")]


def _table(table: Sequence[Row]) -> list[str]:
    if not table:
        return ["No criterion was judged.", ""]
    room = MOST_CHARACTERS // 2
    lines = [_line(row) for row in table]
    if sum(len(line) + 1 for line in lines) > room:
        lines = [_line(row) for row in sorted(table, key=lambda row: row.state is State.KEPT)]
    kept = _fitting(lines, room)
    return [
        "| State | Criterion | Limit | Measured | 95% interval | Samples | Source, load |",
        "| :-- | :-- | :-- | --: | :-- | --: | :-- |",
        *kept,
        "",
        *_left_out(len(kept), len(lines), "criteria"),
    ]


def _remarks(table: Sequence[Row]) -> list[str]:
    lines = [
        f"- {escaped(row.criterion)}: {escaped(remark)}"
        for row in table
        if row.state is not State.KEPT
        for remark in row.remarks
    ]
    kept = _fitting(lines, MOST_CHARACTERS // 4)
    return [*kept, "", *_left_out(len(kept), len(lines), "explanations")]


def _fitting(lines: Sequence[str], room: int) -> list[str]:
    """The first lines that together stay within `room` characters, line ends included."""
    kept = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    return kept


def _left_out(kept: int, of: int, what: str) -> list[str]:
    if kept == of:
        return []
    return [f"_Left out for length: {of - kept} of {of} {what}; the JSON output and the HTML report have them._", ""]


def _line(row: Row) -> str:
    basis = ", ".join(each for each in (row.source, row.load) if each) or NOTHING
    cells = (
        _SIGNS[row.state],
        f"{escaped(row.criterion)}: {escaped(row.text)}",
        *(escaped(each) for each in (row.limit, row.measured, row.interval, row.samples, basis)),
    )
    return f"| {' | '.join(cells)} |"
