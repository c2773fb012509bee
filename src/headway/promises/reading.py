"""
From the parse tree of a criterion to its clauses: do the words agree, and what did the text leave open?

A sentence can be grammatical and still say nothing that can be tested ("latency > 100 ms"). Such a sentence is refused
with the reason; nothing is guessed silently: each default that is filled in is written down in `Clause.assumed`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict

from lark import Token, Tree

from headway.model import Clause, Comparison, Side, Statistic, Subject
from headway.promises.quantities import Refused, duration_ns, percent_ratio, quantile, rate_per_s, windows
from headway.promises.spoken import clause_text, limit_text, rate_text, statistic_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Node = Tree[Token]

DEFAULT_LATENCY = Statistic(quantile=0.95)
UPPER = (Comparison.LT, Comparison.LE)
LOWER = (Comparison.GT, Comparison.GE)

_NOUNS = frozenset({"LATENCY", "TIME", "REQUESTS", "RESPOND", "DB", "QUERIES", "API", "ROUTE"})
_COMPARISONS = {
    "LT": Comparison.LT,
    "UNDER": Comparison.LT,
    "LE": Comparison.LE,
    "OR_LESS": Comparison.LE,
    "GT": Comparison.GT,
    "GE": Comparison.GE,
    "OR_MORE": Comparison.GE,
}
_TURNED = {
    Comparison.LT: Comparison.GT,
    Comparison.LE: Comparison.GE,
    Comparison.GT: Comparison.LT,
    Comparison.GE: Comparison.LE,
}


class _Windows(TypedDict):
    windows_ratio: float | None
    window_s: int | None


def clause_of(tree: Node) -> tuple[Clause, ...]:
    """
    The clauses of one part of a sentence: one, or two for "monitoring and alerts configured".

    Raises:
        Refused: words that contradict each other, a comparison the wrong way round, a value that cannot be.
    """
    return _READERS[tree.data](tree)


def is_bare(tree: Node) -> bool:
    """A latency of which only the statistic is named ("P99 < 300 ms"): what it is of follows from its neighbours."""
    return tree.data == "latency" and not _NOUNS & _types(tree)


def load_of(tree: Node) -> float:
    """The load named before the first clause: "At 2K req/s, ..."."""
    return _positive_rate(tree)


# -- one clause -------------------------------------------------------------------------------------------------------


def _latency(tree: Node) -> tuple[Clause, ...]:
    types = _types(tree)
    assumed: list[str] = []
    database = bool({"DB", "QUERIES"} & types)
    route = _route(tree, assumed)
    if database and (route or "API" in types or any(token[:3].lower() == "req" for token in _tokens(tree, "REQUESTS"))):
        raise Refused("it speaks of the API and of the database at once", "database queries avg < 50 ms")
    bound = next(tree.find_data("bound_duration"))
    statistic, comparison = _statistic(tree, _comparison(bound))
    if statistic is None and not types & _NOUNS:
        raise Refused("it does not say what takes that long")
    if statistic is None and database:
        statistic = Statistic(average=True)
        assumed.append("the mean of each statement, the slowest decides, since the text names no statistic")
    elif database:
        assumed.append("of each statement, the slowest decides")
    elif statistic is None:
        statistic = DEFAULT_LATENCY
        assumed.append("P95, since the text names no statistic")
    if statistic == Statistic(maximum=True) and "MAXIMUM" not in types:
        assumed.append("the slowest of them, since the text says all")
    clause = Clause(
        subject=Subject.LATENCY,
        side=Side.DATABASE if database else Side.CLIENT,
        statistic=statistic,
        limit=duration_ns(_one(bound, "DURATION", "durations")),
        route=route,
        at_rate_per_s=_load(tree),
        **_windows(tree, database),
    )
    return (_directed(clause, comparison, UPPER, assumed),)


def _windows(tree: Node, database: bool) -> _Windows:
    """The share of windows in which it must hold, when the text names one."""
    found = _tokens(tree, "WINDOWS")
    if not found:
        return {"windows_ratio": None, "window_s": None}
    if len(found) > 1:
        raise Refused("it names two shares of windows; write one criterion for each")
    if database:
        raise Refused(
            "the database counts statements over the whole run, not by windows", "database queries avg < 50 ms"
        )
    ratio, window_s = windows(str(found[0]))
    return {"windows_ratio": ratio, "window_s": window_s}


def _statistic(tree: Node, comparison: Comparison | None) -> tuple[Statistic | None, Comparison | None]:
    """The one statistic named; "max" beside another one and without a comparison is the comparison ("P95 max 1 s")."""
    found = [quantile(str(token)) for token in _tokens(tree, "QUANTILE")]
    found += [Statistic(average=True) for _ in _tokens(tree, "AVERAGE")]
    found += [Statistic(quantile=0.5) for _ in _tokens(tree, "MEDIAN")]
    for share in tree.find_data("share"):
        found.append(quantile(str(_tokens(share, "PERCENT")[0])))
    most = [Statistic(maximum=True) for _ in _tokens(tree, "MAXIMUM")]
    if found and most and comparison is None:
        comparison, most = Comparison.LE, []
    named = list(dict.fromkeys(found + most))
    if len(named) > 1:
        both = " and ".join(f"{statistic_text(one)} < 100 ms" for one in named[:2])
        raise Refused("it names two statistics for one limit", both)
    if not named and _tokens(tree, "ALL"):
        return Statistic(maximum=True), comparison
    return (named[0] if named else None), comparison


def _throughput(tree: Node) -> tuple[Clause, ...]:
    assumed: list[str] = []
    bound = next(tree.find_data("bound_rate"))
    comparison = _comparison(bound)
    if "MINIMUM" in _types(tree):
        if comparison is not None:
            raise Refused("it compares twice")
        comparison = Comparison.GE
    limit = rate_per_s(_one(bound, "RATE", "rates"))
    if comparison is None and not _says_most_it_can(tree):
        raise Refused("it may be the least or the most", f"throughput >= {rate_text(limit)}")
    if "HANDLE" in _types(tree) and any(token[:2].lower() == "up" for token in _tokens(bound, "LE")):
        comparison = Comparison.GE
        assumed.append("up to that rate, which is the hardest to hold")
    clause = Clause(subject=Subject.THROUGHPUT, side=Side.CLIENT, limit=limit, route=_route(tree, assumed))
    return (_directed(clause, comparison, LOWER, assumed),)


def _says_most_it_can(tree: Node) -> bool:
    """ "Max throughput 15K req/s" is what the service can do; "Max 15K req/s" may be all it shall be given."""
    tokens = _tokens(tree)
    after = [tokens[index + 1].type for index, token in enumerate(tokens) if token.type == "MAXIMUM"]
    return all(kind in ("THROUGHPUT", "LOAD") for kind in after)


def _hit_rate(tree: Node) -> tuple[Clause, ...]:
    types = _types(tree)
    assumed: list[str] = []
    if "EDGE" not in types:
        if "CACHE" not in types:
            assumed.append("the hit rate of Redis or Valkey, since the text names no cache")
    elif any(token.lower() in ("redis", "valkey") for token in _tokens(tree, "CACHE")):
        raise Refused("it speaks of two caches at once", "cache hit rate > 80% and edge cache hit rate > 80%")
    side = Side.EDGE if "EDGE" in types else Side.CACHE
    clause = Clause(subject=Subject.HIT_RATE, side=side, limit=_percent(tree), at_rate_per_s=_load(tree))
    return (_directed(clause, _comparison(next(tree.find_data("bound_percent"))), LOWER, assumed),)


def _error_rate(tree: Node) -> tuple[Clause, ...]:
    assumed: list[str] = []
    bound = next(tree.find_data("bound_percent"), None)
    comparison = Comparison.LE if bound is None else _comparison(bound)
    clause = Clause(
        subject=Subject.ERROR_RATE,
        side=Side.CLIENT,
        limit=0.0 if bound is None else _percent(tree),
        route=_route(tree, assumed),
        at_rate_per_s=_load(tree),
    )
    return (_directed(clause, comparison, UPPER, assumed),)


def _availability(tree: Node) -> tuple[Clause, ...]:
    assumed: list[str] = []
    clause = Clause(
        subject=Subject.AVAILABILITY,
        side=Side.CLIENT,
        limit=_percent(tree),
        route=_route(tree, assumed),
        at_rate_per_s=_load(tree),
    )
    return (_directed(clause, _comparison(next(tree.find_data("bound_percent"))), LOWER, assumed),)


def _indexed(tree: Node) -> tuple[Clause, ...]:
    return (Clause(subject=Subject.INDEXED, side=Side.DATABASE),)


def _watch(tree: Node) -> tuple[Clause, ...]:
    types = _types(tree)
    said = []
    if "MONITORING" in types:
        said.append(Clause(subject=Subject.MONITORING, side=Side.CLIENT))
    if "ALERTS" in types:
        said.append(Clause(subject=Subject.ALERTS, side=Side.CLIENT))
    if not said:
        raise Refused("it does not say what is enabled", "monitoring enabled")
    return tuple(said)


_READERS: dict[str, Callable[[Node], tuple[Clause, ...]]] = {
    "latency": _latency,
    "throughput": _throughput,
    "hit_rate": _hit_rate,
    "error_rate": _error_rate,
    "availability": _availability,
    "indexed": _indexed,
    "watch": _watch,
}

# -- words and quantities ---------------------------------------------------------------------------------------------


def _tokens(tree: Node, kind: str | None = None) -> list[Token]:
    found = list(tree.scan_values(lambda value: isinstance(value, Token)))
    return [token for token in found if kind is None or token.type == kind]


def _types(tree: Node) -> set[str]:
    return {token.type for token in _tokens(tree)}


def _one(tree: Node, kind: str, named: str) -> Token:
    found = _tokens(tree, kind)
    if len(found) > 1:
        raise Refused(f"it names two {named}: {found[0]} and {found[1]}; write one criterion for each")
    return found[0]


def _route(tree: Node, assumed: list[str]) -> str | None:
    """The route named, as scenarios name theirs: "GET /users/{id}"."""
    found = _tokens(tree, "ROUTE")
    if not found:
        if _tokens(tree, "ENDPOINT"):
            raise Refused("it does not say which endpoint", "GET /users/{id} P95 < 100 ms")
        return None
    if len(found) > 1:
        raise Refused(f"it names two routes: {found[0]} and {found[1]}; write one criterion for each")
    method, _, path = found[0].partition("/")
    if not method:
        assumed.append("GET, since the text names no method")
    path = re.sub(r"(?<=/):(\w+)|<(?:\w+:)?(\w+)>", lambda name: f"{{{name[1] or name[2]}}}", f"/{path}")
    return f"{method.strip().upper() or 'GET'} {path}"


def _percent(tree: Node) -> float:
    return percent_ratio(_one(tree, "PERCENT", "shares"))


def _load(tree: Node) -> float | None:
    found = [_positive_rate(load) for load in tree.find_data("load")]
    if len(found) > 1:
        raise Refused("it names two loads; write one criterion for each")
    return found[0] if found else None


def _positive_rate(tree: Node) -> float:
    rate = rate_per_s(_one(tree, "RATE", "loads"))
    if rate == 0:
        raise Refused("0 req/s is no load", "API response time P95 < 100 ms at 500 req/s")
    return rate


def _comparison(bound: Node) -> Comparison | None:
    found = [_COMPARISONS[token.type] for token in _tokens(bound) if token.type in _COMPARISONS]
    if len(found) > 1:
        raise Refused("it compares twice")
    return found[0] if found else None


def _directed(
    clause: Clause, comparison: Comparison | None, allowed: Iterable[Comparison], assumed: list[str]
) -> Clause:
    """The clause with its comparison, refused when it points the wrong way or holds whatever is measured."""
    natural = Comparison.LE if Comparison.LE in allowed else Comparison.GE
    if comparison is None:
        comparison = natural
        assumed.append(f"{natural.value}, since the text compares with no word")
    said = replace(clause, comparison=comparison, assumed=tuple(assumed))
    if comparison not in allowed:
        better = "upper" if natural is Comparison.LE else "lower"
        turned = replace(said, comparison=_TURNED[comparison])
        raise Refused(
            f"a promise about {clause.subject.value} is {_an(better)} bound, not {limit_text(said)!r}".replace(
                "'", '"'
            ),
            clause_text(turned),
        )
    _check_possible(said)
    return said


def _an(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _check_possible(clause: Clause) -> None:
    limit, comparison = clause.limit or 0.0, clause.comparison
    if clause.subject is Subject.LATENCY and limit == 0:
        raise Refused("no answer takes no time", clause_text(replace(clause, limit=1e8)))
    if clause.subject is Subject.THROUGHPUT and limit == 0:
        raise Refused("0 req/s is kept by a service that is down", clause_text(replace(clause, limit=100.0)))
    if clause.subject is Subject.ERROR_RATE:
        if limit == 0 and comparison is Comparison.LT:
            raise Refused("no error rate is below 0%", clause_text(replace(clause, limit=0.001)))
        if limit >= 1:
            raise Refused("it holds even when every request fails", clause_text(replace(clause, limit=0.001)))
    if clause.subject in (Subject.HIT_RATE, Subject.AVAILABILITY):
        usual = 0.8 if clause.subject is Subject.HIT_RATE else 0.999
        better = clause_text(replace(clause, limit=usual))
        if limit > 1 or (limit == 1 and comparison is Comparison.GT):
            raise Refused(f"no {clause.subject.value} is above 100%", better)
        if limit == 0:
            raise Refused("it holds even when nothing works", better)
