"""
Statements that are slow for another reason than a missing index.

A page by OFFSET, a sort or hash that spills, a function on a column, SELECT * of wide columns, a wrong estimate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.diagnose.catalog import Catalog
from headway.diagnose.slowness import reasons
from headway.diagnose.windows import answered
from headway.diagnose.words import fingerprint, one_line
from headway.model import Confidence, Finding, Location, Remedy, RemedyKind, Subject
from headway.promises.spoken import duration_text
from headway.thresholds.rules import INDEX_MIN_MEAN_NS, INDEX_MIN_SHARE_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.diagnose.slowness import Reason
    from headway.model import Evidence, PhaseHits, Statement

RULE = "slow-statement"
COSTS = (Subject.LATENCY, Subject.THROUGHPUT, Subject.ERROR_RATE, Subject.AVAILABILITY)


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding a statement and reason, in the phase where it cost most."""
    catalog = Catalog(evidence)
    best: dict[str, tuple[float, Finding]] = {}
    for hits in evidence.phases:
        for statement in evidence.statements:
            if statement.phase != hits.phase.name or _small(statement) is not None:
                continue
            for reason in reasons(statement, catalog):
                finding = _finding(evidence, hits, statement, reason)
                if finding.fingerprint not in best or best[finding.fingerprint][0] < statement.total_ns:
                    best[finding.fingerprint] = statement.total_ns, finding
    yield from (finding for _, finding in best.values())


def why_not(evidence: Evidence, statement_id: str) -> str | None:
    """Why it says nothing of a statement; None: it does, or there is no such statement."""
    catalog = Catalog(evidence)
    found = [each for each in evidence.statements if each.id == statement_id]
    if not found or any(_small(each) is None and any(reasons(each, catalog)) for each in found):
        return None
    small = [why for each in found if (why := _small(each)) is not None]
    if len(small) == len(found):
        return small[0]
    return "it pages by no OFFSET, spills nothing, computes with no column, and gives about as many rows as planned"


def _small(statement: Statement) -> str | None:
    if statement.is_utility or statement.nested:
        return "it is no statement of the service's own that has a plan"
    if statement.share_ratio >= INDEX_MIN_SHARE_RATIO and statement.mean_ns >= INDEX_MIN_MEAN_NS:
        return None
    return f"it takes {duration_text(statement.mean_ns)} on average and {statement.share_ratio:.1%} of database time"


def _finding(evidence: Evidence, hits: PhaseHits, statement: Statement, reason: Reason) -> Finding:
    own = (each for each in evidence.statements if each.phase == hits.phase.name and not each.nested)
    busy = sum(each.total_ns for each in own) / 1e9 / max(1, hits.seconds)
    remedy = Remedy(
        kind=RemedyKind.REWRITE if reason.rewritten else RemedyKind.CODE, title=one_line(reason.title, 200),
        act=reason.act, parameters={"statement_ids": [statement.id], "reason": reason.name}
        | ({"sql": reason.act} if reason.rewritten else {}),
    )  # fmt: skip
    return Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=(
            f"{one_line(reason.said, 200)}: {statement.share_ratio:.0%} of database time,"
            f" {duration_text(statement.mean_ns)} on average over {statement.calls:,} calls: {one_line(statement.text)}"
        ),
        explains=COSTS,
        share_ratio=statement.share_ratio,
        share_of="database time",
        weight_ratio=statement.share_ratio * min(1.0, busy / evidence.machine.cores) * 0.999,  # after a missing index
        fingerprint=fingerprint(RULE, reason.name, statement.text),
        location=Location(statement_id=statement.id, statement=statement.text, table=reason.table),
        confidence=Confidence.LIKELY if reason.counted else Confidence.POSSIBLE,
        cost_ns=statement.total_ns / answered(hits) if answered(hits) else None,
        reasons_for=reason.speaks_for,
        reasons_against=reason.speaks_against,
        remedies=(remedy,),
    )
