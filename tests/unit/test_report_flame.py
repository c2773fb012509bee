"""Flame graphs and budgets as HTML: no script, nothing hostile, reachable by keyboard, widths that are times."""

from __future__ import annotations

import html.parser

import pytest

from headway.evidence.stacks import CPU, Frame, Profile, Samples
from headway.model import Budget, BudgetBand, BudgetPart, Spent
from headway.report import budget, flame

HOSTILE = '</label><script>alert(1)</script>"onfocus="x\x1b[2J\u202e'


def _profile(*rows: tuple[float, tuple[int, ...]]) -> Profile:
    frames = tuple(Frame(name=name, file="a.py", line=1, own=True) for name in ("main", "left", "right", HOSTILE))
    samples = Samples(
        process=HOSTILE, pid=1, thread="t", clock=CPU, phase="p", at_s=(), seconds=tuple(s for s, _ in rows),
        stacks=tuple(stack for _, stack in rows),
    )  # fmt: skip
    return Profile(frames=frames, threads=(samples,), rates_per_s={CPU: 50})


class Tags(html.parser.HTMLParser):
    """Collects the tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def _tags(text: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(text)
    return parser.seen


def test_widths_are_shares_and_callers_stand_above_what_they_call() -> None:
    """Three quarters of the time is three quarters of the width, below its caller, beside the rest."""
    profile = _profile((3.0, (0, 1)), (1.0, (0, 2)))
    shown = {
        cell.node.function[1]: cell
        for cell in flame.cells(flame.tree(profile, flame._stacks(profile, profile.threads)))
    }
    assert (shown["left"].width, shown["right"].width) == (0.75, 0.25)
    assert shown["right"].left == 0.75
    assert shown["left"].depth == shown["main"].depth + 1


def test_hostile_names_are_text() -> None:
    """A function named as markup makes no tag and no attribute, and its control characters are shown as escapes."""
    profile = _profile((1.0, (0, 3)), (1.0, (0, 1)))
    text = str(flame.draw(profile, profile.threads, title=HOSTILE, caption="c", name="flame-1"))
    tags = _tags(text)
    assert {tag for tag, _ in tags} == {"figure", "figcaption", "h4", "p", "div", "input", "label"}
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_every_cell_can_be_chosen_with_the_keyboard_and_says_what_it_is() -> None:
    """One group of radio buttons, each with a label and its words for a screen reader; the first is chosen."""
    profile = _profile((3.0, (0, 1)), (1.0, (0, 2)))
    text = str(flame.draw(profile, profile.threads, title="t", caption="c", name="flame-1"))
    inputs = [attributes for tag, attributes in _tags(text) if tag == "input"]
    labels = [attributes["for"] for tag, attributes in _tags(text) if tag == "label"]
    assert [each["id"] for each in inputs] == labels
    assert {each["name"] for each in inputs} == {"flame-1"}
    assert "checked" in inputs[0]
    assert any("75.0%" in str(each["aria-label"]) for each in inputs)


def test_a_profile_of_endless_recursion_stays_bounded() -> None:
    """Ten thousand different stacks and a recursion of 5,000 frames give a page of bounded size."""
    frames = tuple(Frame(name=f"f{n}", file="a.py", line=1, own=True) for n in range(5_000))
    rows = [(1.0, (n % 5_000,)) for n in range(10_000)] + [(100.0, tuple(range(5_000)))]
    samples = Samples(
        process="app", pid=1, thread="t", clock=CPU, phase="p", at_s=(), seconds=tuple(s for s, _ in rows),
        stacks=tuple(stack for _, stack in rows),
    )  # fmt: skip
    profile = Profile(frames=frames, threads=(samples,), rates_per_s={CPU: 50})
    assert len(str(flame.draw(profile, profile.threads, title="t", caption="c", name="f"))) < 2_000_000


def _band(residue_ns: float = 5e6) -> BudgetBand:
    parts = (
        Spent(part=BudgetPart.DATABASE, ns=30e6, how="spans"), Spent(part=BudgetPart.OWN, ns=15e6, how=HOSTILE),
        Spent(part=BudgetPart.CACHE, ns=0.0, how="none"),
    )  # fmt: skip
    return BudgetBand(
        band="p50",
        requests=10,
        traced=10,
        measured_ns=45e6 + residue_ns,
        parts=parts,
        residue_ns=residue_ns,
        overlap_ns=9e6,
    )


@pytest.mark.parametrize("residue_ns", [5e6, -5e6])
def test_a_budget_says_its_parts_its_residue_and_what_ran_behind(residue_ns: float) -> None:
    """The residue is shown with its sign, parallel time is said, hostile routes stay text; bars fill 100% at most."""
    found = [Budget(phase="p", route=HOSTILE, by="traces", bands=(_band(residue_ns),), notes=(HOSTILE,))]
    text = "\n".join(budget.lines(found))
    sign = "-" if residue_ns < 0 else ""
    assert f"not explained {sign}5.00 ms" in text
    assert "database 30.0 ms" in text
    assert "9.00 ms more ran behind longer calls" in text
    assert "\x1b" not in text
    drawn = str(budget.draw(found))
    assert "script" not in {tag for tag, _ in _tags(drawn)}
    widths = [
        float(str(a["style"]).split(":")[1].rstrip("%")) for tag, a in _tags(drawn) if tag == "i" and "style" in a
    ]
    assert sum(widths) <= 100.1


def test_no_budget_is_no_section() -> None:
    """A run without traces and statements has no empty chart."""
    assert budget.draw(()) is None
    assert budget.lines(()) == []
