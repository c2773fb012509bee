"""
Two runs of one promise side by side: before and after.

A ratio is printed beside both intervals. Where the intervals overlap the change is not clear, and where the loads
differ the two numbers answer different questions: both are said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.cells import cell_len
from rich.text import Text

from headway.errors import BadInput
from headway.evidence import bundle
from headway.load import histogram
from headway.model import Evidence, Judgement, State, Verdict
from headway.report import charts, rows, series
from headway.report.figures import Figures, figures
from headway.report.html import environment
from headway.report.svg import Line, draw
from headway.report.terminal import PIPED_WIDTH, printed, wrapped
from headway.report.visible import one_line
from headway.report.words import MARKS, NOTHING, load_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from markupsafe import Markup

    from headway.model import PhaseHits

Run = tuple[Evidence, Verdict]

OVERLAP = "intervals overlap: no clear change"
NOT_THERE = "not judged in this run"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One clause in both runs; a side is None where that run did not judge it. `change` is after / before, in words."""

    before: rows.Row | None
    after: rows.Row | None
    change: str
    remarks: tuple[str, ...]

    @property
    def either(self) -> rows.Row:
        """The side that names criterion, text and limit: the later one when there are two."""
        row = self.after or self.before
        if row is None:
            raise ValueError("a pair has at least one side")
        return row


@dataclass(frozen=True, kw_only=True)
class PhasePair:
    """One phase in both runs, drawn; `routes` are (name, before, after)."""

    name: str
    load: str
    differs: str
    chart: Markup | None
    routes: tuple[tuple[str, Figures | None, Figures | None], ...]


def side_by_side(before: Run, after: Run) -> str:
    """
    Both verdicts in one table for a terminal or a pipe, no colour.

    Raises:
        BadInput: the two runs were judged by different promises.
    """
    return printed(_lines(before, after), color=False)


def write_html(before: Run, after: Run, path: Path) -> None:
    """
    The same table, and the percentile curves of both runs over each other, in one self-contained HTML file.

    Raises:
        BadInput: the two runs were judged by different promises.
        HeadwayError: the file cannot be written.
    """
    bundle.put(path, page(before, after).encode())


def page(before: Run, after: Run) -> str:
    """The comparison as HTML text."""
    pairs_ = pairs(before[1], after[1])
    return environment().get_template("comparison.html.j2").render(
        title=f"{after[1].promise_id}: before and after",
        sides=(("before", *before, rows.verdict_line(before[1])), ("after", *after, rows.verdict_line(after[1]))),
        pairs=pairs_,
        warnings=unlike(before[0], after[0]),
        phases=_phases(before[0], after[0]),
        not_there=NOT_THERE,
    )  # fmt: skip


def pairs(before: Verdict, after: Verdict) -> tuple[Pair, ...]:
    """
    Clauses of both verdicts matched by criterion and place in it, in the later verdict's order.

    Raises:
        BadInput: the verdicts are of different promises.
    """
    if before.promise_id != after.promise_id:
        raise BadInput(
            f"run {before.run_id} was judged by {before.promise_id}, run {after.run_id} by {after.promise_id}",
            next_act="compare two runs of the same increment",
        )
    old, new = _keyed(before), _keyed(after)
    keys = [*new, *(key for key in old if key not in new)]
    return tuple(_pair(old.get(key), new.get(key)) for key in keys)


def unlike(before: Evidence, after: Evidence) -> tuple[str, ...]:
    """What differs between the runs besides what is being compared: machine, target, an end before its time."""
    out = []
    if before.machine != after.machine:
        out.append("the two runs were made on different machines, or the machine was changed")
    if before.scenario.routes != after.scenario.routes or before.scenario.parameters != after.scenario.parameters:
        out.append("the two runs sent different traffic: the scenario was changed between them")
    out += [
        f"the run {name} was interrupted" for name, each in (("before", before), ("after", after)) if each.interrupted
    ]
    return tuple(out)


def _keyed(verdict: Verdict) -> dict[tuple[str, int], Judgement]:
    seen: dict[str, int] = {}
    out = {}
    for each in verdict.judgements:
        place = seen.get(each.criterion, 0)
        seen[each.criterion] = place + 1
        out[each.criterion, place] = each
    return out


def _pair(before: Judgement | None, after: Judgement | None) -> Pair:
    remarks: list[str] = []
    change = NOTHING
    if before is not None and after is not None:
        ratio = _ratio(before, after)
        if ratio is not None:
            change = f"×{ratio:.3g}"
            if _overlap(before, after):
                remarks.append(OVERLAP)
        if before.clause != after.clause:
            remarks.append("the criterion was changed between the runs")
        if before.load != after.load:
            remarks.append("the loads differ: before and after answer different questions")
    old, new = (rows.rows([each])[0] if each is not None else None for each in (before, after))
    return Pair(before=old, after=new, change=change, remarks=tuple(remarks))


def _ratio(before: Judgement, after: Judgement) -> float | None:
    old, new = before.measured, after.measured
    if old is None or new is None or not old > 0 or not math.isfinite(old) or not math.isfinite(new):
        return None
    return new / old


def _overlap(before: Judgement, after: Judgement) -> bool:
    """Whether the intervals share a value; a side without an interval cannot tell, and is taken to."""
    bounds = (before.low, before.high, after.low, after.high)
    if any(each is None for each in bounds):
        return before.measured == after.measured
    low_b, high_b, low_a, high_a = (float(each) for each in bounds if each is not None)
    return max(low_b, low_a) <= min(high_b, high_a)


def _phases(before: Evidence, after: Evidence) -> tuple[PhasePair, ...]:
    old = {hits.phase.name: hits for hits in before.phases}
    return tuple(_phase(old[hits.phase.name], hits, before, after) for hits in after.phases if hits.phase.name in old)


def _phase(old: PhaseHits, new: PhaseHits, before: Evidence, after: Evidence) -> PhasePair:
    lines, inks = [], (("before", old, "s2", "dashed"), ("after", new, "s1", ""))
    for name, hits, ink, dash in inks:
        x, y = series.by_percentile(histogram.fold(hits.response), int(hits.failures.count.sum()))
        lines.append(Line(name=name, x=x, y=y, ink=ink, dash=dash, steps=True))
    drawn = None
    if any(np.isfinite(line.y).any() for line in lines):
        caption = "Response time of all routes from the intended send time; a curve ends where failed requests begin."
        title = "Latency by percentile, before and after"
        drawn = draw(charts.percentile_chart(lines, (), title=title, caption=caption))
    one, two = load_text(old.phase), load_text(new.phase)
    by_name = {each.route: each for each in figures(old, before.routes)}
    later = figures(new, after.routes)
    return PhasePair(
        name=new.phase.name,
        load=two,
        differs="" if one == two else f"The loads differ: before {one}, after {two}.",
        chart=drawn,
        routes=tuple((each.route, by_name.get(each.route), each) for each in later),
    )


def _lines(before: Run, after: Run) -> Iterator[Text]:
    table = pairs(before[1], after[1])
    verdict = after[1]
    yield Text(one_line(f"{verdict.promise_id}: {verdict.promise_title}, before and after"))
    for name, (evidence, each) in (("before", before), ("after", after)):
        yield from wrapped(f"{name}: run {one_line(evidence.id)}, {each.state.value}", PIPED_WIDTH, indent=2)
    yield Text("")
    cells = [("CRITERION", "LIMIT", "BEFORE", "AFTER", "CHANGE")]
    for pair in table:
        first = (pair.either.criterion, pair.either.limit, _value(pair.before), _value(pair.after), pair.change)
        second = ("", "", _interval(pair.before), _interval(pair.after), "")
        cells += [first, second]
    sizes = [max(cell_len(row[column]) for row in cells) for column in range(5)]
    yield _joined(cells[0], sizes)
    for index, pair in enumerate(table):
        yield from (_joined(row, sizes) for row in cells[1 + 2 * index : 3 + 2 * index] if any(row))
        yield from wrapped(pair.either.text, PIPED_WIDTH, indent=2)
        yield from wrapped(_loads(pair), PIPED_WIDTH, indent=2)
        for remark in pair.remarks:
            yield from wrapped(f"→ {remark}", PIPED_WIDTH, indent=2, hang=2)
        yield Text("")
    for warning in unlike(before[0], after[0]):
        yield from wrapped(f"! {warning}", PIPED_WIDTH, indent=0, hang=2)
    for name, (_, each) in (("before", before), ("after", after)):
        yield from wrapped(f"{name}: {MARKS[each.state]} {rows.verdict_line(each)}", PIPED_WIDTH, indent=0, hang=2)


def _value(row: rows.Row | None) -> str:
    if row is None:
        return NOT_THERE
    said = row.state.value if row.measured == NOTHING or row.state in (State.INCONCLUSIVE, State.INVALID) else ""
    measured = "" if row.measured == NOTHING else row.measured
    return " ".join(each for each in (MARKS[row.state], measured, said) if each)


def _interval(row: rows.Row | None) -> str:
    return "" if row is None or row.interval == NOTHING else f"  {row.interval}"


def _loads(pair: Pair) -> str:
    one = pair.before.load if pair.before else ""
    two = pair.after.load if pair.after else ""
    if one == two or not (one and two):
        return f"under {one or two}" if one or two else ""
    return f"before under {one}; after under {two}"


def _joined(cells: tuple[str, ...], sizes: list[int]) -> Text:
    return Text("  ".join(cell + " " * (size - cell_len(cell)) for cell, size in zip(cells, sizes, strict=True)))
