"""Why a statement is slow though no index is missing, and the statement as it could be written instead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from headway.diagnose.accesses import accesses, read_sql
from headway.diagnose.comparing import How
from headway.diagnose.words import quoted
from headway.promises.spoken import duration_text
from headway.thresholds import INDEXED_MIN_TABLE_ROWS
from headway.thresholds.rules import (
    INDEX_FEW_ROWS,
    MISESTIMATE_MIN_RATIO,
    MISESTIMATE_MIN_ROWS,
    OFFSET_MIN_BLOCKS_A_ROW,
    SPILL_MIN_BYTES,
    WIDE_COLUMN_MIN_BYTES,
    WIDE_MIN_BYTES_A_CALL,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.diagnose.accesses import Access
    from headway.diagnose.catalog import Catalog
    from headway.model import Statement

PAGE_BYTES = 8192


@dataclass(frozen=True, kw_only=True)
class Reason:
    """
    One reason. `act` is what would be done; `rewritten`: it is the statement, changed.

    `counted`: it rests on what the server counted, not on what the planner thinks.
    """

    name: str
    said: str
    title: str
    act: str
    rewritten: bool = False
    counted: bool = False
    table: str | None = None
    speaks_for: tuple[str, ...] = ()
    speaks_against: tuple[str, ...] = ()


def reasons(statement: Statement, catalog: Catalog) -> Iterator[Reason]:
    """Every reason that this statement's counters, plan and text give."""
    found = accesses(statement.text, catalog.columns) or ()
    spill = _spill(statement)
    if spill is not None:
        yield spill
    for access in found:
        for each in (_offset, _function, _wide):
            reason = each(statement, access, catalog)
            if reason is not None:
                yield reason
    misestimate = _misestimate(statement, found)
    if misestimate is not None:
        yield misestimate


def _spill(statement: Statement) -> Reason | None:
    bytes_a_call = statement.temp_blocks_written * PAGE_BYTES / max(1, statement.calls)
    if bytes_a_call < SPILL_MIN_BYTES:
        return None
    mib = bytes_a_call / (1 << 20)
    # A sort takes more room in memory than in its files, by two to three times.
    memory = 1 << max(3, int(mib * 3)).bit_length()
    return Reason(
        name="spill",
        said=f"each call writes {mib:,.1f} MiB to temporary files: a sort or hash does not fit into work_mem",
        title="sort and hash in memory, or sort less",
        act=f"SET LOCAL work_mem = '{memory}MB'  -- in this statement's transaction only",
        counted=True,
        speaks_for=("temporary files are counted, not guessed",),
        speaks_against=(
            "work_mem is taken by each sort of each connection: set for all, it can exhaust memory",
            "a LIMIT, fewer columns or an index in the rows' order may do without",
        ),
    )


def _offset(statement: Statement, access: Access, catalog: Catalog) -> Reason | None:
    rows = max(1.0, statement.rows / max(1, statement.calls))
    blocks = (statement.blocks_hit + statement.blocks_read) / max(1, statement.calls)
    known = catalog.rows(access.table)
    if not access.offset or not _by_columns(access) or known is None or known <= INDEXED_MIN_TABLE_ROWS:
        return None
    if blocks / rows < OFFSET_MIN_BLOCKS_A_ROW and blocks < INDEX_FEW_ROWS:
        return None
    changed = _keyset(statement.text, access)
    keys = ", ".join(quoted(each.column) for each in access.order)
    return Reason(
        name="offset", table=access.table,
        said=f"OFFSET reads the rows it skips: {blocks:,.0f} pages looked at for {rows:,.0f} rows given",
        title=f"go on after the last row's ({keys}), given as parameters, instead of counting rows from the start",
        act=changed or f"WHERE ({keys}) comes after the last row of the page before, instead of OFFSET",
        rewritten=changed is not None,
        counted=True,
        speaks_for=("its cost grows with the page's number; a key's doesn't",),
        speaks_against=(
            "one can't jump to page 1,000 by key",
            "the order must be unique, or rows are skipped: end it with the primary key",
            "columns that may be NULL need a condition of their own",
        ),
    )  # fmt: skip


def _by_columns(access: Access) -> bool:
    """Whether the rows have an order, of columns themselves."""
    return bool(access.order) and all(each.plain for each in access.order)


def _keyset(text: str, access: Access) -> str | None:
    """The statement with a condition in place of its OFFSET; None: it isn't a single SELECT in one direction."""
    root = read_sql(text)
    descending = {each.descending for each in access.order}
    if not isinstance(root, exp.Select) or len(descending) != 1 or root.args.get("offset") is None:
        return None
    changed: Any = root.copy()
    changed.set("offset", None)
    names = [f"{quoted(access.alias)}.{quoted(each.column)}" for each in access.order]
    last = [f"${number}" for number in _free_numbers(text, root.args["offset"], len(names))]
    sign = "<" if descending == {True} else ">"
    condition = f"({', '.join(names)}) {sign} ({', '.join(last)})" if len(names) > 1 else f"{names[0]} {sign} {last[0]}"
    return str(changed.where(condition, dialect="postgres").sql("postgres"))


def _free_numbers(text: str, offset: Any, many: int) -> list[int]:
    """Parameters for the last row's values: the OFFSET's own first, then those after the statement's last."""
    own = re.findall(r"\$(\d{1,5})", offset.sql("postgres"))[:1]
    last = max((int(each) for each in re.findall(r"\$(\d{1,5})", text)), default=0)
    return [*(int(each) for each in own), *range(last + 1, last + many + 1)][:many]


def _function(statement: Statement, access: Access, catalog: Catalog) -> Reason | None:
    rows = catalog.rows(access.table)
    if not access.functions or rows is None or rows <= INDEXED_MIN_TABLE_ROWS or not _scanned(statement, access.table):
        return None
    changed = _without_function(statement.text, access, catalog)
    return Reason(
        name="function", table=access.table,
        said=f"the condition {access.functions[0]} computes with the column of each of {rows:,.0f} rows",
        title="compare the column itself, so that an index of it can be used",
        act=changed or f"rewrite {access.functions[0]} so that the column stands alone on one side",
        rewritten=changed is not None,
        speaks_for=("no index of the column can serve it as it is written",),
        speaks_against=("an index of the column must be there too, and few rows must meet the condition",),
    )  # fmt: skip


def _without_function(text: str, access: Access, catalog: Catalog) -> str | None:
    """`date(at) = $1` or `at::date = $1` as a half-open range of days; None: no condition of that form."""
    root: Any = read_sql(text)
    if root is None:
        return None
    for condition in root.find_all(exp.EQ):
        side, day = condition.this, condition.expression
        is_day = isinstance(side, (exp.Date, exp.TsOrDsToDate)) or (
            isinstance(side, exp.Cast) and side.to.this is exp.DataType.Type.DATE
        )
        column = side.this if is_day else None
        if not isinstance(column, exp.Column) or not isinstance(day, exp.Parameter | exp.Cast | exp.Literal):
            continue
        known = catalog.column(access.table, column.name)
        if known is None or not known.type.startswith("timestamp"):
            continue
        name, value = column.sql("postgres"), day.sql("postgres")
        condition.replace(_parsed(f"{name} >= CAST({value} AS date) AND {name} < CAST({value} AS date) + 1"))
        return str(root.sql("postgres"))
    return None


def _parsed(condition: str) -> Any:
    return exp.condition(condition, dialect="postgres")


def _scanned(statement: Statement, table: str) -> bool:
    return statement.plan is not None and any(
        each.table == table and not each.stops_early for each in statement.plan.scans
    )  # fmt: skip


def _wide(statement: Statement, access: Access, catalog: Catalog) -> Reason | None:
    rows = statement.rows / max(1, statement.calls)
    if access.selected is not None or access.writes:
        return None  # it names its columns: they were chosen
    wide = {
        name: known.average_bytes for name in sorted(catalog.columns[access.table])
        if (known := catalog.column(access.table, name)) is not None and known.average_bytes is not None
        and known.average_bytes >= WIDE_COLUMN_MIN_BYTES
    }  # fmt: skip
    size = rows * sum(wide.values())
    if not wide or rows < 2 or size < WIDE_MIN_BYTES_A_CALL:
        return None
    narrow = ", ".join(quoted(each) for each in sorted(catalog.columns[access.table]) if each not in wide)
    return Reason(
        name="wide", table=access.table,
        said=f"SELECT * gives {rows:,.0f} rows a call, {size / 1024:,.0f} KiB of them in {', '.join(wide)}",
        title=f"name the columns that are used: {', '.join(wide)} may not be",
        act=f"SELECT {narrow} ...  -- without {', '.join(wide)}, where a list doesn't show them",
        speaks_for=("wide values are stored apart and fetched one by one, then sent and parsed",),
        speaks_against=("whether the service uses them is not in the database's evidence",),
    )  # fmt: skip


def _misestimate(statement: Statement, found: tuple[Access, ...]) -> Reason | None:
    """The planner's rows against those given, for a SELECT that gives all it finds."""
    plan = statement.plan.json if statement.plan is not None else None
    if not isinstance(plan, list) or not plan or any(each.limited or each.writes for each in found) or not found:
        return None
    top = plan[0].get("Plan", {})
    if top.get("Node Type") in {"Aggregate", "Group", "Limit", "ModifyTable", "Result"}:
        return None
    planned, given = float(top.get("Plan Rows", 0)), statement.rows / max(1, statement.calls)
    low, high = sorted((max(1.0, planned), max(1.0, given)))
    if high / low < MISESTIMATE_MIN_RATIO or high - low < MISESTIMATE_MIN_ROWS:
        return None
    access = found[0]
    compared = [each for each in access.predicates if each.how in {How.EQUAL, How.ANY} and each.plain]
    columns = sorted({each.key for each in compared})
    table = ".".join(quoted(each) for each in access.table.rpartition(".")[::2] if each)
    together = f"CREATE STATISTICS ON {', '.join(columns)} FROM {table}; " if len(columns) > 1 else ""
    return Reason(
        name="estimate", table=access.table,
        said=f"the planner expects {planned:,.0f} rows, a call gives {given:,.0f} on average",
        title="tell the planner how the rows are spread",
        act=f"{together}ANALYZE {table}",
        speaks_for=(f"{duration_text(statement.mean_ns)} on average with a plan made for another number of rows",),
        speaks_against=(
            "the plan seen is the one without the parameters' values: with them it may be better",
            "a subquery or a function hides from the planner what statistics can't tell it",
        ),
    )  # fmt: skip
