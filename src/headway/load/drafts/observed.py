"""What an access log shows of each route: how often, with which keys, with which statuses, how long it took."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus

from headway.load.drafts import access_log, grouping, secrets
from headway.load.drafts.arrivals import Spool
from headway.load.drafts.draft import WRITES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from headway.load.drafts.grouping import Template

MOST_ROUTES = 1_000
ROWS = 20_000
"""Requests of a route whose keys are kept: all, or a sample of this size in which each is as likely as any other."""
ROWS_TOGETHER = 400_000
"""Of all routes; beyond it every route's sample is halved."""
MOST_FIELDS = 40
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
NOT_FOUND = frozenset({400, 404, 405, 414, 501})
"""Answers to what the service does not have: their paths teach no template."""

Query = tuple[tuple[str, str | None], ...]
"""Names in their order; with each its value where it is written down as it stands, None where it varies."""


@dataclass(slots=True)
class Seen:
    """One route, as the log shows it."""

    number: int
    method: str
    path: str  # template with {names}
    template: Template
    keys: tuple[str, ...]
    query: Query
    count: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    took_us: Counter[int] = field(default_factory=Counter)
    rows: list[tuple[str, ...]] = field(default_factory=list)  # values of keys, then of the query's names
    offered: int = 0  # rows of which `rows` is a sample

    @property
    def columns(self) -> tuple[str, ...]:
        """What the values of a row are called."""
        return (*self.keys, *(name for name, value in self.query if value is None))


@dataclass(kw_only=True)
class Observed:
    """A whole log."""

    routes: list[Seen] = field(default_factory=list)
    lines: int = 0
    requests: int = 0
    unread: Counter[str] = field(default_factory=Counter)
    first_unread: tuple[int, str, bytes] | None = None  # line, why, its beginning
    left_out: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)  # "POST /orders" -> how many
    whole_seconds: int = 0
    without_query: int = 0
    redacted: Counter[str] = field(default_factory=Counter)
    odd_values: int = 0
    unknown_to_api: Counter[str] = field(default_factory=Counter)


class Reader:
    """
    Reads a log twice: once for the templates, once for everything else. What arrived when goes into the spool.

    Args:
        templates: those of the service's API, to be preferred to guesses; None guesses all.
        said: called with the lines read, now and then.
    """

    def __init__(
        self, spool: Spool, *, templates: grouping.Templates | None, said: Callable[[int], None] = lambda _: None
    ) -> None:
        self._spool = spool
        self._api = templates
        self._said = said
        self._grouping = grouping.Grouping()
        self._routes: dict[tuple[str, str, Query], Seen] = {}
        self._rng = random.Random(1)  # noqa: S311 - a sample and a spread within the second, the same each time
        self._limit = ROWS
        self._rows = 0
        self.seen = Observed()

    def read(self, files: Sequence[Path]) -> Observed:
        """
        Read the files.

        Raises:
            BadInput: one cannot be read.
        """
        for line in self._requests(files):
            if line.status not in NOT_FOUND:
                path = line.target.partition("?")[0]
                if self._api is None or self._api.match(path) is None:
                    self._grouping.add(path)
        self._grouping.settle()
        self.seen = Observed()
        for line in self._requests(files):
            self._take(line)
        self.seen.routes = sorted(self._routes.values(), key=lambda each: -each.count)
        return self.seen

    def _requests(self, files: Sequence[Path]) -> Iterator[access_log.Line]:
        seen = self.seen
        for file in files:
            for number, raw in enumerate(access_log.lines(file), start=1):
                seen.lines += 1
                if seen.lines % 100_000 == 0:
                    self._said(seen.lines)
                if raw.isspace():
                    continue
                line = access_log.parse(raw)
                if isinstance(line, access_log.NotRead):
                    seen.unread[line.why] += 1
                    if seen.first_unread is None:
                        seen.first_unread = (number, line.why, raw[:80])
                    continue
                seen.requests += 1
                yield line

    def _take(self, line: access_log.Line) -> None:
        seen = self.seen
        seen.whole_seconds += line.whole_second
        seen.without_query += not line.has_query
        # nginx writes when the answer was sent: it arrived so much earlier.
        within_us = self._rng.randrange(1_000_000) if line.whole_second else 0
        at_us = max(0, line.at_us + within_us - (line.took_us or 0))
        route = self._route(line)
        self._spool.add(at_us, -1 if route is None else route.number, self._clean(line.target))
        if route is None:
            return
        route.count += 1
        route.statuses[line.status] += 1
        if line.took_us is not None:
            route.took_us[_three_digits(line.took_us)] += 1

    def _route(self, line: access_log.Line) -> Seen | None:
        path, _, query = line.target.partition("?")
        placed = self._place(path)
        if line.method in WRITES:
            name = path if placed is None else placed[0]
            if len(self.seen.writes) < MOST_ROUTES or f"{line.method} {name}" in self.seen.writes:
                self.seen.writes[f"{line.method} {name}"] += 1
            else:
                self.seen.writes["others"] += 1
            return None
        if line.method not in SAFE:
            self.seen.left_out[f"method {line.method}"] += 1
            return None
        if query.count("&") >= MOST_FIELDS:
            self.seen.left_out[f"a query of more than {MOST_FIELDS} fields"] += 1
            return None
        if placed is None:
            self.seen.left_out["a path that nothing was found at, or too odd to group"] += 1
            return None
        spelt, template, keys = placed
        names, values = self._query(query)
        key = (line.method, spelt, names)
        route = self._routes.get(key)
        if route is None:
            if len(self._routes) >= MOST_ROUTES:
                self.seen.left_out[f"a route beyond the first {MOST_ROUTES:,}"] += 1
                return None
            route = self._routes[key] = Seen(len(self._routes), line.method, spelt, template, keys, names)
        self._keep(route, [*map(unquote, grouping.values_of(template, path)), *values])
        return route

    def _place(self, path: str) -> tuple[str, Template, tuple[str, ...]] | None:
        known = self._api.match(path) if self._api is not None else None
        if known is not None:
            spelt, template = known
            segments = [each for each in spelt.split("/")[1:] if "{" in each]
            before = grouping.key_names(template)
            # The API's {id} says less than the word before it; its {user_id} says enough.
            named = (grouping.identifier(each.strip("{}")) for each in segments)
            return (
                spelt,
                template,
                tuple(guess if name == "id" else name for name, guess in zip(named, before, strict=True)),
            )
        template_found = self._grouping.match(path)
        if template_found is None:
            return None
        if self._api is not None:
            self._count_unknown(path)
        names = grouping.key_names(template_found)
        shown = ["id"] if len(names) == 1 else names
        return grouping.spelt(template_found, shown), template_found, tuple(names)

    def _count_unknown(self, path: str) -> None:
        unknown = self.seen.unknown_to_api
        if len(unknown) < MOST_ROUTES or path in unknown:
            unknown[path] += 1

    def _query(self, query: str) -> tuple[Query, list[str]]:
        """The query's names, and the values of those that vary. Fields without a value stay as they are."""
        names: list[tuple[str, str | None]] = []
        values = []
        for part in query.split("&") if query else ():
            name, equals, value = part.partition("=")
            if name and secrets.is_secret(unquote_plus(name)) and value:
                names.append((f"{name}=", secrets.placeholder(unquote_plus(name))))
            elif value:
                names.append((f"{name}=", None))
                values.append(unquote_plus(value))
            else:
                names.append((f"{name}{equals}", ""))
        return tuple(names), values

    def _keep(self, route: Seen, row: list[str]) -> None:
        """Into the route's sample: every request is in it with the same probability (reservoir sampling)."""
        if not row:
            return
        if any("\ufffd" in value or "\x00" in value or not value.strip() for value in row):
            self.seen.odd_values += 1
            return
        route.offered += 1
        if len(route.rows) < self._limit:
            route.rows.append(tuple(row))
            self._rows += 1
        else:
            place = self._rng.randrange(route.offered)
            if place < len(route.rows):
                route.rows[place] = tuple(row)
        if self._rows > ROWS_TOGETHER:
            self._halve()

    def _halve(self) -> None:
        self._limit = max(100, self._limit // 2)
        for route in self._routes.values():
            if len(route.rows) > self._limit:
                route.rows = self._rng.sample(route.rows, self._limit)
        self._rows = sum(len(route.rows) for route in self._routes.values())

    def _clean(self, target: str) -> str:
        """The target to replay, without the values of secrets."""
        path, mark, query = target.partition("?")
        parts = []
        for part in query.split("&") if mark else ():
            name, _, value = part.partition("=")
            if value and secrets.is_secret(unquote_plus(name)):
                self.seen.redacted[unquote_plus(name)] += 1
                parts.append(f"{name}=REDACTED")
            else:
                parts.append(part)
        return f"{path}{mark}{'&'.join(parts)}"


def _three_digits(us: int) -> int:
    """So many digits tell times apart as well as any promise asks, in some thousands of buckets."""
    size: int = 10 ** max(0, len(str(us)) - 3)
    return us // size * size


def quantile_us(took_us: Counter[int], share: float) -> int | None:
    """The smallest time that at least this share of the requests took at most; None without any."""
    total = took_us.total()
    below = 0
    for us, count in sorted(took_us.items()):
        below += count
        if below >= share * total:
            return us
    return None
