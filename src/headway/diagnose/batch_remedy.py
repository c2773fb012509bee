"""What is to be done about an N+1: the batched statement or command, and what an object-relational mapper calls it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headway.diagnose import command_shape
from headway.diagnose.batching import batched, chosen_key, orm_hint
from headway.diagnose.statement_shape import shape, table_of
from headway.diagnose.words import one_line
from headway.model import Estimate, Remedy, RemedyKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headway.diagnose.statement_shape import Key
    from headway.diagnose.traced_repeats import Repeated
    from headway.model import Evidence, Statement

POSTGRESQL = frozenset({"postgresql", "postgres", "cockroachdb", "unknown", "other_sql"})
MOST_CALLS = 1_000
"""Calls a proof makes at most, however many a request did."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A statement that is asked once for each key, however that was found out."""

    text: str
    source: str | None  # the statement that was read before it
    system: str
    counted: Statement | None
    parameters: Mapping[str, Any]
    estimate: Estimate
    code: str | None = None


def of_repeated(evidence: Evidence, repeated: Repeated, counted: Statement | None) -> Remedy | None:
    """One statement for all keys, of one that spans showed; None when the text has no key."""
    asked = Asked(
        text=repeated.statement, source=repeated.seen.source, system=repeated.system, counted=counted,
        parameters=_parameters(repeated), estimate=_estimate(repeated.route, repeated.calls_a_request, "spans"),
        code=repeated.seen.code,
    )  # fmt: skip
    return of_statement(evidence, asked)


def of_statement(evidence: Evidence, asked: Asked) -> Remedy | None:
    """One statement for all keys; None when the text has no key."""
    # What pg_stat_statements kept is whole and has every placeholder; a span's text may be cut off.
    text = asked.counted.text if asked.counted is not None else asked.text
    described = shape(text)
    key = chosen_key(described, asked.source)
    if key is None:
        return None
    table = table_of(text, key)
    unique = is_unique(evidence, table, key)
    made = None
    if asked.system in POSTGRESQL:
        made = batched(text, key, key_type=key_type(evidence, table, key), unique=unique)
    hint = orm_hint(asked.text, described, key, asked.source)
    at = f" at {one_line(asked.code, 80)}" if asked.code else ""
    many = made.batched if made is not None else f"... WHERE {key.column} IN (all keys), rows grouped by {key.column}"
    return Remedy(
        kind=RemedyKind.BATCH,
        title=f"ask for all {one_line(key.column, 40)} at once{at}",
        act="\n".join([many, *([hint + at] if hint else [])]),
        parameters=dict(asked.parameters) | {
            "statement": made.single if made is not None else text,
            "batched": made.batched if made is not None else "",
            "key_column": key.column,
            "key_table": key.table or "",
            "unique": unique,
            "statement_id": asked.counted.id if asked.counted is not None else "",
            "table": table or "",
        },
        estimate=asked.estimate,
    )  # fmt: skip


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
        estimate=_estimate(repeated.route, repeated.calls_a_request, "spans"),
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


def _estimate(route: str, before: float, by: str) -> Estimate:
    metric = f"calls of it in a request of {one_line(route, 60)}"
    return Estimate(metric=metric, before=before, after=1.0, unit="queries a request", by=by)
