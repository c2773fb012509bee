"""Alerting rules in Prometheus rule files: groups, rules, alert, expr; each error with its line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from headway.errors import BadInput
from headway.evidence import promql

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What rule files or a Prometheus define: alert name -> expression, and the names of recording rules."""

    alerts: tuple[tuple[str, str], ...] = ()
    records: frozenset[str] = frozenset()


def read(file: Path) -> Rules:
    """
    The rules of one file.

    Raises:
        BadInput: not readable, not YAML, not rules; with the line.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise BadInput(f"is over {MOST_BYTES >> 20} MiB", next_act="name a rule file", file=file)
        root = yaml.compose(content.decode("utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, RecursionError) as exc:
        raise BadInput(f"cannot be read: {exc}", next_act="mend it or name another", file=file) from exc
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else None
        raise BadInput(f"is not YAML: {exc.problem}", next_act="mend this line", file=file, line=line) from exc
    except yaml.YAMLError as exc:
        raise BadInput(f"is not YAML: {exc}", next_act="mend it", file=file) from exc
    if root is None:
        return Rules()
    return _rules(root, file)


def _rules(root: yaml.Node, file: Path) -> Rules:
    alerts: list[tuple[str, str]] = []
    records: set[str] = set()
    for group in _items(_member(root, "groups", file), "groups", file):
        for rule in _items(_member(group, "rules", file), "rules", file):
            names = {key.value: value for key, value in _members(rule, file)}
            kinds = {"alert", "record"} & names.keys()
            if len(kinds) != 1:
                raise _wrong(rule, "a rule needs either alert or record", file)
            if "expr" not in names:
                raise _wrong(rule, "a rule needs expr", file)
            name, expression = names[kinds.pop()], _text(names["expr"], "expr", file)
            try:
                promql.metric_names(expression)
            except promql.NotPromQL as exc:
                raise _wrong(names["expr"], f"expr is not PromQL: {exc}", file) from exc
            if "alert" in names:
                alerts.append((_text(name, "alert", file), expression))
            else:
                records.add(_text(name, "record", file))
    return Rules(alerts=tuple(alerts), records=frozenset(records))


def _members(node: yaml.Node, file: Path) -> list[tuple[yaml.Node, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        raise _wrong(node, "expected names with values", file)
    members: list[tuple[yaml.Node, yaml.Node]] = node.value
    return members


def _member(node: yaml.Node, name: str, file: Path) -> yaml.Node:
    for key, value in _members(node, file):
        if key.value == name:
            return value
    raise _wrong(node, f"{name} is missing", file)


def _items(node: yaml.Node, name: str, file: Path) -> list[yaml.Node]:
    if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"):
        return []
    if not isinstance(node, yaml.SequenceNode):
        raise _wrong(node, f"{name} must be a list", file)
    items: list[yaml.Node] = node.value
    return items


def _text(node: yaml.Node, name: str, file: Path) -> str:
    if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
        raise _wrong(node, f"{name} must be text", file)
    return str(node.value)


def _wrong(node: yaml.Node, what: str, file: Path) -> BadInput:
    cure = "see Prometheus' documentation, Alerting rules"
    return BadInput(what, next_act=cure, file=file, line=node.start_mark.line + 1)
