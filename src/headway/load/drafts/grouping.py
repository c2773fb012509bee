"""
Concrete paths to route templates: /users/17 and /users/18 are one route, /users/{id}.

Paths are counted in a tree of their segments. A segment that looks like a key (digits, UUID, long hexadecimal, date,
address) is one at once; words become a key when a place holds so many of them that they must be names of things.
Memory is bounded: what would be the 200,001st node, or the 13th segment of a path, is not taken in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MANY = 50
"""So many words in one place, each rarely asked for, are keys: few services have 50 resources side by side."""
RARELY = 50
FEW, FEW_RARELY = 10, 3
"""In a short log: so many words, each asked for less than three times."""
WIDEST = 1_000
LARGEST_TREE = 200_000
DEEPEST = 12
KEPT_RATIO = 0.01
"""A word in such a crowd stays a word when it has at least this share of the place's requests, and paths below it."""

_KEY = re.compile(
    r"\d+"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|(?=[^\d]*\d)[0-9a-f]{12,}"
    r"|(?=[^\d]*\d)(?=[^a-z]*[a-z])[0-9a-z_-]{20,}"  # ULID, base64, content hashes
    r"|\d{4}-\d{2}-\d{2}"
    r"|[^@/]+(?:@|%40)[^@/]+"
    r"|\d+\.\w{1,5}",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d]\w*", re.ASCII)

Template = tuple[str | None, ...]
"""The segments of a path; None is a key."""


@dataclass(slots=True)
class _Place:
    """A node: what was seen after the segments that lead here."""

    seen: int = 0
    words: dict[str, _Place] = field(default_factory=dict)
    keys: _Place | None = None
    closed: bool = False  # words that are not here yet are keys


class Grouping:
    """
    Learns from paths, then tells the template of any path.

    `add` each path, `settle` once, then `match`.
    """

    def __init__(self) -> None:
        self._root = _Place()
        self._places = 1

    def add(self, path: str) -> None:
        """Learn from one path (without query). One too deep, or one too many for the tree, teaches nothing."""
        segments = path.split("/")[1:]
        if len(segments) > DEEPEST:
            return
        place = self._root
        place.seen += 1
        for segment in segments:
            below = self._below(place, segment)
            if below is None:
                return
            below.seen += 1
            place = below

    def _below(self, place: _Place, segment: str) -> _Place | None:
        found = place.words.get(segment)
        if found is not None:
            return found
        if place.closed or is_key(segment):
            if place.keys is None:
                place.keys = _Place()
                self._places += 1
            return place.keys
        if self._places >= LARGEST_TREE:
            return place.keys
        found = place.words[segment] = _Place()
        self._places += 1
        if len(place.words) > WIDEST:
            self._close(place)
            return place.words.get(segment) or place.keys
        return found

    def settle(self) -> None:
        """Turn crowds of words into keys."""
        waiting = [self._root]
        while waiting:
            place = waiting.pop()
            each = place.seen / max(1, len(place.words))
            if (len(place.words) > MANY and each < RARELY) or (len(place.words) >= FEW and each < FEW_RARELY):
                self._close(place)
            waiting += [*place.words.values(), *([place.keys] if place.keys is not None else [])]

    def _close(self, place: _Place) -> None:
        kept = {
            word: below
            for word, below in place.words.items()
            if word == "" or (below.seen >= KEPT_RATIO * place.seen and (below.words or below.keys))
        }
        crowd = [below for word, below in place.words.items() if word not in kept]
        place.words, place.closed = kept, True
        if crowd and place.keys is None:
            place.keys = _Place()
            self._places += 1
        for below in crowd:
            self._merge(place.keys or place, below)

    def _merge(self, into: _Place, other: _Place) -> None:
        pairs = [(into, other)]
        while pairs:
            into, other = pairs.pop()
            into.seen += other.seen
            self._places -= 1
            for word, below in other.words.items():
                if word in into.words:
                    pairs.append((into.words[word], below))
                else:
                    into.words[word] = below
            if other.keys is not None and into.keys is not None:
                pairs.append((into.keys, other.keys))
            elif other.keys is not None:
                into.keys = other.keys

    def match(self, path: str) -> Template | None:
        """The path's template; None when nothing like it was learnt."""
        place = self._root
        found: list[str | None] = []
        for segment in path.split("/")[1:]:
            below = place.words.get(segment)
            if below is None:
                below = place.keys
                if below is None or segment == "":
                    return None
                found.append(None)
            else:
                found.append(segment)
            place = below
        return tuple(found)


class Templates:
    """The templates an API says it has, instead of a guess: `{name}` in a path stands for one segment."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        self._by_length: dict[int, list[tuple[str, Template]]] = {}
        for path in paths:
            segments = tuple(None if "{" in each else each for each in path.split("/")[1:])
            self._by_length.setdefault(len(segments), []).append((path, segments))
        for each in self._by_length.values():  # words before keys: /users/by-email before /users/{id}
            each.sort(key=lambda known: [segment is None for segment in known[1]])

    def match(self, path: str) -> tuple[str, Template] | None:
        """The API's own spelling of the path's template, and the template; None when the API has no such path."""
        segments = path.split("/")[1:]
        for spelt, template in self._by_length.get(len(segments), ()):
            if all(said is None or said == given for said, given in zip(template, segments, strict=True)):
                return spelt, template
        return None


def is_key(segment: str) -> bool:
    """Whether a path's segment names one thing of many, by its looks alone."""
    return _KEY.fullmatch(segment) is not None


def values_of(template: Template, path: str) -> list[str]:
    """What stands in the path where the template has keys, as it stands there."""
    return [segment for said, segment in zip(template, path.split("/")[1:], strict=True) if said is None]


def key_names(template: Template) -> list[str]:
    """A name for each key of a template, after the word before it: users/17 -> user_id. Each differs."""
    names: list[str] = []
    before = ""
    for segment in template:
        if segment is None:
            wanted = f"{identifier(singular(before))}_id" if before else "id"
            names.append(wanted if wanted not in names else f"{wanted}_{len(names) + 1}")
        else:
            before = segment
    return names


def spelt(template: Template, names: list[str]) -> str:
    """The template as a path with `{name}`s."""
    rest = iter(names)
    return "/" + "/".join("{" + next(rest) + "}" if segment is None else segment for segment in template)


def singular(word: str) -> str:
    """`users` -> `user`, `categories` -> `category`: good enough for a name."""
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word[: -len(ending)] + instead
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word


def identifier(text: str) -> str:
    """The text as a name a scenario's parameter can have."""
    name = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower()[:40]
    return name if _WORD.fullmatch(name) else f"v_{name}" if name else "value"
