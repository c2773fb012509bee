"""One run as one HTML file: no network, no script, nothing from outside that a browser could run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headway.diagnose import budget as budgets
from headway.evidence import bundle
from headway.model import State
from headway.promises.spoken import percent_text
from headway.prove import record
from headway.report import budget, coverage, flame, proofs, rows, sections, words
from headway.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Environment

    from headway.model import Evidence, Finding, Verdict


def write(evidence: Evidence, verdict: Verdict, findings: Sequence[Finding], path: Path) -> None:
    """
    Write the report of one run; a reader of `path` sees the whole file or the one before it.

    Raises:
        HeadwayError: the file cannot be written.
    """
    bundle.put(path, page(evidence, verdict, findings).encode())


def page(evidence: Evidence, verdict: Verdict, findings: Sequence[Finding]) -> str:
    """The report as text."""
    return environment().get_template("report.html.j2").render(
        title=f"{verdict.promise_id}: {verdict.state.value}",
        evidence=evidence,
        verdict=verdict,
        verdict_line=rows.verdict_line(verdict),
        table=rows.rows(verdict.judgements),
        findings=findings,
        proofs=[proofs.view(each) for each in record.read(evidence.folder)],
        phases=[
            sections.phase_view(evidence, hits, verdict, number) for number, hits in enumerate(evidence.phases, start=1)
        ],
        host=sections.host_charts(evidence),
        budget=budget.draw(budgets.read(evidence.folder)),
        profile=flame.section(evidence),
        coverage=coverage.lines(evidence),
        loopback=sections.shares_the_machine(evidence.target_url),
        absent=lambda source: sections.absent(evidence, source),
    )  # fmt: skip


def environment() -> Environment:
    """Templates with autoescape always on; every string that is printed is first made visible."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("headway.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    made.filters.update(
        ns=words.ns_text,
        count=words.count_text,
        size=words.bytes_text,
        percent=lambda ratio: words.NOTHING if ratio is None else percent_text(ratio),
    )
    made.globals.update(mark=lambda state: words.MARKS[State(state)], QUANTILES=("P50", "P95", "P99", "P99.9"))
    return made


def _finalize(value: object) -> object:
    """Paths, enumerations and numbers print as text too; only what this room marked as HTML passes as it is."""
    return value if hasattr(value, "__html__") else visible(str(value))
