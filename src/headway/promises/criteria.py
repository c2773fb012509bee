"""
The acceptance criteria of one Markdown file: strict SpecWeave lines, the free form, and what only looks like one.

A criterion is a list item with its continuation lines and what is indented below it. Nothing in it is passed over: a
line that looks like a criterion but is none, or a point below it that may be a condition, is said not to be understood.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headway.errors import BadInput
from headway.model import Criterion
from headway.promises.criterion import read as read_text

if TYPE_CHECKING:
    from headway.promises.document import Document

EXAMPLE = "- [ ] **AC-US1-01**: API response time P95 < 100 ms (P1)"

_BULLET = r"(?:[-*+]|\d{1,9}[.)])"
_MARK = r"(?:\[(?P<box>[ xX])\]|(?P<sign>[✅☑✔☐❌⬜]\ufe0f?))"
_PROPER = re.compile(rf"^\s*{_BULLET}\s+(?:{_MARK}\s*)?\*\*(?P<id>AC-US\d+E?-\d{{2}})\*\*\s*:\s*(?P<text>.*)$")
_ID = r"(?P<id>AC[-_ ]?[A-Z]*[\w-]*\d[\w-]*)"
_SIMILAR = re.compile(  # in a list, a heading or a table, or bold, or followed by a colon: not in mere prose
    rf"^\s*(?:(?:{_BULLET}|\#{{1,6}}|\|)\s*(?:\[.{{0,2}}\]\s*|[✅☑✔☐❌⬜]\ufe0f?\s*)?[*_`]{{0,3}}|\[.?\]\s*[*_`]{{0,3}}|[*_]{{2,3}}){_ID}"
    rf"|^\s*{_ID.replace('<id>', '<plain>')}\s*:",
    re.IGNORECASE,
)
_ITEM = re.compile(rf"^(?P<indent>\s*){_BULLET}\s+(?P<text>.*)$")
_BLOCK = re.compile(r"^\s*(?:#{1,6}\s+.*acceptance criteria|\*\*\s*acceptance criteria\b.*\*\*)", re.IGNORECASE)
_BREAK = re.compile(r"^\s{0,3}(?:#{1,6}(?:\s|$)|(?:-\s*){3,}$|(?:\*\s*){3,}$|(?:_\s*){3,}$|\||>|\*\*|\[.?\]\s)")
_LABEL = re.compile(r"^[*_]{0,2}(?P<label>[A-Za-z][A-Za-z ]*?)[*_]{0,2}\s*:\s*[*_]{0,2}\s*(?P<value>.*)$")
_REMARKS = frozenset(
    {"note", "notes", "rationale", "why", "reason", "owner", "status", "testable", "test", "tests", "task", "tasks"}
    | {"source", "estimate", "effort", "comment"}
)
"""Labels of points below a criterion that set no condition. Others are not listened to in silence: they are refused."""


@dataclass(kw_only=True)
class _Item:
    """A list item while it is being read."""

    line: int
    first: str
    indent: int
    text: list[str] = field(default_factory=list)
    below: list[str] = field(default_factory=list)

    @property
    def whole(self) -> str:
        return " ".join([self.first, *self.text])


def criteria_of(document: Document) -> tuple[Criterion, ...]:
    """
    Every criterion of the file in its order, understood or not.

    Raises:
        BadInput: two criteria have the same id.
    """
    found = [_criterion(document, item) for item in _items(document.prose)]
    lines: dict[str, int] = {}
    for criterion in found:
        if criterion.id in lines:
            what = f"{criterion.id} is there twice, on lines {lines[criterion.id]} and {criterion.line}"
            raise BadInput(what, next_act="give each criterion its own id", file=document.path, line=criterion.line)
        lines[criterion.id] = criterion.line
    return tuple(found)


def _items(prose: tuple[str, ...]) -> list[_Item]:
    items: list[_Item] = []
    now: _Item | None = None
    in_block = blank = False
    for number, line in enumerate(prose, start=1):
        if not line.strip():
            blank = True
            continue
        if _BLOCK.match(line):
            in_block, now = True, None
        elif now is not None and _belongs(now, line, blank):
            _take(now, line, blank)
        elif _starts(line, in_block):
            now = _Item(line=number, first=line, indent=len(line) - len(line.lstrip()))
            items.append(now)
        else:
            now = None
            in_block = in_block and not line.lstrip().startswith(("#", "**"))
        blank = False
    return items


def _starts(line: str, in_block: bool) -> bool:
    item = _ITEM.match(line)
    return bool(_SIMILAR.match(line)) or (in_block and item is not None and not _BREAK.match(line))


def _belongs(item: _Item, line: str, blank: bool) -> bool:
    indent = len(line) - len(line.lstrip())
    if indent > item.indent:
        return not _SIMILAR.match(line)
    return not (blank or item.below or _BREAK.match(line) or _ITEM.match(line) or _SIMILAR.match(line))


def _take(item: _Item, line: str, blank: bool) -> None:
    point = _ITEM.match(line)
    if point is None and not blank and not item.below:
        item.text.append(line.strip())
    elif point is None and not blank:
        item.below[-1] += f" {line.strip()}"
    else:
        item.below.append(line.strip() if point is None else point["text"].strip())


def _criterion(document: Document, item: _Item) -> Criterion:
    proper = _PROPER.match(item.whole)
    if proper is None:
        return _only_similar(document, item)
    priority, conditions = _below(item.below)
    reading = read_text(proper["text"])
    clauses, why, instead = reading.clauses, reading.not_understood, reading.instead
    if conditions and not why:
        clauses = ()
        why = f'the point below it, "{conditions[0]}", may be a condition, and conditions there are not understood'
        instead = f'mark it "**Note**: {conditions[0]}" if it sets no condition'
    return Criterion(
        id=proper["id"],
        text=proper["text"].strip(),
        file=document.path,
        line=item.line,
        priority=priority or reading.priority,
        checked=_checked(proper),
        clauses=clauses,
        not_understood=why,
        instead=instead,
    )


def _only_similar(document: Document, item: _Item) -> Criterion:
    """A line that was meant as a criterion: kept, so that the gate cannot pass over it."""
    similar = _SIMILAR.match(item.whole)
    name = None if similar is None else similar["id"] or similar["plain"]
    rest = item.whole.strip() if similar is None else item.whole[similar.end() :]
    text = re.sub(rf"^\s*{_BULLET}\s+(?:\[.?\]\s*)?|^[\s*_`:|.)-]+", "", rest).strip(" |")
    proper_id = name if name and re.fullmatch(r"AC-US\d+E?-\d{2}", name) else "AC-US1-01"
    if name is None:
        why = "it has no id"
    elif proper_id != name:
        why = f'"{name}" is no id of a criterion: AC-US<story>-<two digits>'
    else:
        why = f'a criterion is a list item with its id in bold and a colon: "- [ ] **{name}**: ..."'
    reading = read_text(text)
    said = text if reading.clauses else reading.instead
    return Criterion(
        id=name or f"line {item.line}",
        text=text or item.whole.strip(),
        file=document.path,
        line=item.line,
        priority=_below(item.below)[0] or reading.priority,
        not_understood=why,
        instead=f"- [ ] **{proper_id}**: {said}",
    )


def _below(points: list[str]) -> tuple[str | None, list[str]]:
    """The priority that stands below a criterion, and the points that may be conditions."""
    priority, conditions = None, []
    for point in points:
        label = _LABEL.match(re.sub(r"^\[[ xX]\]\s*", "", point))
        name = "" if label is None else label["label"].strip().lower()
        if label is not None and name == "priority":
            found = re.search(r"\bP[0-4]\b", label["value"], re.IGNORECASE)
            priority = priority or (found[0].upper() if found else label["value"].strip("*_ ") or None)
        elif name not in _REMARKS:
            conditions.append(point)
    return priority, conditions


def _checked(proper: re.Match[str]) -> bool | None:
    if proper["box"] is not None:
        return proper["box"] != " "
    return None if proper["sign"] is None else proper["sign"][0] in "✅☑✔"
