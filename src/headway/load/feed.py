"""Where a `{name}` gets its values: a file's column, a query, a list; read once before the run."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

from headway.conventions import SQL_TAG
from headway.errors import BadInput, SourceRefused
from headway.load import document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from headway.model import Parameter

    Columns = Mapping[str, tuple[str, ...]]

QUERY_TIMEOUT_MS = 30_000


def values(parameters: Iterable[Parameter], database_url: str | None) -> dict[str, tuple[str, ...]]:
    """
    The lists the parameters draw from, by parameter; empty for ranges. A feed is read once, so its rows stay whole.

    Raises:
        BadInput: no such file or column, no rows, a value that is none, no database to ask.
        SourceRefused: the database refuses.
    """
    found: dict[str, tuple[str, ...]] = {}
    feeds: dict[str, list[Parameter]] = {}
    for each in parameters:
        if each.feed is None:
            found[each.name] = values_of(each, database_url)
        else:
            feeds.setdefault(each.feed, []).append(each)
    for columns in feeds.values():
        found |= _rows(columns, database_url)
    return found


def values_of(parameter: Parameter, database_url: str | None) -> tuple[str, ...]:
    """
    The list one parameter draws from; empty for ranges. Empty cells and NULL are left out.

    Raises:
        BadInput: no such file or column, no rows, no database to ask.
        SourceRefused: the database refuses.
    """
    if parameter.feed is not None:
        return _rows([parameter], database_url)[parameter.name]
    if parameter.csv_file is not None:
        table = _file(parameter, parameter.csv_file)
        name, column = _column(parameter, table)
        found = tuple(each for each in column if each)
        if not found:
            raise BadInput(f"{parameter.csv_file} has no values in column {name!r}", next_act="give it rows")
        return found
    if parameter.query is not None:
        _, first = next(iter(_query(parameter, database_url).items()))
        found = tuple(each for each in first if each is not None)
        if not found:
            raise BadInput(f"the query of {parameter.name} found no values", next_act="load data, or mend its sql")
        return found
    return parameter.values


def _rows(columns: Sequence[Parameter], database_url: str | None) -> dict[str, tuple[str, ...]]:
    """The columns of one feed, of the same length: a row with a NULL in one of them is left out of all."""
    first = columns[0]
    if first.csv_file is not None:
        table: Mapping[str, Sequence[str | None]] = _file(first, first.csv_file)
    else:
        table = _query(first, database_url)
    named = {each.name: _column(each, table)[1] for each in columns}
    kept = [row for row in zip(*named.values(), strict=True) if None not in row]
    if not kept:
        raise BadInput(f"the feed {first.feed} has no rows", next_act="give it rows")
    return {name: tuple(str(row[place]) for row in kept) for place, name in enumerate(named)}


def _column(parameter: Parameter, table: Mapping[str, Sequence[str | None]]) -> tuple[str, Sequence[str | None]]:
    name = parameter.csv_column or next(iter(table), "")
    if name not in table:
        where = parameter.csv_file or f"the query of {parameter.feed or parameter.name}"
        raise BadInput(f"{where} has no column {name!r}", next_act=f"it has {', '.join(table) or 'none'}")
    return name, table[name]


def _file(parameter: Parameter, file: Path) -> Columns:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            return _json_lines(file, stream) if parameter.distribution == "json_lines" else _csv(file, stream)
    except OSError as exc:
        raise BadInput(f"cannot read {file}: {exc.strerror}", next_act="name a file that is there") from exc
    except (UnicodeDecodeError, csv.Error) as exc:
        raise BadInput(f"cannot read {file}: {exc}", next_act="name a CSV file in UTF-8") from exc


def _csv(file: Path, stream: Iterable[str]) -> Columns:
    """By column; empty lines are left out, and a row that is too short or too long is refused with its line."""
    reader = csv.reader(stream, strict=True)
    header = next(reader, [])
    if len(set(header)) < len(header):
        raise BadInput(f"{file} has two columns of one name", next_act="give each its own")
    rows = []
    for row in reader:
        if not row:
            continue
        if len(row) > len(header):
            raise BadInput(
                f"{file} line {reader.line_num} has {len(row)} cells, and the header {len(header)}",
                next_act="quote cells that have a comma in them",
            )
        rows.append([*row, *[""] * (len(header) - len(row))])
    return {name: tuple(row[place] for row in rows) for place, name in enumerate(header)}


def _json_lines(file: Path, stream: Iterable[str]) -> Columns:
    """By member; each line is an object, and each has the first one's members as text, number, true or false."""
    columns: dict[str, list[str]] = {}
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as exc:
            raise BadInput(f"{file} line {number} is not JSON", next_act="write one object a line") from exc
        if not isinstance(row, dict):
            raise BadInput(f"{file} line {number} is no JSON object", next_act="write one object a line")
        texts = {name: text for name, value in row.items() if (text := document.text(value)) is not None}
        if not columns:
            columns = {name: [] for name in texts}
        for name, column in columns.items():
            if name not in texts:
                raise BadInput(
                    f"{file} line {number} has no {name!r}, which the first line has",
                    next_act="give every line the same members",
                )
            column.append(texts[name])
    return {name: tuple(column) for name, column in columns.items()}


def _query(parameter: Parameter, database_url: str | None) -> Mapping[str, Sequence[str | None]]:
    import psycopg

    name = parameter.feed or parameter.name
    if database_url is None:
        kind = "feed" if parameter.feed else "parameter"
        raise BadInput(
            f"the {kind} {name} is read by a query, and no database was named", next_act="name it with --database-url"
        )
    try:
        with psycopg.connect(database_url, connect_timeout=5, application_name="headway") as connection:
            connection.read_only = True
            connection.execute(f"{SQL_TAG} SET LOCAL statement_timeout = {QUERY_TIMEOUT_MS}".encode())
            cursor = connection.execute(f"{SQL_TAG} {parameter.query}".encode())
            rows = cursor.fetchmany(parameter.limit)
            header = [each.name for each in cursor.description or ()]
    except psycopg.errors.QueryCanceled as exc:
        raise BadInput(
            f"the query of {name} took over {QUERY_TIMEOUT_MS // 1000} s", next_act="give it a LIMIT or an index"
        ) from exc
    except psycopg.OperationalError as exc:
        raise SourceRefused(f"the database refused: {_first(exc)}", next_act="mend --database-url") from exc
    except psycopg.Error as exc:
        raise BadInput(f"the query of {name} failed: {_first(exc)}", next_act="mend its sql") from exc
    if parameter.feed is not None and len(set(header)) < len(header):
        raise BadInput(f"the query of {name} has two columns of one name", next_act="name them with AS")
    table: dict[str, Sequence[str | None]] = {}
    for place, column in enumerate(header):
        table.setdefault(column, [None if row[place] is None else str(row[place]) for row in rows])
    return table


def _first(exc: Exception) -> str:
    return str(exc).strip().partition("\n")[0]
