"""What travels to another machine: an assignment whole, with the content of the files that it names."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway.errors import BadInput
from headway.model import Parameter

if TYPE_CHECKING:
    from headway.load.worker import Assignment

Files = dict[str, bytes]
"""Names in a folder of the generator's own, and what is in them."""


def packed(assignment: Assignment) -> tuple[Assignment, Files]:
    """
    The assignment with its files' names for paths, and the files.

    Raises:
        BadInput: a file that is to be read during the run, which cannot travel, or one that can't be read.
    """
    if assignment.phase.control_file is not None:
        raise BadInput(
            "a control_file is read while the load runs, and workers on other machines cannot see it",
            next_act="write the users as stages, or run without --on", file=assignment.phase.control_file,
        )  # fmt: skip
    files: Files = {}

    def leave(path: Path) -> Path:
        if not path.is_file():
            return path  # a socket's path is the other machine's own
        name = f"{len(files)}-{path.name}"
        try:
            files[name] = path.read_bytes()
        except OSError as exc:
            raise BadInput(f"cannot be read: {exc.strerror}", next_act="make it readable", file=path) from exc
        return Path(name)

    return _each_path(assignment, leave), files


def unpacked(assignment: Assignment, files: Files, folder: Path) -> Assignment:
    """The assignment with its files in this folder."""
    for name, content in files.items():
        (folder / Path(name).name).write_bytes(content)
    found: Assignment = _each_path(assignment, lambda path: folder / path.name if str(path) in files else path)
    return found


def _each_path(value: Any, change: Any) -> Any:
    """The same value with every path changed; parameters keep theirs, as their values travel instead."""
    if isinstance(value, Path):
        return change(value)
    if isinstance(value, Parameter):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: _each_path(getattr(value, each.name), change) for each in fields(value)})
    if isinstance(value, tuple) and any(isinstance(each, Path) or is_dataclass(each) for each in value):
        return tuple(_each_path(each, change) for each in value)
    return value
