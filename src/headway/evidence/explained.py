"""Records of PostgreSQL's log, JSON, CSV or plain, and what auto_explain wrote there: all of it other people's text."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from typing import Any

from headway.evidence import redact

RECORD_MAX_BYTES = 1 << 20
_BEGINS = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [^,]{1,40},")
_PLAIN = re.compile(
    rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S{1,40} \[\d{1,9}\] \S*@(\S*) (-?\d{1,20}) [A-Z]+\d?:  (.*)"
)
"""A record's first line with log_line_prefix '%m [%p] %u@%d %Q '; PostgreSQL begins its further lines with a tab."""
_MESSAGE = re.compile(r"duration: (\d{1,15}(?:\.\d{1,9})?) ms  plan:\s*(.*)", re.DOTALL)
_PARAMETERS = re.compile(r"^Query Parameters: (.*?)$", re.MULTILINE)
_TEXT = re.compile(r"\AQuery Text: (.*?)(?=^Query Parameters: |^\S.*  \(cost=|\Z)", re.MULTILINE | re.DOTALL)
_PARAMETER = re.compile(r"\$(\d{1,5}) = (NULL|'(?:[^']|'')*')(?:, |\Z)")
FIXED_MOST_CHARACTERS = 20_000
"""A longer statement isn't parsed either."""
_NEAR = 150  # characters around a constant: a column's name has 63 at most
_MEMBER = re.compile(r"((?:[\w\"]+\.)?[\w\"]+)\s*(->>?)\Z")
_INSTEAD = re.compile(r"\bcoalesce\s*\(\s*([\w.\"]+)\s*,\Z", re.IGNORECASE)
_KEPT = frozenset({"Node Type", "Relation Name", "Schema", "Alias", "Index Name", "CTE Name", "Subplan Name"})
_DROPPED = frozenset({"Output", "Query Text", "Query Parameters", "Settings"})
CSV_MESSAGE, CSV_DATABASE, CSV_QUERY_ID, CSV_COLUMNS = 13, 2, 25, 26

FORMS = (".json", ".csv")
PLAIN = "plain"

Values = tuple[str | None, ...]


@dataclass(frozen=True, kw_only=True)
class Explained:
    """One statement that auto_explain logged. `plan` None: it was logged as text. `values` None: it says none whole."""

    database: str
    query_id: int
    text: str
    duration_ns: float
    plan: dict[str, Any] | None
    values: Values | None


class Records:
    """
    Lines of a log -> records; one may span many lines, and the first lines seen may be the end of one.

    `form` is ".json" or ".csv"; by another, the first line that begins a record tells. It stays so: in a CSV log a line
    that looks like JSON is some statement's text. In a plain log plans are read that are JSON.
    """

    def __init__(self, form: str = "") -> None:
        self._form = form
        self._held: list[bytes] = []
        self._said = "", 0  # the database and the statement's id that a plain record began with
        self._size = 0
        self._odd = False  # an odd number of quotes so far: the record goes on
        self._synchronised = False
        self.unread = 0

    def restart(self) -> None:
        """Another file begins: what was held is lost."""
        self.unread += bool(self._held)
        self._held, self._size, self._odd, self._synchronised = [], 0, False, False

    def take(self, line: bytes | None) -> Explained | None:
        """One line more, None for one that was too long; a plan when the line ends a record that has one."""
        if line is None:
            self.unread += 1
            self.restart()
            return None
        if self._form not in {*FORMS, PLAIN}:
            self._form = _form_of(line)
        if self._form == ".json":
            return self._read_json(line)
        if self._form == PLAIN:
            return self._read_plain(line)
        if not self._held and not self._synchronised and not _BEGINS.match(line):
            self.unread += bool(line.strip())
            return None
        self._synchronised = True
        self._held.append(line)
        self._size += len(line)
        self._odd ^= bool(line.count(b'"') % 2)
        if self._odd:
            if self._size > RECORD_MAX_BYTES:
                self.restart()
            return None
        whole, self._held, self._size = b"\n".join(self._held), [], 0
        return self._read_csv(whole)

    def _read_json(self, line: bytes) -> Explained | None:
        try:
            row = json.loads(line)
            message, database, query_id = row.get("message", ""), row.get("dbname", ""), row.get("query_id", 0)
        except (ValueError, AttributeError, RecursionError):
            self.unread += 1
            return None
        return explained(message, database, query_id)

    def _read_plain(self, line: bytes) -> Explained | None:
        if not line.startswith(b"\t"):
            self._held, self._size = [], 0
            first = _PLAIN.match(line)
            if first is None:
                self.unread += 1
            elif first[3].endswith(b"plan:"):
                self._held, self._said = [first[3]], (first[1].decode("utf-8", "replace"), int(first[2]))
            return None
        if not self._held:
            return None  # of another record
        self._held.append(line[1:])
        self._size += len(line)
        if self._size > RECORD_MAX_BYTES:
            self.restart()
            return None
        if line != b"\t}":  # inside a plan's JSON every line stands further in
            return None
        whole, self._held = b"\n".join(self._held), []
        return explained(whole.decode("utf-8", "replace"), *self._said)

    def _read_csv(self, whole: bytes) -> Explained | None:
        text = whole.decode("utf-8", "replace").replace("\x00", "")
        try:
            rows = list(csv.reader([text], strict=True))
        except csv.Error:
            rows = []
        if len(rows) != 1 or len(rows[0]) < CSV_COLUMNS:
            self.unread += bool(text.strip())
            return None
        row = rows[0]
        return explained(row[CSV_MESSAGE], row[CSV_DATABASE], row[CSV_QUERY_ID])


def _form_of(line: bytes) -> str:
    """What a line that begins a record tells; empty: it begins none."""
    if line.startswith(b"{"):
        return ".json"
    if _PLAIN.match(line):
        return PLAIN
    return ".csv" if _BEGINS.match(line) else ""


def explained(message: object, database: object, query_id: object) -> Explained | None:
    """What auto_explain says in a record's message; None when it is not auto_explain's, or has no statement id."""
    found = _MESSAGE.fullmatch(message) if isinstance(message, str) else None
    try:
        number = int(str(query_id))
    except ValueError:
        return None
    if found is None or not number or abs(number) >= 1 << 63 or not isinstance(database, str):
        return None
    text, parameters, plan = _taken_apart(found[2])
    if text is None:
        return None
    return Explained(
        database=database, query_id=number, text=text, duration_ns=float(found[1]) * 1e6, plan=plan,
        values=None if parameters is None else values(parameters),
    )  # fmt: skip


def _taken_apart(body: str) -> tuple[str | None, str | None, dict[str, Any] | None]:
    """Query text, parameters, plan."""
    if not body.startswith("{"):
        text, parameters = _TEXT.search(body), _PARAMETERS.search(body)
        return text[1] if text else None, parameters[1] if parameters else None, None
    try:
        whole = json.loads(body)
        text, parameters, plan = whole["Query Text"], whole.get("Query Parameters"), whole["Plan"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, None, None
    if not isinstance(text, str) or not isinstance(plan, dict) or not isinstance(parameters, str | None):
        return None, None, None
    return text, parameters, plan


def values(said: str) -> Values | None:
    """`$1 = '42', $2 = NULL` as texts, in order; None when one is missing or was cut short in the log."""
    found: list[str | None] = []
    place = 0
    while place < len(said):
        each = _PARAMETER.match(said, place)
        if each is None or int(each[1]) != len(found) + 1 or each[2].endswith("...'"):
            return None
        found.append(None if each[2] == "NULL" else each[2][1:-1].replace("''", "'"))
        place = each.end()
    return tuple(found) or None


def fixed(text: str) -> frozenset[str]:
    """
    Constants of a statement's text that are part of an expression over a column, not a value that is compared: a
    document's member (`settings ->> 'token'`) and what stands for NULL (`coalesce(city, '')`). With their column, in
    the form that `headway.diagnose` looks for in normalised texts.
    """
    found = set()
    for constant in redact.constant_places(text) if len(text) <= FIXED_MOST_CHARACTERS else ():
        near = text[max(0, constant.start() - _NEAR) : constant.start()].rstrip()
        written, after = constant[0], text[constant.end() : constant.end() + _NEAR]
        if near.endswith(("->", "->>")) and (member := _MEMBER.search(near)):
            if len(written) > 1 and written[0] == written[-1] == "'":
                found.add(f"{member[1]} {member[2]} {written}")
        elif near.endswith(",") and after.lstrip().startswith(")") and (instead := _INSTEAD.search(near)):
            found.add(f"coalesce({instead[1]}, {written})")
    return frozenset(found)


def hidden(node: object, name: str = "") -> object:
    """A plan without constants: names of tables and indexes stay, conditions have `?` for values."""
    if isinstance(node, dict):
        return {str(key): hidden(value, str(key)) for key, value in node.items() if key not in _DROPPED}
    if isinstance(node, list):
        return [hidden(each, name) for each in node]
    return redact.constants(node) if isinstance(node, str) and name not in _KEPT else node
