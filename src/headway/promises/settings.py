"""
Promises of people without SpecWeave: a list of sentences in headway.toml, or under [tool.headway] in pyproject.toml.

    promises = ["API response time P95 < 100 ms", "error rate < 0.1% (P1)"]

Criteria are numbered in their order: AC-TOML-01, AC-TOML-02, ...
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from headway.errors import BadInput
from headway.model import Criterion, Promise
from headway.promises.criterion import read as read_text

if TYPE_CHECKING:
    from headway.promises.document import Document

EXAMPLE = 'promises = ["API response time P95 < 100 ms"]'

_KEY = re.compile(r"""(?m)^[ \t]*(?:[\w"'-]+[ \t]*\.[ \t]*)*["']?promises["']?[ \t]*=[ \t]*\[""")
_PIECE = re.compile(
    r"""(?P<string>\"{3}(?:\\.|[^\\])*?\"{3,5}|'{3}.*?'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*')|\#[^\n]*|[\s,]+|(?P<end>\])""",
    re.DOTALL,
)


def read_settings(document: Document) -> Promise:
    """
    The promises of a TOML file.

    Raises:
        BadInput: no TOML, no list `promises`, an empty list, or an entry that is no string.
    """
    settings = _settings(document)
    sentences = settings.get("promises")
    key = _KEY.search(document.text)
    at = None if key is None else _line_at(document.text, key.start())
    if not isinstance(sentences, list) or not sentences:
        what = "holds no promises" if not sentences else "promises is no list"
        raise BadInput(what, next_act=f"write {EXAMPLE!r}{_where(document)}", file=document.path, line=at)
    if wrong := [one for one in sentences if not isinstance(one, str)]:
        act = "write each promise as a sentence in quotes"
        raise BadInput(f"promises holds {wrong[0]!r}, no sentence", next_act=act, file=document.path, line=at)
    lines = _lines(document.text, sentences) or [at or 1] * len(sentences)
    criteria = [
        _criterion(document, number, sentence, line)
        for number, (sentence, line) in enumerate(zip(sentences, lines, strict=True), start=1)
    ]
    title = settings.get("title")
    return Promise(
        id=document.path.name,
        title=title if isinstance(title, str) and title else f"Promises of {document.path.name}",
        folder=None,
        criteria=tuple(criteria),
    )


def _criterion(document: Document, number: int, sentence: str, line: int) -> Criterion:
    reading = read_text(sentence)
    return Criterion(
        id=f"AC-TOML-{number:02d}",
        text=sentence,
        file=document.path,
        line=line,
        priority=reading.priority,
        clauses=reading.clauses,
        not_understood=reading.not_understood,
        instead=reading.instead,
    )


def _settings(document: Document) -> dict[str, object]:
    text = document.text.removeprefix("\ufeff")
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as exc:
        found = re.search(r"at line (\d+)", str(exc))
        line = int(found[1]) if found else len(document.lines) or None
        what = f"is no TOML: {str(exc).split(' (')[0]}"
        raise BadInput(what, next_act="mend the line", file=document.path, line=line) from exc
    if document.path.name != "pyproject.toml":
        return data
    tool = data.get("tool")
    mine = tool.get("headway") if isinstance(tool, dict) else None
    return mine if isinstance(mine, dict) else {}


def _where(document: Document) -> str:
    return " under [tool.headway]" if document.path.name == "pyproject.toml" else ""


def _lines(text: str, sentences: list[str]) -> list[int] | None:
    """The line of each sentence, as TOML parsers keep none: those of the list `promises` that holds just these."""
    for key in _KEY.finditer(text):
        found: list[tuple[str, int]] = []
        at = key.end()
        while piece := _PIECE.match(text, at):
            if piece["end"]:
                break
            if piece["string"]:
                found.append((_literal(piece["string"]), _line_at(text, at)))
            at = piece.end()
        if [value for value, _ in found] == sentences:
            return [line for _, line in found]
    return None


def _literal(source: str) -> str:
    try:
        return str(tomllib.loads(f"x = {source}")["x"])
    except tomllib.TOMLDecodeError:
        return source


def _line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
