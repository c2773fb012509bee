"""run.json: what was run, when, where and with what. Scenario and phases go in and come back whole; secrets do not."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from headway.conventions import RUN_FILE
from headway.errors import BundleDamaged
from headway.evidence import bundle, redact
from headway.load.environment import GIVEN
from headway.model import Imported, Machine, Phase, Route, Scenario, SourceState

FORMAT = 1
Kind = TypeVar("Kind")


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """The content of run.json. Written when the run begins and again when it ends; `finished_at` is None in between."""

    format: int = FORMAT
    id: str
    started_at: str
    finished_at: str | None = None
    interrupted: bool = False
    headway_version: str
    versions: Mapping[str, str]
    machine: Machine
    target_url: str
    workers: int | None
    scenario: Scenario
    phases: tuple[Phase, ...]
    sources: tuple[SourceState, ...]
    lower_bound_phases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # source -> phases
    imported: Imported | None = None


def write(folder: Path, run: RunFile) -> None:
    """
    Write run.json, whole or not at all.

    Raises:
        HeadwayError: the disk is full or read-only.
    """
    bundle.put_json(folder / RUN_FILE, plain(replace(run, scenario=_without_secrets(run.scenario))))


def read(folder: Path) -> RunFile:
    """
    Read run.json.

    Raises:
        BundleDamaged: missing, not JSON, of another version, or something is missing in it.
    """
    file = folder / RUN_FILE
    content = bundle.get_json(file)
    version = content.get("format") if isinstance(content, dict) else None
    if version != FORMAT:
        what = f"has format {version!r}, and this Headway reads {FORMAT}"
        raise BundleDamaged(what, next_act="read it with the Headway that wrote it", file=file)
    try:
        return typed(RunFile, content)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise BundleDamaged(f"is damaged: {exc}", next_act="run again", file=file) from exc


def plain(value: Any) -> Any:
    """A dataclass as what JSON has: enums by value, paths as text, tuples as lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    return value


def typed(kind: type[Kind], content: Any) -> Kind:
    """
    What `plain` wrote, back as the dataclass. Unknown members are left out; missing ones take their default.

    Raises:
        TypeError, ValueError: something is missing or of the wrong kind.
    """
    if not isinstance(content, dict):
        raise TypeError(f"{kind.__name__} must be an object")
    hints = typing.get_type_hints(kind, localns={"Mapping": Mapping})
    known = {each.name for each in fields(typing.cast("Any", kind))}
    return kind(**{name: _back(hints[name], value) for name, value in content.items() if name in known})


def _back(hint: Any, value: Any) -> Any:
    if hint is Any:
        return value
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        (hint,) = (each for each in typing.get_args(hint) if each is not types.NoneType)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        each = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(_back(kind, item) for kind, item in zip(each, value, strict=True))
    if origin is Mapping:
        return {name: _back(inner[1], item) for name, item in value.items()}
    return typed(typing.cast("type[Any]", hint), value) if is_dataclass(hint) else _simple(hint, value)


def _simple(hint: type, value: Any) -> Any:
    if issubclass(hint, (Enum, Path)):
        return hint(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint):
        raise TypeError(f"expected {hint.__name__}, found {value!r}")
    return value


def _without_secrets(scenario: Scenario) -> Scenario:
    # What came from the environment or from a setup command may be a secret, and is not the scenario's.
    own = tuple(each for each in scenario.parameters if each.distribution != GIVEN)
    return replace(
        scenario, routes=tuple(_hidden(route) for route in scenario.routes), parameters=own,
        setup=tuple(map(redact.command, scenario.setup)), teardown=tuple(map(redact.command, scenario.teardown)),
    )  # fmt: skip


def _hidden(route: Route) -> Route:
    return replace(
        route,
        path=redact.body(route.path),
        headers=tuple((name, redact.header(name, value)) for name, value in route.headers),
        body=None if route.body is None else redact.body(route.body),
    )
