"""Where a `{name}` gets its values: declared in a scenario, read once before the run, drawn in batches during it."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np

from headway.conventions import SQL_TAG
from headway.errors import BadInput, SourceRefused
from headway.model import Parameter

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.load.sheet import Sheet

BATCH = 4096
LARGEST_RANGE = 20_000_000
"""Keys a zipf range may have: its cumulative weights are held in memory, 8 bytes a key."""
LARGEST_NUMBER = 1 << 61
QUERY_TIMEOUT_MS = 30_000
KINDS = ("uniform", "zipf", "values", "csv", "query")


def parameter(sheet: Sheet, name: str, table: Any) -> Parameter:
    """
    One `[parameters.name]` table.

    Raises:
        BadInput: not exactly one source, or one that means nothing.
    """
    if not name.isidentifier():
        raise sheet.refuse(f"parameter name {name!r}", next_act="use letters, digits and _", near=name)
    if not isinstance(table, dict):
        raise sheet.refuse(f"[parameters.{name}] is not a table", next_act="see docs/load.md", near=name)
    sheet.known(table, (*KINDS, "exponent"), f"[parameters.{name}]")
    kinds = [kind for kind in KINDS if kind in table]
    if len(kinds) != 1:
        raise sheet.refuse(
            f"[parameters.{name}] has {len(kinds)} sources", next_act=f"give it one of {', '.join(KINDS)}", near=name
        )
    kind = kinds[0]
    exponent = sheet.number(table, "exponent", None)
    if kind in {"uniform", "zipf"}:
        if exponent is not None:
            raise sheet.refuse(
                f"{name}: exponent beside {kind}", next_act="write zipf = { low = 1, high = 1000, exponent = 1.1 }",
                near="exponent",
            )  # fmt: skip
        return _range(sheet, name, kind, table[kind])
    if kind == "values":
        values = table["values"]
        if (
            not isinstance(values, list)
            or not values
            or not all(isinstance(each, str | int | float) for each in values)
        ):
            raise sheet.refuse(f"{name}: values is not a list of values", next_act='say values = ["a", "b"]', near=name)
        return Parameter(name=name, distribution=kind, values=tuple(map(str, values)), exponent=exponent)
    detail = table[kind]
    wanted = ("file", "column") if kind == "csv" else ("sql", "limit")
    if not isinstance(detail, dict) or not isinstance(detail.get(wanted[0]), str):
        raise sheet.refuse(f"{name}: {kind} is incomplete", next_act=f"it has {' and '.join(wanted)}", near=name)
    sheet.known(detail, wanted, f"{name}: {kind}")
    if kind == "csv":
        file = sheet.file.parent / detail["file"]
        found = Parameter(
            name=name, distribution=kind, csv_file=file, csv_column=detail.get("column"), exponent=exponent
        )
        try:
            values_of(found, None)
        except BadInput as exc:
            raise sheet.refuse(exc.what, next_act=exc.next_act, near=name) from exc
        return found
    limit = sheet.whole(detail, "limit", 100_000) or 100_000
    return Parameter(name=name, distribution=kind, query=detail["sql"], limit=limit, exponent=exponent)


def _range(sheet: Sheet, name: str, kind: str, detail: Any) -> Parameter:
    keys = ("low", "high", "exponent") if kind == "zipf" else ("low", "high")
    if not isinstance(detail, dict):
        raise sheet.refuse(f"{name}: {kind} is not a table", next_act="say { low = 1, high = 1000 }", near=name)
    sheet.known(detail, keys, f"{name}: {kind}")
    low, high = detail.get("low", 1), detail.get("high")
    if not isinstance(low, int) or not isinstance(high, int) or not -LARGEST_NUMBER <= low <= high <= LARGEST_NUMBER:
        raise sheet.refuse(f"{name}: low..high is not a range", next_act="say { low = 1, high = 1000 }", near=name)
    if kind == "zipf" and high - low >= LARGEST_RANGE:
        raise sheet.refuse(f"{name}: over {LARGEST_RANGE:,} keys", next_act="use uniform, or fewer keys", near=name)
    exponent = (sheet.number(detail, "exponent", 1.0) or 1.0) if kind == "zipf" else None
    return Parameter(name=name, distribution=kind, low=low, high=high, exponent=exponent)


def values_of(parameter: Parameter, database_url: str | None) -> tuple[str, ...]:
    """
    The list a parameter draws from; empty for ranges.

    Raises:
        BadInput: no such file or column, no rows, no database to ask.
        SourceRefused: the database refuses.
    """
    if parameter.distribution == "csv":
        return _csv(parameter)
    if parameter.distribution == "query":
        return _query(parameter, database_url)
    return parameter.values


def _csv(parameter: Parameter) -> tuple[str, ...]:
    file = parameter.csv_file
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:  # type: ignore[union-attr]  # set for csv
            reader = csv.DictReader(stream)
            column = parameter.csv_column or (reader.fieldnames or ("",))[0]
            if column not in (reader.fieldnames or ()):
                raise BadInput(
                    f"{file} has no column {column!r}", next_act=f"it has {', '.join(reader.fieldnames or ())}"
                )
            found = tuple(row[column] for row in reader if row[column])
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise BadInput(f"cannot read {file}: {exc}", next_act="name a CSV file in UTF-8") from exc
    if not found:
        raise BadInput(f"{file} has no values in column {column!r}", next_act="give it rows")
    return found


def _query(parameter: Parameter, database_url: str | None) -> tuple[str, ...]:
    import psycopg

    if database_url is None:
        raise BadInput(
            f"the parameter {parameter.name} is read by a query, and no database was named",
            next_act="name it with --database-url",
        )
    try:
        with psycopg.connect(database_url, connect_timeout=5, application_name="headway") as connection:
            connection.read_only = True
            connection.execute(f"{SQL_TAG} SET LOCAL statement_timeout = {QUERY_TIMEOUT_MS}".encode())
            rows = connection.execute(f"{SQL_TAG} {parameter.query}".encode()).fetchmany(parameter.limit)
    except psycopg.errors.QueryCanceled as exc:
        raise BadInput(
            f"the query of {parameter.name} took over {QUERY_TIMEOUT_MS // 1000} s",
            next_act="give it a LIMIT or an index",
        ) from exc
    except psycopg.OperationalError as exc:
        raise SourceRefused(f"the database refused: {_first(exc)}", next_act="mend --database-url") from exc
    except psycopg.Error as exc:
        raise BadInput(f"the query of {parameter.name} failed: {_first(exc)}", next_act="mend its sql") from exc
    found = tuple(str(row[0]) for row in rows if row[0] is not None)
    if not found:
        raise BadInput(f"the query of {parameter.name} found no values", next_act="load data, or mend its sql")
    return found


def _first(exc: Exception) -> str:
    return str(exc).strip().partition("\n")[0]


def drawer(parameter: Parameter, values: tuple[str, ...], rng: np.random.Generator) -> Callable[[], list[str]]:
    """
    A function that draws a batch of values.

    Args:
        parameter: what to draw.
        values: what `values_of` gave.
        rng: its randomness; the same seed draws the same values.

    Returns:
        () -> list of BATCH strings.
    """
    size = len(values) or (parameter.high or 0) - (parameter.low or 0) + 1
    low = parameter.low or 0
    if parameter.exponent is None:
        ranks: Callable[[], Any] = lambda: rng.integers(0, size, BATCH)  # noqa: E731 - chosen once, called often
    else:
        cumulative = np.cumsum(np.arange(1, size + 1, dtype=np.float64) ** -parameter.exponent)
        cumulative /= cumulative[-1]
        ranks = lambda: np.searchsorted(cumulative, rng.random(BATCH))  # noqa: E731
    if values:
        return lambda: [values[rank] for rank in ranks().tolist()]
    return lambda: [str(rank) for rank in (ranks() + low).tolist()]
