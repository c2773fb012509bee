"""
Increments: found by number, name or path, and read whatever form they have.

The strict form is a SpecWeave folder (spec.md with front matter, plan.md beside it); the free form is any Markdown file
with criteria in it; people without SpecWeave list sentences in headway.toml or pyproject.toml.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from headway.errors import BadInput
from headway.model import Promise, Section
from headway.promises.criteria import EXAMPLE, criteria_of
from headway.promises.document import Document
from headway.promises.settings import read_settings

INCREMENTS = Path(".specweave", "increments")
SPECIFICATION = "spec.md"
PLAN = "plan.md"
LONGEST_NAME = 4096  # characters of a path

_NUMBER = re.compile(r"^(\d+)E?(?:-|$)")
_HEADING = re.compile(r"^(#{1,2})\s+(.*?)\s*#*\s*$")
_TITLE_NUMBER = re.compile(r"^(?:Increment\s*)?(\d{1,4}E?)\s*[:.–—-]\s*", re.IGNORECASE)


def find(reference: str, root: Path) -> Path:
    """
    The folder or file of an increment.

    Args:
        reference: "0050", "50", "0050-performance-optimization", or a path (from `root`) to a folder or a file.
        root: where to begin; `.specweave/increments` is looked for here and upwards.

    Raises:
        BadInput: there is none, or several; says which there are.
    """
    name = reference.strip()
    act = "name it by number, by name or by path"
    if not name or "\0" in name or len(name) > LONGEST_NAME:
        raise BadInput("no increment is named", next_act=act)
    path = _path(name, root)
    if _looks_like_path(name) and path is not None:
        return path
    increments = _increments_folder(root)
    if increments is None or _looks_like_path(name):
        if path is not None:
            return path
        looked = f"no {INCREMENTS} in {root.resolve()} or above it" if increments is None else f"nothing in {root}"
        raise BadInput(f"there is no increment {name!r}: {looked}", next_act=f"{act}, or run it in your project")
    there = sorted(entry for entry in increments.iterdir() if entry.is_dir() and _NUMBER.match(entry.name))
    found = [entry for entry in there if entry.name == name] or [entry for entry in there if _same(entry.name, name)]
    if len(found) == 1:
        return found[0]
    if not found and path is not None:
        return path
    named = ", ".join(entry.name for entry in (found or there)) or "none"
    if found:
        raise BadInput(f"increment {name!r} is ambiguous: {named}", next_act="give the whole name", file=increments)
    raise BadInput(f"there is no increment {name!r}; there are: {named}", next_act=act, file=increments)


def read(folder_or_file: Path) -> Promise:
    """
    What an increment promises, from its folder, its spec.md, any Markdown file, headway.toml or pyproject.toml.

    Raises:
        BadInput: missing, empty, not UTF-8, broken front matter, no criterion at all, one id twice.
    """
    if folder_or_file.suffix == ".toml" and not folder_or_file.is_dir():
        return read_settings(Document.read(folder_or_file))
    if not folder_or_file.is_dir():
        folder = folder_or_file.parent if folder_or_file.name == SPECIFICATION else None
        return _read_markdown(Document.read(folder_or_file), folder)
    for name in (SPECIFICATION, "README.md"):
        if (folder_or_file / name).exists():
            return _read_markdown(Document.read(folder_or_file / name), folder_or_file)
    there = ", ".join(sorted(entry.name for entry in folder_or_file.iterdir())) or "nothing"
    act = f"write its criteria into {SPECIFICATION}, as {EXAMPLE!r}"
    raise BadInput(f"has no {SPECIFICATION}; there is: {there[:200]}", next_act=act, file=folder_or_file)


def _read_markdown(document: Document, folder: Path | None) -> Promise:
    if not document.text.strip("\ufeff \t\r\n"):
        raise BadInput("is empty", next_act=f"write criteria into it, as {EXAMPLE!r}", file=document.path)
    matter = _front_matter(document)
    criteria = criteria_of(document)
    if not criteria:
        raise BadInput("holds no acceptance criterion", next_act=f"write one as {EXAMPLE!r}", file=document.path)
    heading = next((text for level, text, _ in _headings(document) if level == 1), "")
    number = _TITLE_NUMBER.match(heading)
    named = folder.resolve().name if folder is not None else number[1] if number else document.path.stem
    title = _said(matter, "title") or (heading[number.end() :] if number else heading) or named
    sections = _sections(document)
    if folder is not None and (folder / PLAN).is_file():
        sections += _sections(Document.read(folder / PLAN))
    return Promise(
        id=_said(matter, "increment") or named, title=title, folder=folder, criteria=criteria, sections=sections
    )


def _front_matter(document: Document) -> dict[str, object]:
    lines = document.front_matter
    if not lines:
        return {}
    act = 'write it as YAML, "title: Fast API" on a line'
    try:
        read_as = yaml.safe_load("\n".join(lines[1:-1]))
    except yaml.MarkedYAMLError as exc:
        line = 1 if exc.problem_mark is None else exc.problem_mark.line + 2
        what = f"the front matter is no YAML: {exc.problem or exc.context}"
        raise BadInput(what, next_act=act, file=document.path, line=line) from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        what = f"the front matter is no YAML: {str(exc).splitlines()[0]}"
        raise BadInput(what, next_act=act, file=document.path, line=1) from exc
    if read_as is None:
        return {}
    if not isinstance(read_as, dict):
        raise BadInput("the front matter holds no names and values", next_act=act, file=document.path, line=1)
    return {str(name): value for name, value in read_as.items()}


def _said(matter: dict[str, object], name: str) -> str | None:
    value = matter.get(name)
    return None if value is None else str(value).strip() or None


def _headings(document: Document) -> list[tuple[int, str, int]]:
    found = ((number, _HEADING.match(line)) for number, line in enumerate(document.prose, start=1))
    return [(len(match[1]), match[2], number) for number, match in found if match]


def _sections(document: Document) -> tuple[Section, ...]:
    """Every second-level section, its lines as written, to the next heading of first or second level."""
    headings, lines = _headings(document), document.lines
    ends = [*(number for _, _, number in headings), len(lines) + 1][1:]
    return tuple(
        Section(title=text, line=number, lines=lines[number : end - 1])
        for (level, text, number), end in zip(headings, ends, strict=True)
        if level == 2
    )


def _path(name: str, root: Path) -> Path | None:
    """The file or folder of that name, None when there is none."""
    try:
        path = root / Path(name).expanduser()
        return path if path.exists() else None
    except (OSError, RuntimeError):  # too long a part; "~" of a user who is not there
        return None


def _looks_like_path(name: str) -> bool:
    return "/" in name or "\\" in name or name.startswith((".", "~")) or name.endswith((".md", ".toml"))


def _increments_folder(root: Path) -> Path | None:
    start = root.resolve()
    return next((up / INCREMENTS for up in (start, *start.parents) if (up / INCREMENTS).is_dir()), None)


def _same(folder_name: str, reference: str) -> bool:
    """ "50", "0050" and "0050-perf" (a beginning of the name) all mean 0050-performance-optimization."""
    number = _NUMBER.match(folder_name)
    if reference.isascii() and reference.isdigit():
        return number is not None and int(number[1]) == int(reference[:9])
    return folder_name.startswith(reference)
