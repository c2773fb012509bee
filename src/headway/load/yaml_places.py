"""
YAML with places, by the rules of its core schema 1.2: `no`, `on` and 12:30 are text, as people mean them.

Anchors may be used; merge keys (`<<`), tags and several documents may not. A key that is there twice is refused.

Source: YAML 1.2.2, chapter 10.3, https://yaml.org/spec/1.2.2/#103-core-schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

from headway.load.places import Place, Rows, Table

MOST_NODES = 100_000
"""Anchors that refer to anchors can make a short text endless."""
_PLAIN: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"~|null|Null|NULL|"), lambda _: None),
    (re.compile(r"true|True|TRUE"), lambda _: True),
    (re.compile(r"false|False|FALSE"), lambda _: False),
    (re.compile(r"[-+]?[0-9]{1,4000}"), int),
    (re.compile(r"0o[0-7]{1,1000}|0x[0-9a-fA-F]{1,1000}"), lambda text: int(text, 0)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), lambda text: float(text.replace(".", "").lower())),
)


class NotYaml(ValueError):
    """The text is not YAML, or not the part of it that is read here; `place` says where."""

    def __init__(self, what: str, place: Place | None) -> None:
        super().__init__(what)
        self.place = place


class _Loader(yaml.SafeLoader):
    """Leaves every plain scalar as it is written: what it means is decided here."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - the library's own form


def read(text: str) -> Table:
    """
    The text's tables; an empty text is an empty table.

    Raises:
        NotYaml: it is not YAML, or has what is not read here.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        what = ", ".join(each for each in (exc.context, exc.problem) if each)
        raise NotYaml(what, None if mark is None else Place(mark.line + 1, mark.column + 1)) from exc
    except yaml.reader.ReaderError as exc:
        before = text[: exc.position]
        raise NotYaml(
            f"the character {exc.character!r} may not stand in YAML",
            Place(before.count("\n") + 1, exc.position - (before.rfind("\n") + 1) + 1),
        ) from exc
    except RecursionError as exc:
        raise NotYaml("it is nested too deeply", None) from exc
    if node is None:
        return Table({}, Place(1, 1))
    reader = _Reader()
    found = reader.value(node)
    if not isinstance(found, Table):
        raise NotYaml("the file is not a table", _place(node))
    return found


class _Reader:
    def __init__(self) -> None:
        self._nodes = 0
        self._open: set[int] = set()

    def value(self, node: yaml.Node) -> Any:
        """A node as a value."""
        self._nodes += 1
        if self._nodes > MOST_NODES or id(node) in self._open or len(self._open) > 100:
            raise NotYaml("it is endless, or nested too deeply", _place(node))
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._table(node)
            if isinstance(node, yaml.SequenceNode):
                _standard(node, "tag:yaml.org,2002:seq")
                items = [self.value(each) for each in node.value]
                return Rows(items, _place(node), [_place(each) for each in node.value])
            return _scalar(node)
        finally:
            self._open.discard(id(node))

    def _table(self, node: yaml.MappingNode) -> Table:
        _standard(node, "tag:yaml.org,2002:map")
        content: dict[str, Any] = {}
        keys_at: dict[str, Place] = {}
        values_at: dict[str, Place] = {}
        for key_node, value_node in node.value:
            key = _scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if isinstance(key, bool | int | float) and key_node.style is None:
                key = key_node.value  # a header called 1, a JSON member called no
            if not isinstance(key, str):
                raise NotYaml("a key that is not text", _place(key_node))
            if key in content:
                raise NotYaml(f"the key {key!r} is there twice", _place(key_node))
            content[key] = self.value(value_node)
            keys_at[key], values_at[key] = _place(key_node), _place(value_node)
        return Table(content, _place(node), keys_at, values_at)


def _scalar(node: Any) -> Any:
    text, mark = str(node.value), node.start_mark
    if node.tag not in {"tag:yaml.org,2002:str", "!"} or mark.buffer[mark.pointer] == "!":
        raise NotYaml(f"the tag {node.tag}", _place(node))
    if node.style is not None:
        return text
    for pattern, meaning in _PLAIN:
        if pattern.fullmatch(text):
            return meaning(text)
    return text


def _standard(node: yaml.Node, tag: str) -> None:
    if node.tag != tag:
        raise NotYaml(f"the tag {node.tag}", _place(node))


def _place(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)
