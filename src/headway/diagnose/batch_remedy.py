"""What is to be done about an N+1: the batched statement or command, and what an object-relational mapper calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.diagnose import command_shape
from headway.diagnose.batching import batched, chosen_key, orm_hint
from headway.diagnose.statement_shape import shape, table_of
from headway.diagnose.words import one_line
from headway.model import Estimate, Remedy, RemedyKind

if TYPE_CHECKING:
    from headway.diagnose.statement_shape import Key
    from headway.diagnose.traced_repeats import Repeated
    from headway.model import Evidence, Statement

POSTGRESQL = frozenset({"postgresql", "postgres", "cockroachdb", "unknown", "other_sql"})
MOST_CALLS = 1_000
"""Calls a proof makes at most, however many a request did."""


def of_statement(evidence: Evidence, repeated: Repeated, counted: Statement | None) -> Remedy | None:
    """One statement for all keys; None when the text has no key."""
    # What pg_stat_statements kept is whole and has every placeholder; a span's text may be cut off.
    text = counted.text if counted is not None else repeated.statement
    key = chosen_key(shape(text), repeated.seen.source)
    if key is None:
        return None
    table = table_of(text, key)
    made = None
    if repeated.system in POSTGRESQL:
        made = batched(text, key, key_type=key_type(evidence, table, key), unique=is_unique(evidence, table, key))
    hint = orm_hint(repeated.statement, repeated.shape, key, repeated.seen.source)
    at = f" at {one_line(repeated.seen.code, 80)}" if repeated.seen.code else ""
    many = made.batched if made is not None else f"... WHERE {key.column} IN (all keys), rows grouped by {key.column}"
    parameters = _parameters(repeated) | {
        "statement": made.single if made is not None else text,
        "batched": made.batched if made is not None else "",
        "key_column": key.column,
        "key_table": key.table or "",
        "unique": is_unique(evidence, table, key),
        "statement_id": counted.id if counted is not None else "",
        "table": table or "",
    }
    return Remedy(
        kind=RemedyKind.BATCH,
        title=f"ask for all {one_line(key.column, 40)} at once{at}",
        act="\n".join([many, *([hint + at] if hint else [])]),
        parameters=parameters,
        estimate=_estimate(repeated),
    )


def of_command(repeated: Repeated) -> Remedy:
    """One round trip for all keys of Redis."""
    name = command_shape.command(repeated.statement)
    many = command_shape.READS[name]
    at = f" at {one_line(repeated.seen.code, 80)}" if repeated.seen.code else ""
    template = command_shape.template(repeated.statement)
    parameters = _parameters(repeated) | {
        "statement": repeated.statement,
        "batched": "MGET" if name == "GET" else "pipeline",
        "key_column": template,
        "statement_id": "",
        "table": "",
    }
    return Remedy(
        kind=RemedyKind.BATCH,
        title=f"read {one_line(template, 60) or 'the keys'} by {many}{at}",
        act=f"{many} with all keys, in place of {name} for each",
        parameters=parameters,
        estimate=_estimate(repeated),
    )


def key_type(evidence: Evidence, table: str | None, key: Key) -> str | None:
    """The key's type as the catalog has it; None where that wasn't read."""
    return next((each.type for each in evidence.columns if each.table == table and each.name == key.column), None)


def is_unique(evidence: Evidence, table: str | None, key: Key) -> bool:
    """Whether an index sees to it that a key is one row's only."""
    return any(
        each.unique and each.valid and each.table == table and each.columns == (key.column,) and not each.predicate
        for each in evidence.indexes
    )


def _parameters(repeated: Repeated) -> dict[str, Any]:
    return {
        "system": repeated.system,
        "route": repeated.route,
        "calls": min(MOST_CALLS, max(2, round(repeated.calls_a_request))),
        "cost_ns": repeated.cost_ns,
        "repeating_ratio": repeated.requests / repeated.time.requests,
        "overlap": max(1.0, sum(repeated.seen.total_ns) / max(1, sum(repeated.seen.cost_ns))),
        "request_ns": repeated.time.total_ns / repeated.time.requests,
        "manner": repeated.seen.manners.most_common(1)[0][0].value,
    }


def _estimate(repeated: Repeated) -> Estimate:
    route = one_line(repeated.route, 60)
    before = repeated.calls_a_request
    return Estimate(
        metric=f"calls of it in a request of {route}", before=before, after=1.0, unit="queries a request", by="spans"
    )
