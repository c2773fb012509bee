"""The latency budget: one bar a band with a table of its parts, and the same as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from headway.model import BudgetPart
from headway.report.visible import one_line
from headway.report.words import ns_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headway.model import Budget, BudgetBand

INKS = {
    BudgetPart.QUEUE: "s6",
    BudgetPart.ARRIVAL: "s6 pale",
    BudgetPart.ACCEPT: "s6 pale",
    BudgetPart.NETWORK: "s5 pale",
    BudgetPart.POOL: "s3",
    BudgetPart.DATABASE: "s1",
    BudgetPart.CACHE: "s4",
    BudgetPart.DOWNSTREAM: "s5",
    BudgetPart.CPU: "s2",
    BudgetPart.OWN_WAITING: "s2 pale",
    BudgetPart.OWN: "s2",
}
RESIDUE = "not explained"


def lines(found: Sequence[Budget]) -> list[str]:
    """For a terminal: a heading a budget, a line a band, its parts by size, its residue."""
    out: list[str] = []
    for budget in found:
        out.append(f"latency budget of {_whose(budget)} ({one_line(budget.phase)}, from {budget.by})")
        for band in budget.bands:
            parts = sorted((each for each in band.parts if each.ns > 0), key=lambda each: -each.ns)
            words = ", ".join(f"{each.part.value} {ns_text(each.ns)} ({_share(each.ns, band)})" for each in parts)
            left = f"{RESIDUE} {_signed(band.residue_ns)} ({_share(band.residue_ns, band)})"
            out.append(f"  {band.band}: {ns_text(band.measured_ns)} = {words}; {left}{_overlap(band)}")
        out += [f"  {one_line(note)}" for note in budget.notes]
    return out


def draw(found: Sequence[Budget]) -> Markup | None:
    """For the report; None when there is none."""
    if not found:
        return None
    return Markup().join(_budget(each) for each in found)


def _budget(budget: Budget) -> Markup:
    heading = Markup("<h3>{} <small>phase {}, from {}</small></h3>").format(
        one_line(_whose(budget)), one_line(budget.phase), budget.by
    )
    bands = Markup().join(_band(budget, each) for each in budget.bands)
    notes = Markup().join(Markup("<li>{}</li>").format(one_line(each)) for each in budget.notes)
    said = Markup('<ul class="notes">{}</ul>').format(notes) if budget.notes else Markup()
    return heading + Markup('<div class="grid two">{}</div>').format(bands) + said


def _band(budget: Budget, band: BudgetBand) -> Markup:
    whole = max(band.measured_ns, sum(each.ns for each in band.parts)) or 1.0
    segments = [(INKS[each.part], each.part.value, each.ns) for each in band.parts if each.ns > 0]
    if band.residue_ns > 0:
        segments.append(("left", RESIDUE, band.residue_ns))
    bar = Markup().join(
        Markup('<i class="{}" style="width:{}%" title="{}"></i>').format(
            ink, f"{ns / whole * 100:.2f}", f"{name}: {ns_text(ns)}"
        )
        for ink, name, ns in segments
    )
    rows = Markup().join(
        _row(INKS[each.part], each.part.value, each.ns, band, each.how) for each in band.parts if each.ns > 0
    ) + _row("left", RESIDUE, band.residue_ns, band, "measured less all of the above")
    label = one_line(f"{_whose(budget)}, {band.band}: {ns_text(band.measured_ns)}")
    return Markup(
        '<div class="panel budget"><h4>{}: {}</h4><p class="soft">{}</p>'
        '<div class="bar" role="img" aria-label="{}">{}</div>'
        '<div class="scroll" tabindex="0" role="region" aria-label="{}"><table><tbody>{}</tbody></table></div></div>'
    ).format(band.band, ns_text(band.measured_ns), _rests(band), label, bar, label, rows)


def _row(ink: str, name: str, ns: float, band: BudgetBand, how: str) -> Markup:
    return Markup(
        '<tr><td class="w"><i class="key {}"></i>{}</td><td class="n">{}</td><td class="n">{}</td>'
        '<td class="text soft">{}</td></tr>'
    ).format(ink, name, _signed(ns), _share(ns, band), one_line(how))


def _rests(band: BudgetBand) -> str:
    traced = f", taken apart in {band.traced:,} traces" if band.traced else ""
    return f"mean response time of {band.requests:,} requests{traced}{_overlap(band)}"


def _overlap(band: BudgetBand) -> str:
    if band.overlap_ns < 0.01 * band.measured_ns:
        return ""
    return f"; {ns_text(band.overlap_ns)} more ran behind longer calls, counted in none"


def _whose(budget: Budget) -> str:
    return one_line(budget.route) if budget.route is not None else "all requests"


def _share(ns: float, band: BudgetBand) -> str:
    return f"{ns / band.measured_ns:.0%}" if band.measured_ns else "–"


def _signed(ns: float) -> str:
    return f"-{ns_text(-ns)}" if ns < 0 else ns_text(ns)
