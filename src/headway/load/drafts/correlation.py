"""
Values that an answer gave and a later request sent back: a session, a token, the id of what was just made.

Such a value is not repeated, it is extracted from the answer anew in each visit. Found are strings and numbers of JSON
answers, cookies, headers of the service's own, and what stands behind the same words in HTML, of 8 characters or more.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headway.load.drafts.grouping import identifier, singular
from headway.model import Extraction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.load.drafts.har_file import Exchange

SHORTEST = 8
LONGEST = 8_192
MOST_VALUES = 200_000
"""Values remembered of a visit's answers."""
DEEPEST = 40
BEFORE = 40
"""Characters of HTML before a value, by which it is found again."""
_PLAIN = re.compile(r"[a-z]+|[A-Z][a-z]+")  # a word is a word, not a key
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IN_HTML = re.compile(r"(?:value|content|data-[\w-]+)\s*=\s*[\"']([^\"'<>\s]{8,512})[\"']", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a value came from: the step whose answer had it, and how to take it out of that answer."""

    step: int
    source: str
    expression: str
    named: str  # what the answer calls it


class Correlation:
    """Remembers what answers said; tells where a value that is sent came from; names what has to be extracted."""

    def __init__(self) -> None:
        self._known: dict[str, Origin] = {}
        self._names: dict[tuple[int, str, str], str] = {}
        self._taken: set[str] = set()
        self.extractions: dict[int, list[Extraction]] = {}
        self.cookies: set[str] = set()  # set by an answer; a visit sends them back by itself

    def remember(self, step: int, exchange: Exchange) -> None:
        """What the answer of a step has. The first answer that has a value is where it comes from."""
        for name, value in exchange.answer_headers:
            if name == "set-cookie":
                for line in value.split("\n"):  # Chromium joins several so
                    key, _, rest = line.partition("=")
                    self.cookies.add(key.strip())
                    self._add(rest.partition(";")[0].strip().strip('"'), step, "cookie", key.strip(), key.strip())
            elif name.startswith("x-") or name in {"authorization", "location"}:
                self._add(value, step, "header", name, name)
        if "json" in exchange.answer_media:
            try:
                told = json.loads(exchange.answer)
            except (ValueError, RecursionError):
                return
            for path, called, value in _leaves(told, "$", _subject(exchange.target), 0):
                self._add(value, step, "json", path, called)
        elif "html" in exchange.answer_media:
            for found in _IN_HTML.finditer(exchange.answer):
                self._html(found, step, exchange.answer)

    def _add(self, value: str, step: int, source: str, expression: str, called: str) -> None:
        if SHORTEST <= len(value) <= LONGEST and not _PLAIN.fullmatch(value) and len(self._known) < MOST_VALUES:
            self._known.setdefault(value, Origin(step=step, source=source, expression=expression, named=called))

    def _html(self, found: re.Match[str], step: int, page: str) -> None:
        start = max(
            page.rfind("\n", 0, found.start(1)) + 1, found.start(1) - BEFORE, page.rfind("<", 0, found.start(1))
        )
        before = page[start : found.start(1)]
        expression = re.escape(before) + "([^\"'<>\\s]+)"
        first = re.search(expression, page)
        if first is not None and first[1] == found[1]:
            named = re.search(r"(?:name|id)\s*=\s*[\"']?([\w-]+)", before)
            self._add(found[1], step, "regex", expression, named[1] if named else "value")

    def name_of(self, value: str) -> str | None:
        """
        The `{name}` that stands for a value in the requests that send it; None when no answer had it.

        Asking makes the extraction.
        """
        origin = self._known.get(value)
        if origin is None:
            return None
        key = (origin.step, origin.source, origin.expression)
        if key not in self._names:
            self._names[key] = self.fresh(origin.named)
            self.extractions.setdefault(origin.step, []).append(
                Extraction(name=self._names[key], source=origin.source, expression=origin.expression)
            )
        return self._names[key]

    def fresh(self, wanted: str) -> str:
        """A name that nothing else has, near to the one wanted."""
        base = identifier(wanted)
        name, number = base, 2
        while name in self._taken:
            name, number = f"{base}_{number}", number + 1
        self._taken.add(name)
        return name

    def substituted(self, text: str) -> str | None:
        """The text with every value in it that an answer had, between other characters, as `{name}`; None: none is."""
        found = False

        def instead(word: re.Match[str]) -> str:
            nonlocal found
            name = self.name_of(word[0])
            found = found or name is not None
            return word[0] if name is None else "{" + name + "}"

        made = re.sub(r"[A-Za-z0-9._~+/=-]{8,}", instead, text)
        return made if found else None


def _subject(target: str) -> str:
    """What an answer's own "id" is the id of: the last plural in its path."""
    words = target.partition("?")[0].split("/")
    return next((each for each in reversed(words) if each.endswith("s") and each.isalpha()), "")


def _leaves(node: Any, path: str, called: str, depth: int) -> Iterator[tuple[str, str, str]]:
    """(JSONPath, a name, text) of each string and number."""
    if depth > DEEPEST:
        return
    if isinstance(node, dict):
        for key, below in node.items():
            step = f".{key}" if _NAME.fullmatch(key) else f"[{_quoted(key)}]"
            name = f"{singular(called)}_id" if key.lower() in {"id", "uuid", "key"} and called else key
            yield from _leaves(below, path + step, name, depth + 1)
    elif isinstance(node, list):
        for index, below in enumerate(node):
            yield from _leaves(below, f"{path}[{index}]", called, depth + 1)
    elif isinstance(node, str):
        yield path, called, node
    elif isinstance(node, int) and not isinstance(node, bool):
        yield path, called, str(node)


def _quoted(key: str) -> str:
    """A key as RFC 9535 has it between brackets."""
    return "'" + json.dumps(key)[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"
