"""
Go's gob encoding, as far as a stream of values needs that carries its own types: numbers, text, structs, slices, maps.

Source: https://pkg.go.dev/encoding/gob, "Encoding Details" and "Types".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BOOL, INT, UINT, FLOAT, BYTES, STRING = 1, 2, 3, 4, 5, 6
_COMMON, _ARRAY, _SLICE, _STRUCT, _FIELD, _FIELDS, _MAP, _OPAQUE, _WIRE = range(100, 109)
DEEPEST = 64


class NotGob(ValueError):
    """The bytes are not a gob stream, or end in the middle of a value."""


@dataclass(frozen=True)
class Type:
    """One type of the stream: `kind` is struct, list, map or opaque; `inner` names fields or elements by type id."""

    kind: str
    inner: tuple[tuple[str, int], ...] = ()


_OPENING = {  # the types in which types are told; ids of our own where gob's own are never sent
    _COMMON: Type("struct", (("Name", STRING), ("Id", INT))),
    _ARRAY: Type("struct", (("Common", _COMMON), ("Elem", INT), ("Len", INT))),
    _SLICE: Type("struct", (("Common", _COMMON), ("Elem", INT))),
    _FIELD: Type("struct", (("Name", STRING), ("Id", INT))),
    _FIELDS: Type("list", (("", _FIELD),)),
    _STRUCT: Type("struct", (("Common", _COMMON), ("Field", _FIELDS))),
    _MAP: Type("struct", (("Common", _COMMON), ("Key", INT), ("Elem", INT))),
    _OPAQUE: Type("struct", (("Common", _COMMON),)),
    _WIRE: Type("struct", (
        ("array", _ARRAY), ("slice", _SLICE), ("struct", _STRUCT), ("map", _MAP),
        ("gob", _OPAQUE), ("binary", _OPAQUE), ("text", _OPAQUE),
    )),
}  # fmt: skip


def values(data: bytes) -> Iterator[Any]:
    """
    Every value of a stream, in order: structs as dicts without their zero fields, opaque types as bytes.

    Raises:
        NotGob: at the first byte that fits nowhere; what came before has been given.
    """
    types: dict[int, Type] = {}
    at = 0
    while at < len(data):
        length, at = _uint(data, at)
        end = at + length
        if length == 0 or end > len(data):
            raise NotGob(f"a message of {length} bytes at byte {at} goes beyond the end")
        reader = Reader(data[at:end], types)
        at = end
        number = reader.signed()
        if number < 0:
            types[-number] = _told(reader.value(_WIRE))
            continue
        if types.get(number, Type("")).kind != "struct" and reader.unsigned() != 0:
            raise NotGob("a value that is no struct begins with a zero")
        yield reader.value(number)
        if reader.left:
            raise NotGob(f"{reader.left} bytes too many in a message")


def _uint(data: bytes, at: int) -> tuple[int, int]:
    """Below 128 one byte; else the number of bytes, negated, and the bytes."""
    if at >= len(data):
        raise NotGob("ends in the middle of a number")
    first = data[at]
    if first < 128:
        return first, at + 1
    size = 256 - first
    if size > 8 or at + 1 + size > len(data):
        raise NotGob(f"no number begins with byte {first:#x}")
    return int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size


def _told(wire: dict[str, Any]) -> Type:
    if len(wire) != 1:
        raise NotGob("a type of no kind")
    ((kind, detail),) = wire.items()
    if kind == "struct":
        return Type("struct", tuple((each.get("Name", ""), each.get("Id", 0)) for each in detail.get("Field", [])))
    if kind in {"slice", "array"}:
        return Type("list", (("", detail.get("Elem", 0)),))
    if kind == "map":
        return Type("map", (("", detail.get("Key", 0)), ("", detail.get("Elem", 0))))
    return Type("opaque")


class Reader:
    """One message."""

    def __init__(self, data: bytes, types: dict[int, Type]) -> None:
        self._data = data
        self._types = types
        self._at = 0
        self._depth = 0
        self._basic: dict[int, Callable[[], Any]] = {
            STRING: lambda: self.blob().decode("utf-8", "replace"),
            UINT: self.unsigned,
            INT: self.signed,
            BYTES: self.blob,
            BOOL: lambda: bool(self.unsigned()),
            FLOAT: lambda: struct.unpack("<d", self.unsigned().to_bytes(8, "big"))[0],
        }

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._at

    def unsigned(self) -> int:
        """An unsigned number."""
        value, self._at = _uint(self._data, self._at)
        return value

    def signed(self) -> int:
        """A signed number: the lowest bit says that the others are to be complemented."""
        value = self.unsigned()
        return ~(value >> 1) if value & 1 else value >> 1

    def blob(self) -> bytes:
        """A length and as many bytes."""
        length = self.unsigned()
        if length > self.left:
            raise NotGob(f"{length} bytes announced, {self.left} there")
        self._at += length
        return self._data[self._at - length : self._at]

    def value(self, number: int) -> Any:
        """A value of the type with that number."""
        basic = self._basic.get(number)
        if basic is not None:
            return basic()
        return self._composite(number)

    def _composite(self, number: int) -> Any:
        kind = _OPENING.get(number) or self._types.get(number)
        if kind is None:
            raise NotGob(f"type {number} was never told")
        self._depth += 1
        if self._depth > DEEPEST:
            raise NotGob("types within types without end")
        try:
            if kind.kind == "struct":
                return self._struct(kind)
            if kind.kind == "opaque":
                return self.blob()
            count = self.unsigned()
            if count > self.left:
                raise NotGob(f"{count} elements announced, {self.left} bytes there")
            ids = [inner for _, inner in kind.inner]
            if kind.kind == "map":
                return {self.value(ids[0]): self.value(ids[1]) for _ in range(count)}
            return [self.value(ids[0]) for _ in range(count)]
        finally:
            self._depth -= 1

    def _struct(self, kind: Type) -> dict[str, Any]:
        found: dict[str, Any] = {}
        field = -1
        while step := self.unsigned():
            field += step
            if field >= len(kind.inner):
                raise NotGob(f"a struct of {len(kind.inner)} fields has none with number {field}")
            name, inner = kind.inner[field]
            found[name] = self.value(inner)
        return found
