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
_LEFT_OUT = "\n_Left out for length: {} notes and findings; the JSON output and the HTML report have them._\n"


def render(verdict: Verdict, findings: Sequence[Finding], evidence: Evidence) -> str:
    """
    The comment. It begins with a hidden mark (`<!-- headway 0050 -->`) by which a bot finds its earlier one.

    Long runs of notes and findings are cut at GitHub's limit, and the cut is said.
    """
    table = rows(verdict.judgements)
    head = "\n".join(_head(verdict, evidence, table))
    details = [f"- {escaped(each)}" for each in verdict.notes]
    details += [f"- {escaped(each.line)} (phase {escaped(each.phase)})" for each in findings]
    kept, room = [], MOST_CHARACTERS - len(head)
    for each in details:
        room -= len(each) + 1
        if room < 0:
            break
        kept.append(each)
    text = head
    if details:
        text += f"\n<details><summary>Notes and findings ({len(details)})</summary>\n\n" + "\n".join(kept)
        text += "\n" + (_LEFT_OUT.format(len(details) - len(kept)) if len(kept) < len(details) else "")
        text += "\n</details>\n"
    return text


def escaped(text: str, most: int = MOST_TEXT) -> str:
    """One line of outside text that renders as itself: no markup, no cell border, no mention, no link."""
    parted = _LINKING.sub("\\1\u200b", one_line(text, most))
    return _SPECIAL.sub(lambda match: f"&#{ord(match.group())};", parted)


def _head(verdict: Verdict, evidence: Evidence, table: Sequence[Row]) -> list[str]:
    mark = re.sub(r"[^\w.]", "_", verdict.promise_id)
    lines = [
        f"<!-- headway {mark} -->",
        f"### {_SIGNS[verdict.state].replace('**', '')}: {escaped(verdict.promise_title)}",
        "",
        escaped(verdict_line(verdict)),
        "",
    ]
    lines += [f"⚠️ Phase {escaped(phase)} is invalid: {escaped(why)}\n" for phase, why in verdict.invalid_phases.items()]
    if table:
        lines += [
            "| State | Criterion | Limit | Measured | 95% interval | Samples | Source, load |",
            "| :-- | :-- | :-- | --: | :-- | --: | :-- |",
        ]
        lines += [_line(row) for row in table]
    else:
        lines.append("No criterion was judged.")
    lines.append("")
    for row in table:
        remarks = () if row.state is State.KEPT else row.remarks
        lines += [f"- {escaped(row.criterion)}: {escaped(remark)}" for remark in remarks]
    lines += ["", f"Run {escaped(verdict.run_id)} against {escaped(evidence.target_url)}", ""]
    return lines


def _line(row: Row) -> str:
    basis = ", ".join(each for each in (row.source, row.load) if each) or NOTHING
    cells = (
        _SIGNS[row.state],
        f"{escaped(row.criterion)}: {escaped(row.text)}",
        *(escaped(each) for each in (row.limit, row.measured, row.interval, row.samples, basis)),
    )
    return f"| {' | '.join(cells)} |"
