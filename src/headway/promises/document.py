"""
A text file that is read, changed in one place, and written back otherwise byte for byte.

Line ends (LF, CRLF or both), a missing last one, a byte order mark and every character are kept as they are.
"""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from headway.errors import BadInput

LARGEST_BYTES = 4 * 1024 * 1024
"""A specification is a page or ten. What is larger is some other file."""

_BOM = "\ufeff"
_CHECK_BOX = re.compile(r"^(?P<before>\s*(?:[-*+]|\d+[.)])\s*\[)(?P<mark>[ xX])(?P<after>\]\s*)")
_ENDING = re.compile(r"\r?\n\Z")
_LINE = re.compile(r"[^\n]*\n|[^\n]+\Z")
_FENCE = re.compile(r"^\s*(?:[-*+]\s+)?(?P<fence>`{3,}|~{3,})(?P<info>.*)$")


@dataclass(frozen=True, kw_only=True)
class Document:
    """
    A text file as it stands on disk. Frozen: each change gives a new document.

    `text` holds every character of the file, the byte order mark included.
    """

    path: Path
    text: str

    @classmethod
    def read(cls, path: Path) -> Document:
        """
        Reads a UTF-8 file.

        Raises:
            BadInput: it does not exist, is a folder, is unreadable, is no UTF-8, or is over 4 MiB.
        """
        try:
            if path.is_dir():
                raise BadInput("a folder stands where a file is expected", next_act="name the file in it", file=path)
            if path.exists() and not path.is_file():
                raise BadInput("it is no regular file", next_act="name a text file", file=path)
            with path.open("rb") as file:
                raw = file.read(LARGEST_BYTES + 1)
        except (OSError, ValueError) as exc:
            raise BadInput(
                f"cannot be read: {_reason(exc)}", next_act="mend the path or its rights", file=path
            ) from exc
        if len(raw) > LARGEST_BYTES:
            raise BadInput("is over 4 MiB, and so no specification", next_act="name the right file", file=path)
        try:
            return cls(path=path, text=raw.decode("utf-8"))
        except UnicodeDecodeError as exc:
            line = raw.count(b"\n", 0, exc.start) + 1
            raise BadInput("is not UTF-8", next_act="save it as UTF-8", file=path, line=line) from exc

    @property
    def lines(self) -> tuple[str, ...]:
        """Its lines without their ends and without the byte order mark; line 1 is `lines[0]`."""
        return tuple(_ENDING.sub("", line).removeprefix(_BOM) for line in self._whole_lines())

    @property
    def prose(self) -> tuple[str, ...]:
        """
        As `lines`, with front matter, code fences and HTML comments blanked, so that line numbers stay.

        Raises:
            BadInput: a front matter or a code fence is never closed, and so hides the rest of the file.
        """
        matter = len(self.front_matter)
        blank = ("",) * matter
        body, unclosed = _without_fences(self.lines[matter:])
        if unclosed is not None:
            act = "close it, as it hides every line below"
            raise BadInput("the code fence is never closed", next_act=act, file=self.path, line=matter + unclosed)
        return blank + _without_comments(body)

    @property
    def front_matter(self) -> tuple[str, ...]:
        """
        The lines of the YAML block at the top, both "---" included; empty when there is none.

        Raises:
            BadInput: it is never closed.
        """
        lines = self.lines
        if not lines or lines[0].rstrip() != "---":
            return ()
        for index, line in enumerate(lines[1:], start=1):
            if line.rstrip() in ("---", "..."):
                return lines[: index + 1]
        act = 'end it with a line "---"'
        raise BadInput("the front matter is never closed", next_act=act, file=self.path, line=1)

    def with_checked(self, criterion_id: str, checked: bool) -> Document:
        """
        The document with that criterion's check box ticked or not; nothing else changes.

        Raises:
            BadInput: no line or several lines hold the criterion, or its line has no check box.
        """
        name = re.compile(rf"\*\*{re.escape(criterion_id)}\*\*")
        prose = self.prose
        found = [
            index for index, line in enumerate(prose) if name.search(line) and re.match(r"\s*(?:[-*+]|\d+[.)])\s", line)
        ]
        if len(found) != 1:
            what = f"holds {criterion_id} {len(found)} times" if found else f"does not hold {criterion_id}"
            at = found[1] + 1 if found else None
            raise BadInput(what, next_act="give each criterion one line", file=self.path, line=at)
        index = found[0]
        line = self.lines[index]
        box = _CHECK_BOX.match(line)
        if box is None:
            act = f'write "- [ ] **{criterion_id}**: ..."'
            raise BadInput(f"{criterion_id} has no check box", next_act=act, file=self.path, line=index + 1)
        if (box["mark"] != " ") == checked:
            return self
        return self.with_line(index + 1, f"{box['before']}{'x' if checked else ' '}{line[box.start('after') :]}")

    def with_line(self, number: int, text: str) -> Document:
        """
        The document with line `number` (from 1) replaced; the line's own end is kept.

        Raises:
            ValueError: there is no such line, or `text` holds a line end.
        """
        whole = self._whole_lines()
        if not 1 <= number <= len(whole) or "\n" in text or "\r" in text:
            raise ValueError(f"line {number} of {len(whole)} cannot become {text!r}")
        old = whole[number - 1]
        end = "\r\n" if old.endswith("\r\n") else "\n" if old.endswith("\n") else ""
        start = _BOM if number == 1 and old.startswith(_BOM) else ""
        whole[number - 1] = f"{start}{text}{end}"
        return replace(self, text="".join(whole))

    def write(self, path: Path | None = None) -> None:
        """
        Writes the file whole or not at all, keeping its rights. A symbolic link is written through.

        Raises:
            BadInput: the folder cannot be written to.
        """
        target = (path or self.path).resolve()
        try:
            handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(self.text.encode("utf-8"))
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).chmod(target.stat().st_mode & 0o7777 if target.exists() else 0o644)
                Path(name).replace(target)
            except BaseException:
                with suppress(FileNotFoundError):
                    Path(name).unlink()
                raise
        except OSError as exc:
            act = "make room or give the right to write"
            raise BadInput(f"cannot be written: {_reason(exc)}", next_act=act, file=target) from exc

    def _whole_lines(self) -> list[str]:
        return _LINE.findall(self.text)


def _without_fences(lines: tuple[str, ...]) -> tuple[tuple[str, ...], int | None]:
    """
    CommonMark: a fence is closed by one of the same character, at least as long, with nothing behind it.

    Returns:
        The lines, and the number (from 1) of the fence that is never closed.
    """
    opened: tuple[str, int] | None = None
    kept = []
    for number, line in enumerate(lines, start=1):
        fence = _FENCE.match(line)
        if opened is None and fence is not None and not (fence["fence"][0] == "`" and "`" in fence["info"]):
            opened = (fence["fence"], number)
            kept.append("")
        elif opened is None:
            kept.append(line)
        else:
            if fence is not None and fence["fence"].startswith(opened[0]) and not fence["info"].strip():
                opened = None
            kept.append("")
    return tuple(kept), None if opened is None else opened[1]


def _without_comments(lines: tuple[str, ...]) -> tuple[str, ...]:
    text = re.sub(r"<!--.*?-->", lambda found: "\n" * found[0].count("\n"), "\n".join(lines), flags=re.DOTALL)
    return tuple(text.split("\n")) if lines else ()


def _reason(exc: Exception) -> str:
    return getattr(exc, "strerror", None) or str(exc)
