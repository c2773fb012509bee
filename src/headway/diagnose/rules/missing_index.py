"""
Statements that read a table whole, or sort more than they give, for want of an index that their conditions name.

Use when: few of many rows are asked for, often. Don't: small tables, conditions that most rows meet, tables that are
written more than read; every index makes writes slower and is one more thing to keep in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headway.diagnose import fixed
from headway.diagnose.accesses import accesses
from headway.diagnose.catalog import Catalog
from headway.diagnose.comparing import How
from headway.diagnose.index_choice import Wanted, merged, wanted
from headway.diagnose.windows import answered
from headway.diagnose.words import fingerprint, one_line, quoted
from headway.diagnose.written import entries
from headway.model import Confidence, Estimate, Finding, Location, Remedy, RemedyKind, Subject
from headway.promises.spoken import duration_text
from headway.thresholds import INDEXED_MIN_TABLE_ROWS
from headway.thresholds.rules import (
    INDEX_FEW_ROWS,
    INDEX_MIN_MEAN_NS,
    INDEX_MIN_SHARE_RATIO,
    INDEX_MOST_MATCHING_RATIO,
    INDEX_WRITE_NS,
    INDEX_WRITES_MAX_RATIO,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headway.diagnose.accesses import Access
    from headway.model import Evidence, PhaseHits, Statement

RULE = "missing-index"
COSTS = (Subject.LATENCY, Subject.THROUGHPUT, Subject.INDEXED, Subject.ERROR_RATE, Subject.AVAILABILITY)
_READS = frozenset({"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan"})


@dataclass(frozen=True, kw_only=True)
class _Wish:
    """An index that one statement wants."""

    statement: Statement
    want: Wanted
    planned: bool  # its plan was seen, and reads as the wish says


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding an index, in the phase where the statements that want it cost most."""
    catalog = Catalog(evidence)
    best: dict[str, tuple[float, Finding]] = {}
    for hits in evidence.phases:
        statements = [each for each in evidence.statements if each.phase == hits.phase.name]
        wishes = [wish for each in statements for wish in _wishes(each, catalog)[0]]
        for want, places in merged([each.want for each in wishes]):
            served = _distinct([wishes[place] for place in places])
            writes = _writes(want, statements, catalog)
            if _too_dear(want, served, writes) is not None:
                continue
            finding = _finding(evidence, hits, want, served, statements, writes)
            weight = sum(each.statement.total_ns for each in served)
            if finding.fingerprint not in best or best[finding.fingerprint][0] < weight:
                best[finding.fingerprint] = weight, finding
    yield from (finding for _, finding in best.values())


def why_not(evidence: Evidence, statement_id: str) -> str | None:
    """Why no index is advised for a statement; None: one is, or there is no such statement."""
    catalog = Catalog(evidence)
    found = [each for each in evidence.statements if each.id == statement_id]
    reasons: list[str] = []
    for statement in found:
        wishes, against = _wishes(statement, catalog)
        others = [each for each in evidence.statements if each.phase == statement.phase]
        dear = [
            why
            for wish in wishes
            if (why := _too_dear(wish.want, [wish], _writes(wish.want, others, catalog))) is not None
        ]
        if wishes and not dear:
            return None
        reasons += [*against, *dear]
    return "; ".join(dict.fromkeys(reasons)) or None


def _wishes(statement: Statement, catalog: Catalog) -> tuple[list[_Wish], list[str]]:
    """The indexes that a statement wants, and in words why its other accesses want none."""
    if statement.is_utility or statement.nested:
        return [], ["it is no statement of the service's own that has a plan"]
    if statement.share_ratio < INDEX_MIN_SHARE_RATIO or statement.mean_ns < INDEX_MIN_MEAN_NS:
        return [], [
            f"it takes {duration_text(statement.mean_ns)} on average and {statement.share_ratio:.1%} of database time:"
            " an index would gain nothing one could measure"
        ]
    found = accesses(fixed.text(statement), catalog.columns)
    if found is None:
        return [], ["its text cannot be parsed"]
    wishes, against = [], []
    for access in found:
        seen = _seen(statement, access, catalog)
        want = wanted(
            access, catalog, rows_a_call=_rows_a_call(statement, found), driven_ratio=_driven(access, found, catalog)
        )
        if isinstance(want, str):
            against.append(want)
        elif seen is False:
            against.append(f"its plan reads few rows of {access.table} already")
        else:
            wishes.append(_Wish(statement=statement, want=want, planned=bool(seen)))
    return wishes, against or ["it reads no table that is known"]


def _rows_a_call(statement: Statement, found: tuple[Access, ...]) -> float | None:
    """Rows left a call, where they are one table's: no limit, no join. Of an aggregate a plan with values tells."""
    if len(found) != 1 or found[0].limited or not statement.calls:
        return None
    text = statement.text.lower()
    whole = any(word in text for word in ("count(", "sum(", "max(", "min(", "avg(", "group by", "distinct"))
    return _rows_planned(statement, found[0]) if whole else statement.rows / statement.calls


def _with_values(statement: Statement) -> list[dict[str, Any]]:
    """Plans made with real values, the surer first: that of the slowest logged execution, of texts seen as they ran."""
    found = [each.plan for each in (statement.logged, statement.live) if each is not None]
    return [each for each in found if isinstance(each, dict)]


def _rows_planned(statement: Statement, access: Access) -> float | None:
    """What an execution left of the table: as it was, where the log says so, else by the planner with its values."""
    plan = next(iter(_with_values(statement)), None)
    if plan is None:
        return None
    nodes = [node for node, _ in _nodes(plan, sorting=False)]
    workers = max(int(node.get("Workers Planned", 0)) for node in nodes)
    known = [node.get("Actual Rows", node.get("Plan Rows")) for node in nodes if _is_of(node, access)]
    rows = [float(each) for each in known if isinstance(each, int | float)]
    return max(rows) * (1 + workers) if rows else None  # what a parallel scan gives is of each worker


def _driven(access: Access, found: tuple[Access, ...], catalog: Catalog) -> float | None:
    """The share of a table's rows that a join asks for: what the other table's own conditions leave, times each key."""
    for join in access.predicates:
        other = next((each for each in found if each.alias == join.other), None)
        if join.how is not How.JOIN or other is None:
            continue
        own = [each for each in other.predicates if each.how in {How.EQUAL, How.ANY}]
        rows = catalog.rows(other.table)
        if not own or rows is None:
            continue
        left = rows
        for each in own:
            left *= catalog.ratio(other.table, each)
        return min(1.0, max(left, 1.0) * catalog.ratio(access.table, join))
    return None


def _seen(statement: Statement, access: Access, catalog: Catalog) -> bool | None:
    """Whether the plan reads much of the table: None, when there is none or the table isn't in it."""
    plans: list[object] = [*_with_values(statement)]
    if statement.plan is not None and isinstance(statement.plan.json, list) and statement.plan.json:
        plans.append(statement.plan.json[0].get("Plan"))
    nodes = (list(_nodes(each, sorting=False)) for each in plans if isinstance(each, dict))
    own = next((found for each in nodes if (found := [pair for pair in each if _is_of(pair[0], access)])), None)
    if own is None:
        return None
    return any(_much(node, access, catalog, sorting=sorting) for node, sorting in own)


def _nodes(node: Mapping[str, Any], *, sorting: bool) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """Every node, and whether a Sort stands above it with nothing between but a filter or a gather."""
    yield node, sorting
    kind = node.get("Node Type", "")
    below = kind in {"Sort", "Incremental Sort"} or (sorting and kind in {"Gather Merge", "Gather", "Result"})
    for child in node.get("Plans", ()):
        yield from _nodes(child, sorting=below)


def _is_of(node: Mapping[str, Any], access: Access) -> bool:
    schema, _, name = access.table.rpartition(".")
    fits = node.get("Relation Name") == name and node.get("Schema", "public") == (schema or "public")
    return bool(fits and node.get("Alias", name) in {access.alias, name} and node.get("Node Type") in _READS)


def _much(node: Mapping[str, Any], access: Access, catalog: Catalog, *, sorting: bool) -> bool:
    """Whether a scan looks at far more rows than it gives, or gives many to be sorted for a few."""
    rows = catalog.rows(access.table) or 0.0
    if sorting and access.order and access.limited and float(node.get("Plan Rows", 0)) > 100:
        return True
    if node.get("Node Type") == "Seq Scan":
        return rows > INDEXED_MIN_TABLE_ROWS and (bool(node.get("Filter")) or sorting or bool(access.predicates))
    # An index that finds many rows to throw most of them away.
    return bool(node.get("Filter"))


def _distinct(wishes: list[_Wish]) -> list[_Wish]:
    return list({each.statement.id: each for each in wishes}.values())


def _writes(want: Wanted, statements: list[Statement], catalog: Catalog) -> int:
    """Entries that the index would get."""
    said = " ".join((*want.keys, *want.included, want.where or ""))
    return entries(statements, want.table, said, catalog.columns.get(want.table, frozenset()))


def _too_dear(want: Wanted, wishes: list[_Wish], writes: int) -> str | None:
    """Why the index's price in writes speaks against it."""
    saved_ns = sum(each.statement.total_ns for each in wishes) * (1 - min(want.ratio, INDEX_MOST_MATCHING_RATIO))
    if writes * INDEX_WRITE_NS <= INDEX_WRITES_MAX_RATIO * saved_ns:
        return None
    reads = sum(each.statement.calls for each in wishes)
    return (
        f"it would be written {writes:,} times for {reads:,} reads it would serve: some"
        f" {duration_text(writes * INDEX_WRITE_NS)} of writing for {duration_text(saved_ns)} of reading saved"
    )


def _finding(
    evidence: Evidence, hits: PhaseHits, want: Wanted, wishes: list[_Wish], statements: list[Statement], writes: int
) -> Finding:
    wishes = sorted(wishes, key=lambda each: -each.statement.total_ns)
    first = wishes[0].statement
    total_ns = sum(each.statement.total_ns for each in wishes)
    calls = sum(each.statement.calls for each in wishes)
    share = min(1.0, sum(each.statement.share_ratio for each in wishes))
    busy = sum(each.total_ns for each in statements if not each.nested) / 1e9 / max(1, hits.seconds)
    keys = ", ".join(want.keys)
    return Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=(
            f"no index of {one_line(want.table, 60)} begins with ({one_line(keys)}): {share:.0%} of database time,"
            f" {duration_text(total_ns / max(1, calls))} on average over {calls:,} calls: {one_line(first.text)}"
        ),
        explains=COSTS,
        share_ratio=share,
        share_of="database time",
        weight_ratio=share * min(1.0, busy / evidence.machine.cores) * 1.001,  # before the statement it explains
        fingerprint=fingerprint(RULE, want.table, keys, want.where or "", want.method),
        details=tuple(f"{duration_text(each.statement.mean_ns)}: {one_line(each.statement.text)}" for each in wishes),
        location=Location(statement_id=first.id, statement=first.text, table=want.table),
        confidence=Confidence.LIKELY if all(each.planned for each in wishes) else Confidence.POSSIBLE,
        cost_ns=total_ns / answered(hits) if answered(hits) else None,
        reasons_for=_reasons_for(want, wishes),
        reasons_against=_reasons_against(want, writes, calls),
        remedies=(_remedy(want, wishes),),
    )


def _reasons_for(want: Wanted, wishes: list[_Wish]) -> tuple[str, ...]:
    left = max(1.0, want.rows * want.ratio)
    whole = want.sorts and not want.equal
    found = [] if whole else [f"its conditions leave about {left:,.0f} of {want.rows:,.0f} rows"]
    if want.sorts and left > INDEX_FEW_ROWS:
        found.append(f"it would give the rows in their order: the first few instead of a sort of {left:,.0f}")
    if any(each.planned for each in wishes):
        found.append("the plan reads the table whole, or sorts what it finds")
    return tuple(found)


def _reasons_against(want: Wanted, writes: int, reads: int) -> tuple[str, ...]:
    found = [f"it would be written {writes:,} times for {reads:,} of these reads"] if writes else []
    if want.method == "gin":
        found.append("a GIN index is large, and dear to write")
    if any("gin_trgm_ops" in each for each in want.keys):
        found.append("it needs the extension pg_trgm, and patterns of three characters at least")
    return (*found, "what it costs in disk and writes is measured by 'headway prove'")


def _remedy(want: Wanted, wishes: list[_Wish]) -> Remedy:
    statement = sql(want)
    return Remedy(
        kind=RemedyKind.INDEX,
        title=f"an index of {want.table} on ({', '.join(want.keys)}){f' where {want.where}' if want.where else ''}",
        act=statement,
        parameters={
            "table": want.table, "columns": list(want.keys), "include": list(want.included), "where": want.where or "",
            "method": want.method, "statement_ids": [each.statement.id for each in wishes], "sql": statement,
        },
        estimate=Estimate(
            metric="rows looked at a call", before=want.rows, after=_looked_at(want, wishes), unit="rows",
            by="the table's statistics",
        ),
    )  # fmt: skip


def _looked_at(want: Wanted, wishes: list[_Wish]) -> float:
    """Rows a call: what the conditions leave, or in the rows' order no more than are given."""
    left = want.rows * want.ratio
    if want.sorts:
        left = min(left, max(each.statement.rows / max(1, each.statement.calls) for each in wishes))
    return max(1.0, left)


def sql(want: Wanted) -> str:
    """The statement that makes the index; names quoted where they must be."""
    schema, _, name = want.table.rpartition(".")
    table = ".".join(quoted(each) for each in (schema, name) if each)
    included = f" INCLUDE ({', '.join(want.included)})" if want.included else ""
    where = f" WHERE {want.where}" if want.where else ""
    using = "" if want.method == "btree" else f" USING {want.method}"
    return f"CREATE INDEX CONCURRENTLY ON {table}{using} ({', '.join(want.keys)}){included}{where}"
