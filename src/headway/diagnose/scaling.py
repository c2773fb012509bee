"""
How the number of statements grows with the page: one route asked for pages of several sizes, counted by PostgreSQL.

    queries = a + b * rows

b of 0: the page is read whole; b of 1: one more statement for each row, which is an N+1 whatever made it: no trace, no
ORM and no language is needed to see it. A few requests are made, one after another; nothing else should use the
database meanwhile, and what did is counted in a pause of the same length and said.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import numpy as np
from scipy import special

from headway.diagnose import statement_shape
from headway.diagnose.statement_shape import Kind
from headway.errors import BadInput, HeadwayError
from headway.evidence import fetch
from headway.evidence.session import Session
from headway.evidence.statements import Statements
from headway.model import LoadModel, Phase, Presence
from headway.thresholds import CONFIDENCE_RATIO
from headway.thresholds.rules import SCALING_MIN_SLOPE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REQUESTS = 3
"""Requests of one size in one round."""
ROUNDS = 3
MOST_REQUESTS = 200
"""Made in all, at most: this is a look, not a load."""
MOST_SIZE = 100_000


@dataclass(frozen=True, kw_only=True)
class Line:
    """queries = `fixed` + `each` * rows, with the 95% interval of `each`: infinite when there are two points only."""

    fixed: float
    each: float
    each_low: float
    each_high: float


@dataclass(frozen=True, kw_only=True)
class Grown:
    """One statement: how often a request asked it at each size, and the line through these."""

    statement_id: str
    text: str
    calls: Mapping[int, float]  # size -> calls a request, mean
    line: Line

    @property
    def is_n_plus_one(self) -> bool:
        """Each row brings more calls, surely, of a statement that reads by a key."""
        shape = statement_shape.shape(self.text)
        reads = shape.kind is Kind.READ and bool(shape.keys) and not shape.many_keys
        return reads and self.line.each_low >= SCALING_MIN_SLOPE


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """What the sizes showed: all statements together, each one that grew or not, dearest slope first."""

    route: str
    sizes: tuple[int, ...]
    requests: int
    whole: Line
    statements: tuple[Grown, ...]
    notes: tuple[str, ...]

    @property
    def n_plus_one(self) -> tuple[Grown, ...]:
        """The statements that grow with the rows."""
        return tuple(each for each in self.statements if each.is_n_plus_one)


def fit(rows: Sequence[float], queries: Sequence[float]) -> Line:
    """
    Least squares of queries = a + b * rows, b with Student's t interval.

    Args:
        rows, queries: (n,) one for each request, or each mean of several.

    Raises:
        ValueError: fewer than two different numbers of rows, or not as many queries as rows.

    Source: Draper and Smith, Applied Regression Analysis, 1.4.
    """
    x, y = np.asarray(rows, dtype=np.float64), np.asarray(queries, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1 or len(np.unique(x)) < 2:
        raise ValueError("a line takes at least two different numbers of rows, each with its queries")
    spread = float(((x - x.mean()) ** 2).sum())
    each = float(((x - x.mean()) * (y - y.mean())).sum()) / spread
    fixed = float(y.mean() - each * x.mean())
    free = len(x) - 2
    if free < 1:
        return Line(fixed=fixed, each=each, each_low=-math.inf, each_high=math.inf)
    left = float(((y - fixed - each * x) ** 2).sum()) / free
    half = float(special.stdtrit(free, (1 + CONFIDENCE_RATIO) / 2)) * math.sqrt(left / spread)
    return Line(fixed=fixed, each=each, each_low=each - half, each_high=each + half)


def measure(
    target_url: str,
    route: str,
    parameter: str,
    sizes: Sequence[int],
    database_url: str,
    *,
    values: Mapping[str, str] | None = None,
    rounds: int = ROUNDS,
) -> Scaled:
    """
    Ask for pages of each size in turns, and count the statements that each size brings.

    Args:
        target_url: where the service answers: "http://127.0.0.1:8000".
        route: "GET /users/{id}/orders"; only GET is sent.
        parameter: the query parameter that says the page's size: "limit".
        sizes: two or more different ones.
        database_url: of the service's PostgreSQL; only counters are read there.
        values: for each `{name}` of the route.

    Raises:
        BadInput: a route that is no GET, sizes that are no pages, a `{name}` without a value.
        HeadwayError: the service or the database doesn't answer.
    """
    wanted = _sizes(sizes, rounds)
    urls = {size: url_of(target_url, route, parameter, size, values or {}) for size in wanted}
    session = Session(database_url)
    try:
        counted, pause = _count(session, urls, rounds)
    finally:
        session.close()
    return scaled(route, counted, requests=len(wanted) * rounds * REQUESTS, pause=pause)


def scaled(
    route: str, counted: Sequence[tuple[int, Mapping[tuple[str, str], float]]], *, requests: int, pause: float = 0.0
) -> Scaled:
    """
    The lines through what was counted.

    Args:
        route: as it was asked.
        counted: for each round and size: the size, and (statement id, text) -> calls a request.
        requests: made in all.
        pause: statements that came in a pause as long as the requests took, as a share of those of the requests.
    """
    sizes = [size for size, _ in counted]
    names = sorted({name for _, calls in counted for name in calls})
    grown = []
    for name in names:
        calls = [found.get(name, 0.0) for _, found in counted]
        by_size = {
            size: float(np.mean([n for at, n in zip(sizes, calls, strict=True) if at == size])) for size in sizes
        }
        grown.append(Grown(statement_id=name[0], text=name[1], calls=by_size, line=fit(sizes, calls)))
    notes = []
    if pause > 0.02:
        notes.append(
            f"others use the database too: in a pause {pause:.0%} as many statements came as with the requests"
        )
    if not any(found for _, found in counted):
        notes.append("no statement was counted: the answers may come from a cache, or from another database")
    return Scaled(
        route=route, sizes=tuple(dict.fromkeys(sizes)), requests=requests,
        whole=fit(sizes, [sum(found.values()) for _, found in counted]),
        statements=tuple(sorted(grown, key=lambda each: -each.line.each)), notes=tuple(notes),
    )  # fmt: skip


def url_of(target_url: str, route: str, parameter: str, size: int, values: Mapping[str, str]) -> str:
    """
    The address of one page.

    Raises:
        BadInput: not a GET, or a `{name}` has no value.
    """
    method, _, path = route.partition(" ")
    if method != "GET" or not path.startswith("/"):
        raise BadInput(f"{route!r} is not a route to read pages of", next_act='write one as "GET /users"')
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    if "{" in path:
        raise BadInput(f"{route!r} has a part without a value", next_act="give it with --value NAME=VALUE")
    fetch.check_url(target_url, "the target")
    base, asked = urlsplit(target_url.rstrip("/")), urlsplit(path)
    query = [(name, value) for name, value in parse_qsl(asked.query, keep_blank_values=True) if name != parameter]
    full = urlencode([*query, (parameter, str(size))])
    return urlunsplit((base.scheme, base.netloc, base.path + asked.path, full, ""))


def _sizes(sizes: Sequence[int], rounds: int) -> list[int]:
    found = list(dict.fromkeys(sizes))
    if len(found) < 2 or min(found) < 1 or max(found) > MOST_SIZE:
        raise BadInput(
            f"{', '.join(map(str, sizes)) or 'nothing'} are not two page sizes from 1 to {MOST_SIZE:,}",
            next_act="write limit=10,50",
        )
    if len(found) * rounds * REQUESTS > MOST_REQUESTS:
        raise BadInput(f"{len(found)} sizes would take over {MOST_REQUESTS} requests", next_act="name fewer sizes")
    return found


def _count(
    session: Session, urls: Mapping[int, str], rounds: int
) -> tuple[list[tuple[int, Mapping[tuple[str, str], float]]], float]:
    collector = Statements(session)
    state = collector.check()
    if state.presence is not Presence.PRESENT:
        raise HeadwayError(f"statements cannot be counted: {state.detail}", next_act=state.next_act)
    for url in urls.values():  # connections, caches and prepared statements are made before anything is counted
        fetch.get(url, accept="*/*")
    counted: list[tuple[int, Mapping[tuple[str, str], float]]] = []
    began = time.monotonic()
    for number in range(rounds):
        order = list(urls.items())
        for size, url in order if number % 2 == 0 else reversed(order):
            counted.append((size, _calls(collector, f"{number} {size}", [url] * REQUESTS)))
    took = time.monotonic() - began
    collector.begin(_phase("pause"), time.time())
    time.sleep(min(took, 5.0))
    collector.end(_phase("pause"), time.time())
    idle = sum(each.calls for each in collector.statements if each.phase == "pause") * took / min(took, 5.0)
    all_calls = REQUESTS * sum(sum(found.values()) for _, found in counted)
    return counted, idle / all_calls if all_calls else 0.0


def _calls(collector: Statements, name: str, urls: Sequence[str]) -> Mapping[tuple[str, str], float]:
    collector.begin(_phase(name), time.time())
    for url in urls:
        fetch.get(url, accept="*/*")
    collector.end(_phase(name), time.time())
    found = [each for each in collector.statements if each.phase == name and not each.nested and not each.is_utility]
    return {(each.id, each.text): each.calls / len(urls) for each in found}


def _phase(name: str) -> Phase:
    return Phase(name=name, model=LoadModel.CLOSED, users=1, duration_s=1.0, warmup_s=0.0)
