"""Dataclasses as Parquet and back: one row each, one column a field, units in the columns' names."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from headway.errors import BundleDamaged
from headway.evidence.bundle import put

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Row = TypeVar("Row")

_SIMPLE: dict[object, Any] = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
PER_SECOND = {
    "CacheUse": ("second", "hits", "misses"),
    "EdgeUse": ("second", "served_from_cache", "asked_of_origin"),
}


def write(path: Path, kind: type[Row], rows: Sequence[Row], *, leave_out: frozenset[str] = frozenset()) -> None:
    """
    Write rows of one dataclass; an empty file keeps its columns.

    Raises:
        HeadwayError: the disk is full or read-only.
    """
    schema = _schema(kind, leave_out)
    columns = {name: [_value(row, name) for row in rows] for name in schema.names}
    table = pa.table(columns, schema=schema)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    put(path, sink.getvalue().to_pybytes())


def read(path: Path, kind: type[Row]) -> tuple[Row, ...]:
    """
    Read what `write` wrote. A column this version doesn't know is left out; a missing one must have a default.

    Raises:
        BundleDamaged: not a Parquet file, cut short, or of other columns.
    """
    hints = typing.get_type_hints(kind, localns={"Mapping": Mapping})
    known = {field.name for field in fields(typing.cast("Any", kind))}
    maps = {name for name in known if typing.get_origin(hints[name]) is Mapping}
    try:
        # Memory-mapped files would keep a deleted run on disk; these are small.
        with path.open("rb") as stream:
            # Not read_table: the threads it reads with may still be starting when the process ends, which aborts it.
            table = pq.ParquetFile(stream, pre_buffer=False).read(use_threads=False)
        rows = table.select([name for name in table.column_names if name in known]).to_pylist()
        return tuple(
            kind(**{name: dict(value or ()) if name in maps else _back(value) for name, value in row.items()})
            for row in rows
        )
    except (pa.ArrowException, OSError, TypeError, ValueError) as exc:
        raise BundleDamaged(f"cannot be read: {exc}", next_act="run again", file=path) from exc


def _schema(kind: type[Any], leave_out: frozenset[str]) -> pa.Schema:
    hints = typing.get_type_hints(kind, localns={"Mapping": Mapping})
    names = [field.name for field in fields(kind) if field.name not in leave_out]
    return pa.schema([pa.field(name, _column(kind, hints[name])) for name in names])


def _column(kind: type[Any], hint: Any) -> Any:
    if isinstance(hint, types.UnionType):
        (hint,) = (each for each in typing.get_args(hint) if each is not types.NoneType)
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    origin = typing.get_origin(hint)
    if origin is Mapping:
        return pa.map_(pa.string(), pa.int64())
    if origin is tuple and typing.get_args(hint)[0] in _SIMPLE:
        return pa.list_(_SIMPLE[typing.get_args(hint)[0]])
    if origin is tuple:
        return pa.list_(pa.struct([(name, pa.int64()) for name in PER_SECOND[kind.__name__]]))
    raise TypeError(f"no column type for {hint}")


def _value(row: object, name: str) -> Any:
    value = getattr(row, name)
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, tuple) and type(row).__name__ in PER_SECOND:
        names = PER_SECOND[type(row).__name__]
        return [dict(zip(names, each, strict=True)) for each in value]
    return value


def _back(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    if value and isinstance(value[0], dict):
        return tuple(tuple(each.values()) for each in value)
    return tuple(value)
