"""A comparison as one HTML file, in the manner of the other reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.compare.calls import Call
from headway.evidence import bundle
from headway.model import State
from headway.report import differences
from headway.report.html import environment

if TYPE_CHECKING:
    from pathlib import Path

    from headway.compare.comparison import Comparison

STATES = {
    Call.WORSE: State.BROKEN,
    Call.BETTER: State.KEPT,
    Call.SAME: State.KEPT,
    Call.NOT_WORSE: State.KEPT,
    Call.OPEN: State.INCONCLUSIVE,
}
"""A call, by the colour and sign it has among the other reports' states."""
BY_EXIT = {0: State.KEPT, 3: State.BROKEN, 4: State.INCONCLUSIVE, 5: State.INVALID}


def write(found: Comparison, path: Path) -> None:
    """
    Write the page; a reader of `path` sees the whole file or the one before it.

    Raises:
        HeadwayError: the file cannot be written.
    """
    bundle.put(path, page(found).encode())


def page(found: Comparison) -> str:
    """The page as text."""
    return environment().get_template("differences.html.j2").render(
        title="B against A",
        found=found,
        state=BY_EXIT[int(found.exit_code)],
        line=differences.verdict_line(found),
        sides=differences.sides(found),
        states=STATES,
        told=differences,
    )  # fmt: skip
