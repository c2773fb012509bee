"""The verdict on a terminal, or in a pipe: one table, what explains each row, and one line that says it all."""

from __future__ import annotations

import os
import shutil
from io import StringIO
from typing import IO, TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from headway.model import State
from headway.report.rows import Row, rows, verdict_line
from headway.report.visible import one_line
from headway.report.words import MARKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headway.model import Finding, Verdict

PIPED_WIDTH = 100
LEAST_WIDTH = 60
_INDENT = 16  # where the second column begins: remarks stand below the criterion, not below its state
_STYLES = {State.KEPT: "green", State.BROKEN: "bold red", State.INCONCLUSIVE: "yellow", State.INVALID: "bold magenta"}
_HEADINGS = ("STATE", "CRITERION", "LIMIT", "MEASURED", "95% INTERVAL", "SAMPLES")


def verdict_text(verdict: Verdict, findings: Sequence[Finding], *, stream: IO[str] | None) -> str:
    """
    The verdict as text fit for `stream`: its width, and colour only on a terminal and without NO_COLOR.

    Args:
        verdict: the gate's answer.
        findings: what was found; those that explain no row are listed after the table.
        stream: where it will be written; None is a file.
    """
    on_terminal = stream is not None and stream.isatty()
    color = on_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    width = shutil.get_terminal_size((PIPED_WIDTH, 24)).columns
    text = verdict_table(verdict, findings, width=width, color=color)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def verdict_table(verdict: Verdict, findings: Sequence[Finding], *, width: int, color: bool) -> str:
    """
    The verdict at a given width.

    Each row has a first line (state, criterion, limit, measured, 95% interval, samples) and below it the criterion as
    written, source and load; a row that isn't kept says why. Nothing is cut: long texts wrap.
    """
    return printed(_lines(verdict, findings, max(LEAST_WIDTH, width)), color=color)


def printed(lines: Iterator[Text], *, color: bool) -> str:
    """Lines as one string, with ANSI colours or without."""
    out = StringIO()
    console = Console(
        file=out, force_terminal=color, no_color=not color, color_system="standard" if color else None, width=10_000,
        highlight=False, markup=False, emoji=False, legacy_windows=False,
    )  # fmt: skip
    for line in lines:
        line.rstrip()
        console.print(line, soft_wrap=True)
    return out.getvalue().rstrip("\n")


def wrapped(text: str, width: int, *, indent: int, style: str = "", hang: int = 0) -> Iterator[Text]:
    """`text` in lines of at most `width` cells, indented; a word longer than the line is left whole (paths, URLs)."""
    line = ""
    lead = " " * indent
    for word in text.split():
        joined = f"{line} {word}" if line else word
        if line and cell_len(joined) > width - len(lead):
            yield Text(lead + line, style=style)
            line, lead = word, " " * (indent + hang)
        else:
            line = joined
    if line:
        yield Text(lead + line, style=style)


def _lines(verdict: Verdict, findings: Sequence[Finding], width: int) -> Iterator[Text]:
    table = rows(verdict.judgements)
    yield from wrapped(one_line(f"{verdict.promise_id}: {verdict.promise_title}"), width, indent=0, style="bold")
    yield from wrapped(one_line(f"run {verdict.run_id}"), width, indent=0, style="dim")
    yield Text("")
    if table:
        yield from _table(table, width)
    else:
        yield Text("No criterion was judged.")
    for phase, why in verdict.invalid_phases.items():
        yield from wrapped(
            one_line(f"INVALID phase {phase}: {why}"), width, indent=0, hang=2, style=_STYLES[State.INVALID]
        )
        yield Text("")
    yield from _others(verdict, findings, width)
    yield from _bullets("Notes", verdict.notes, width)
    mark = f"{MARKS[verdict.state]} "
    yield from wrapped(mark + verdict_line(verdict), width, indent=0, hang=2, style=_STYLES[verdict.state])


def _table(table: Sequence[Row], width: int) -> Iterator[Text]:
    firsts = [(f"{MARKS[each.state]} {each.state.value}", *_columns(each)) for each in table]
    sizes = [max(cell_len(row[column]) for row in [_HEADINGS, *firsts]) for column in range(len(_HEADINGS))]
    sizes[0] = _INDENT - 2
    tiers = _tiers(sizes, width)
    yield from _first_lines(_HEADINGS, sizes, tiers, head="bold", style="bold")
    for row, first in zip(table, firsts, strict=True):
        yield from _first_lines(first, sizes, tiers, head=_STYLES[row.state])
        written = not row.priority or f"({row.priority})" in row.text
        yield from wrapped(row.text if written else f"{row.text} ({row.priority})", width, indent=_INDENT)
        basis = " · ".join(each for each in (row.source, row.load) if each)
        yield from wrapped(basis, width, indent=_INDENT, style="dim")
        for remark in row.remarks:
            yield from wrapped(
                f"→ {remark}",
                width,
                indent=_INDENT,
                hang=2,
                style="" if row.state is State.KEPT else _STYLES[row.state],
            )
        if row.where:
            yield from wrapped(row.where, width, indent=_INDENT, style="dim")
        yield Text("")


def _columns(row: Row) -> tuple[str, ...]:
    return row.criterion, row.limit, row.measured, row.interval, row.samples


def _tiers(sizes: Sequence[int], width: int) -> tuple[range, ...]:
    """Which columns stand on which line: all on one where they fit, else the numbers on a second one."""
    every = range(len(sizes))
    if sum(sizes) + 2 * (len(sizes) - 1) <= width:
        return (every,)
    return range(3), range(3, len(sizes))


def _first_lines(
    cells: Sequence[str], sizes: Sequence[int], tiers: Sequence[range], *, head: str, style: str = ""
) -> Iterator[Text]:
    for tier in tiers:
        line = Text(" " * _INDENT if tier.start else "")
        for column in tier:
            padding = " " * (sizes[column] - cell_len(cells[column]))
            is_count = column == len(cells) - 1
            cell = padding + cells[column] if is_count else cells[column] + padding
            line.append(cell, style=style or (head if column == 0 else ""))
            line.append("  ")
        yield line


def _others(verdict: Verdict, findings: Sequence[Finding], width: int) -> Iterator[Text]:
    """Findings that explain no row above."""
    said = {each.explanation for each in verdict.judgements if each.explanation}
    rest = [each for each in findings if each.line not in said]
    yield from _bullets("Also found", [f"{each.line} (phase {each.phase})" for each in rest], width)


def _bullets(title: str, texts: Sequence[str], width: int) -> Iterator[Text]:
    if not texts:
        return
    yield Text(title, style="bold")
    for each in texts:
        yield from wrapped(f"- {one_line(each)}", width, indent=2, hang=2)
    yield Text("")
