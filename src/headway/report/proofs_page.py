"""The proofs of one run as one HTML file beside its report: no network, no script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.evidence import bundle
from headway.report import html, proofs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from headway.model import Evidence, Proof
    from headway.prove.prediction import Prediction

FILE = "proofs.html"


def write(evidence: Evidence, found: Sequence[Proof], predictions: Sequence[Prediction]) -> Path:
    """
    Write the page into the run's folder; returns where.

    Raises:
        HeadwayError: the file cannot be written.
    """
    path = evidence.folder / FILE
    bundle.put(path, page(evidence, found, predictions).encode())
    return path


def page(evidence: Evidence, found: Sequence[Proof], predictions: Sequence[Prediction]) -> str:
    """The page as text."""
    return html.environment().get_template("proofs.html.j2").render(
        title=f"Proofs of {evidence.id}", evidence=evidence, proofs=[proofs.view(each) for each in found],
        foretold=list(proofs.foretold(predictions)),
    )  # fmt: skip
