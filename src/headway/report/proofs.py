"""Proofs for reading: on a terminal, as JSON, and as rows of the HTML report; what would be tried, and the ledger."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headway.evidence import runfile
from headway.model import ProofState
from headway.promises.spoken import percent_text
from headway.prove.foretold import words
from headway.report.visible import one_line
from headway.report.words import NOTHING, bytes_text, ns_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headway.model import Effect, Estimate, Price, Proof
    from headway.prove.ledger import Row
    from headway.prove.prediction import Prediction
    from headway.prove.room import Task

MARKS = {ProofState.WORTH_IT: "✓", ProofState.NOT_WORTH_IT: "✗", ProofState.UNPROVEN: "?"}
SCHEMA = "headway.proofs/1"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One measured thing or one price, as words. `beside` is how far it changed."""

    name: str
    before: str
    after: str
    beside: str = ""


@dataclass(frozen=True, kw_only=True)
class View:
    """One proof, as the report lays it out."""

    mark: str
    state: str
    title: str
    act: str
    reason: str
    estimate: str
    where: str
    at: str
    applied: bool
    effects: tuple[Line, ...]
    prices: tuple[Line, ...]
    notes: tuple[str, ...]


def view(proof: Proof) -> View:
    """A proof as words; nothing in it is made safe yet: templates escape, terminals get `one_line`."""
    return View(
        mark=MARKS[proof.state],
        state=proof.state.value,
        title=proof.remedy.title,
        act=proof.remedy.act,
        reason=proof.reason,
        estimate=estimated(proof.remedy.estimate),
        where=proof.where,
        at=proof.at,
        applied=proof.applied,
        effects=tuple(_effect(each) for each in proof.effects),
        prices=tuple(_price(each) for each in proof.prices),
        notes=proof.notes,
    )


def as_text(proofs: Sequence[Proof], predictions: Sequence[Prediction] = ()) -> str:
    """Every proof: verdict and reason first, then what was measured, its price, and what the reader must know."""
    out: list[str] = []
    for each in proofs:
        shown = view(each)
        out.append(f"{shown.mark} {shown.state}: {one_line(shown.title)}" + (" (applied)" if shown.applied else ""))
        out.append(f"    {one_line(shown.reason)}")
        out += [
            f"    {label} {one_line(text)}"
            for label, text in (("estimated", shown.estimate), ("on", shown.where))
            if text
        ]
        out += _table("measured", shown.effects) + _table("price", shown.prices)
        out += [f"    - {one_line(note)}" for note in shown.notes]
        out.append("")
    counts = {state: sum(each.state is state for each in proofs) for state in ProofState}
    out.append(", ".join(f"{n} {state.value}" for state, n in counts.items()))
    out += list(foretold(predictions))
    return "\n".join(out)


def short(proofs: Sequence[Proof], predictions: Sequence[Prediction] = ()) -> Iterator[str]:
    """Two lines a proof: what it is worth, and why; then what is predicted."""
    for each in map(view, proofs):
        yield f"{each.mark} {each.state}: {one_line(each.title)}" + (" (applied)" if each.applied else "")
        yield f"    {one_line(each.reason)}"
    yield from foretold(predictions)


def foretold(predictions: Sequence[Prediction]) -> Iterator[str]:
    """What the remedies that proved worth it should make of each route's P95."""
    for each in predictions:
        yield (
            f"with {_count(len(each.remedies))}, predicted P95 of {one_line(each.route or 'all routes')}"
            f" {words(each)}, it was {ns_text(each.before_ns)}; by {each.by}"
        )


def as_json(proofs: Sequence[Proof], predictions: Sequence[Prediction] = ()) -> str:
    """The same for a program; base units."""
    content = {
        "schema": SCHEMA,
        "proofs": [runfile.plain(each) for each in proofs],
        "predictions": [runfile.plain(each) for each in predictions],
    }
    return json.dumps(_finite(content), indent=2, allow_nan=False)


def tasks_text(todo: Sequence[Task], where: str) -> str:
    """What would be tried, where nothing is."""
    out = []
    for each in todo:
        finding = each.finding
        out.append(f"{each.number}. {one_line(finding.line)}")
        out.append(f"    {finding.rule}, {finding.fingerprint}")
        out.append(f"    remedy: {one_line(each.remedy.title)}")
        would = "tried" if each.provable else "told, nothing here can try it"
        out.append(f"    would be {would}: {one_line(each.remedy.act)}")
        said = estimated(each.remedy.estimate)
        out += [f"    estimated {one_line(said)}"] if said else []
    if not todo:
        out.append("no finding of this run has a remedy")
    return "\n".join([*out, "", where])


def tasks_json(todo: Sequence[Task]) -> str:
    """The same for a program."""
    return json.dumps(
        {
            "schema": SCHEMA,
            "would_try": [
                {
                    "finding": each.number, "fingerprint": each.finding.fingerprint, "rule": each.finding.rule,
                    "provable": each.provable, "remedy": runfile.plain(each.remedy),
                }
                for each in todo
            ],
        },
        indent=2,
    )  # fmt: skip


def ledger_text(rows: Sequence[Row]) -> str:
    """Estimate beside truth, by rule."""
    if not rows:
        return "the ledger is empty: nothing was proven yet"
    head = ("RULE", "ESTIMATED BY", "PROOFS", "WORTH IT", "NOT", "UNPROVEN", "SIGN RIGHT", "OFF BY")
    body = [
        (
            one_line(each.rule, 30), one_line(each.by, 24), str(each.proofs), str(each.worth_it),
            str(each.not_worth_it), str(each.unproven),
            f"{each.signs_right} of {each.decided}" if each.decided else NOTHING,
            NOTHING if each.error is None else f"×{each.error:.2f}",
        )
        for each in rows
    ]  # fmt: skip
    sizes = [max(len(row[place]) for row in (head, *body)) for place in range(len(head))]
    return "\n".join(
        "  ".join(f"{cell:<{size}}" for cell, size in zip(row, sizes, strict=True)).rstrip() for row in (head, *body)
    )


def ledger_json(rows: Sequence[Row]) -> str:
    """The same for a program."""
    return json.dumps({"schema": "headway.ledger/1", "rows": [runfile.plain(each) for each in rows]}, indent=2)


def estimated(estimate: Estimate | None) -> str:
    """An estimate on one line; empty without one."""
    if estimate is None:
        return ""
    before, after = (amount(each, estimate.unit) for each in (estimate.before, estimate.after))
    return f"{estimate.metric}: {before} → {after}, by {estimate.by}"


def amount(value: float | None, unit: str) -> str:
    """A number in its unit, for reading."""
    if value is None:
        return NOTHING
    if unit == "ns":
        return ns_text(value) if value >= 0 else f"-{ns_text(-value)}"
    if unit == "bytes":
        return bytes_text(value)
    if unit == "ratio":
        return percent_text(value)
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"  # the thing's own name says what is counted


def _effect(effect: Effect) -> Line:
    return Line(
        name=effect.metric,
        before=_between(effect.before, effect.before_low, effect.before_high, effect.unit),
        after=_between(effect.after, effect.after_low, effect.after_high, effect.unit),
        beside=f"{_change(effect)}{effect.samples} samples each",
    )


def _change(effect: Effect) -> str:
    """By how much, in words; past ten times a percentage says little."""
    if effect.before <= 0 or effect.after <= 0 or effect.unit == "ratio":
        return ""
    ratio = effect.after / effect.before
    if ratio <= 0.1:
        return f"{1 / ratio:,.0f} times less, "
    return f"{ratio:,.0f} times more, " if ratio >= 10 else f"{ratio - 1:+.0%}, "


def _between(value: float, low: float, high: float, unit: str) -> str:
    ends = [amount(each, unit) if math.isfinite(each) else "open" for each in (low, high)]
    if ends[0] == ends[1]:
        return amount(value, unit)
    return f"{amount(value, unit)} ({ends[0]} to {ends[1]})"


def _price(price: Price) -> Line:
    return Line(name=price.what, before=amount(price.before, price.unit), after=amount(price.after, price.unit))


def _table(title: str, lines: Sequence[Line]) -> list[str]:
    found = [f"    {title}:"] if lines else []
    for each in lines:
        beside = f"  [{each.beside}]" if each.beside else ""
        found.append(f"      {one_line(each.name, 90)}: {each.before} → {each.after}{beside}")
    return found


def _count(n: int) -> str:
    return "remedy 1" if n == 1 else f"remedies 1-{n}"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
