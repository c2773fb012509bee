"""
From the parse tree of a whole criterion to its clauses: what a clause takes from its neighbours.

"Handle 10K req/s with P95 < 100 ms" promises two things, the second under the load of the first. What is taken over
is written down in `Clause.assumed`; where two readings differ, the sentence is refused.
"""

from __future__ import annotations

from dataclasses import replace

from lark import Token, Tree

from headway.model import Clause, Side, Subject
from headway.promises.quantities import Refused
from headway.promises.reading import clause_of, is_bare, load_of
from headway.promises.spoken import clause_text, rate_text

UNDER_LOAD = frozenset({Subject.LATENCY, Subject.HIT_RATE, Subject.ERROR_RATE, Subject.AVAILABILITY})
"""Subjects that may be promised under a load; the others are a load, or hold at any."""


def clauses(tree: Tree[Token]) -> tuple[Clause, ...]:
    """
    The clauses of one parsed criterion, in the order of the text.

    Raises:
        Refused: words that contradict each other, a comparison the wrong way round, a value that cannot be.
    """
    load: float | None = None
    read: list[Clause] = []
    bare: list[bool] = []
    for child in tree.children:
        if not isinstance(child, Tree):
            continue
        if child.data == "load_head":
            load = load_of(child)
            continue
        for clause in clause_of(child):
            read.append(clause)
            bare.append(is_bare(child))
    return _joined(read, bare, load)


def _joined(read: list[Clause], bare: list[bool], load: float | None) -> tuple[Clause, ...]:
    """Fills in what a clause takes from its neighbours: "GET /a P95 < 1 s and P99 < 2 s at 500 rps"."""
    whole = [_placed(read, bare, index) for index in range(len(read))]
    loads = [clause.at_rate_per_s if clause.subject in UNDER_LOAD else _promised_rate(clause) for clause in whole]
    if load is not None and not any(clause.subject in UNDER_LOAD for clause in whole):
        raise Refused("nothing in it depends on the load it names", clause_text(whole[0]))
    if load is not None and any(clause.subject is Subject.THROUGHPUT for clause in whole):
        raise Refused("it names one load to hold under and another one to handle; write one criterion for each")
    if any(_is_of_one_route(clause) for clause in whole) and None in _loads_needed(whole) and load is None:
        raise Refused("it names the load on one route, and the load on the whole API stays open", None)
    said = []
    for index, clause in enumerate(whole):
        if clause.subject not in UNDER_LOAD or clause.at_rate_per_s is not None:
            said.append(clause)
            continue
        near = [load, *reversed(loads[:index]), *loads[index + 1 :]]
        rate = next((one for one in near if one is not None), None)
        why = () if rate is None or load is not None else (f"under the {rate_text(rate)} named in the same sentence",)
        said.append(replace(clause, at_rate_per_s=rate, assumed=clause.assumed + why))
    said = [_with_whole_load(clause) for clause in said]
    if len({replace(clause, assumed=()) for clause in said}) < len(said):
        raise Refused("it says the same thing twice", " and ".join(dict.fromkeys(map(clause_text, said))))
    _check_windows(said)
    return tuple(said)


def _check_windows(said: list[Clause]) -> None:
    """ "P95 < 100 ms and P99 < 300 ms for 95% of the seconds": are both limits meant, or the last one?"""
    latencies = [clause for clause in said if clause.subject is Subject.LATENCY]
    shares = [clause.windows_ratio is not None for clause in latencies]
    if any(one.windows_ratio is not None and one.side is Side.DATABASE for one in latencies):
        raise Refused(
            "the database counts statements over the whole run, not by windows", "database queries avg < 50 ms"
        )
    if any(shares) and not shares[0]:
        first, last = latencies[0], next(one for one in latencies if one.windows_ratio is not None)
        both = replace(first, windows_ratio=last.windows_ratio, window_s=last.window_s)
        raise Refused("it is unclear whether its share of windows is of one limit or of all", clause_text(both))


def _with_whole_load(clause: Clause) -> Clause:
    if clause.route is None or clause.at_rate_per_s is None:
        return clause
    return _assume(clause, f"{rate_text(clause.at_rate_per_s)} is the load on the whole API, not on this route alone")


def _is_of_one_route(clause: Clause) -> bool:
    return clause.subject is Subject.THROUGHPUT and clause.route is not None


def _loads_needed(whole: list[Clause]) -> list[float | None]:
    return [clause.at_rate_per_s for clause in whole if clause.subject in UNDER_LOAD]


def _promised_rate(clause: Clause) -> float | None:
    return clause.limit if clause.subject is Subject.THROUGHPUT and clause.route is None else None


def _placed(read: list[Clause], bare: list[bool], index: int) -> Clause:
    clause, before = read[index], read[:index]
    routed = next((one for one in reversed(before) if one.route is not None), None)
    if not bare[index]:
        if routed is not None and clause.route is None and clause.side is Side.CLIENT and _can_have_route(clause):
            raise Refused(
                f"it is unclear whether the {clause.subject.value} is that of {routed.route} or of the whole API",
                f"{clause_text(clause)} and {clause_text(routed)}",
            )
        return clause
    if not before:
        return _assume(clause, "the response time of the whole API, as a client sees it")
    last = before[-1]
    if last.subject is Subject.INDEXED:
        raise Refused("it is unclear whether the latency is that of the API or of the database", _with_database(clause))
    if last.subject is Subject.LATENCY and last.side is Side.DATABASE:
        return _assume(replace(clause, side=Side.DATABASE), "of database queries, as named before")
    if routed is not None:
        return _assume(replace(clause, route=routed.route), f"of {routed.route}, as named before")
    return _assume(clause, "the response time of the whole API, as a client sees it")


def _with_database(clause: Clause) -> str:
    return f"database queries indexed and {clause_text(replace(clause, side=Side.DATABASE))}"


def _can_have_route(clause: Clause) -> bool:
    return clause.subject in (Subject.LATENCY, Subject.THROUGHPUT, Subject.ERROR_RATE, Subject.AVAILABILITY)


def _assume(clause: Clause, words: str) -> Clause:
    return replace(clause, assumed=(*clause.assumed, words))
