"""The search for the highest rate that holds: never beyond what was shown, and never the generator's limit as ours."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway import breakpoint as told
from headway.gate.bounds import LONGER, LONGEST_TRY_S, Bounds, requests_needed
from headway.gate.breakpoint import Found, Search, Stopped, Try, promise_of
from headway.gate.ladder import Ladder, Probe
from headway.model import Clause, Comparison, Criterion, ExitCode, Promise, Side, State, Statistic, Subject
from made.judged import ROUTES, SCENARIO, clause, made_evidence, made_hits, made_promise

OVERHEAD_S = 7.0
Service = Callable[[Try, int], State]
"""What becomes of a try, and the number of the try, from 1."""


def bounds(
    start: float = 50.0, most: float = 1e6, within: float = 0.1, allowed_s: float | None = None, needed: float = 100
) -> Bounds:
    return Bounds(
        start_per_s=start, most_per_s=most, duration_s=10, needed=needed, within_ratio=within, overhead_s=OVERHEAD_S,
        allowed_s=allowed_s,
    )  # fmt: skip


def found(service: Service, of: Bounds) -> Found:
    """A search on a service, each try of which takes as long as it may; it ends within its time whatever happens."""
    search = Search(of)
    tries = search.tries()
    wanted = next(tries, None)
    number, spent_s = 0, 0.0
    while wanted is not None:
        number += 1
        state = service(wanted, number)
        took_s = wanted.duration_s + OVERHEAD_S
        spent_s += took_s
        probe = Probe(
            rate_per_s=wanted.rate_per_s, duration_s=wanted.duration_s, state=state, took_s=took_s,
            why="" if state is State.KEPT else f"{state.value} at {wanted.rate_per_s:g}",
        )  # fmt: skip
        try:
            wanted = tries.send(probe)
        except StopIteration:
            wanted = None
    assert spent_s <= of.longest_s + 1e-6
    return search.found()


def breaks_above(limit_per_s: float, generator_per_s: float = math.inf) -> Service:
    """A service that breaks above a rate, loaded by a generator that gives way above another."""

    def service(wanted: Try, _number: int) -> State:
        rate = wanted.rate_per_s
        return State.INVALID if rate > generator_per_s else State.KEPT if rate <= limit_per_s else State.BROKEN

    return service


def but(service: Service, **states: State) -> Service:
    """The same, except for tries named by number: `but(service, try2=State.BROKEN)`."""
    return lambda wanted, number: states.get(f"try{number}", service(wanted, number))


@given(st.floats(20, 9e5), st.floats(5, 5000), st.sampled_from([0.02, 0.1, 0.5]))
def test_the_limit_lies_between_what_held_and_what_broke(limit: float, start: float, within: float) -> None:
    """Whatever the limit and the start: held <= limit < broken, as near as asked, and both tried again for longer."""
    answer = found(breaks_above(limit), bounds(start, within=within))
    assert answer.stopped is Stopped.SERVICE
    assert answer.confirmed
    assert answer.holds_per_s is not None
    assert answer.breaks_per_s is not None
    assert answer.holds_per_s <= limit < answer.breaks_per_s
    assert answer.breaks_per_s <= answer.holds_per_s * (1 + within) * 1.0001
    assert answer.why == f"broken at {answer.breaks_per_s:g}"
    assert told.exit_code(answer) is ExitCode.KEPT


@given(st.integers(0, 2**32), st.floats(20, 5e4), st.floats(5, 1000), st.floats(1, 30))
def test_chance_near_the_limit_cannot_make_it_say_what_is_not_so(
    seed: int, limit: float, start: float, minutes: float
) -> None:
    """
    A service whose tries are open near its limit, a generator that is disturbed now and then, any time allowed.

    It ends in its time; what it says holds lies below the limit and what it says breaks above it.
    """
    rng = Random(seed)

    def service(wanted: Try, _number: int) -> State:
        if rng.random() < 0.2:
            return State.INVALID
        straddles = 1.3 if wanted.duration_s <= 10 else 1.15
        if limit / straddles < wanted.rate_per_s < limit * straddles or rng.random() < 0.1:
            return State.INCONCLUSIVE
        return State.KEPT if wanted.rate_per_s < limit else State.BROKEN

    of = bounds(start, most=1e5, allowed_s=minutes * 60)
    answer = found(service, of)
    assert answer.holds_per_s is None or answer.holds_per_s < limit
    assert answer.breaks_per_s is None or answer.breaks_per_s > limit
    wide = answer.holds_per_s and answer.breaks_per_s and answer.breaks_per_s > 1.11 * answer.holds_per_s
    assert not (wide and told.exit_code(answer) is ExitCode.KEPT)


def test_an_open_rate_does_not_end_the_search() -> None:
    """Around an open rate what holds is found below it and what breaks above it; the answer says it is no nearer."""

    def service(wanted: Try, _number: int) -> State:
        return breaks_above(300)(wanted, 0) if not 250 < wanted.rate_per_s < 360 else State.INCONCLUSIVE

    answer = found(service, bounds())
    assert answer.stopped is Stopped.UNSURE
    assert answer.holds_per_s is not None
    assert answer.breaks_per_s is not None
    assert 225 < answer.holds_per_s <= 250
    assert 360 <= answer.breaks_per_s < 400
    assert answer.confirmed
    assert told.exit_code(answer) is ExitCode.INCONCLUSIVE
    assert "inconclusive at" in answer.why


def test_a_rate_too_low_to_be_told_of_is_left_for_higher_ones() -> None:
    """Few requests leave a promise open: the next rate has more, and the low one is not tried for longer first."""
    answer = found(
        lambda wanted, _n: State.INCONCLUSIVE if wanted.rate_per_s < 60 else breaks_above(300)(wanted, 0), bounds(20)
    )
    assert answer.stopped is Stopped.SERVICE
    assert [each.rate_per_s for each in answer.probes[:3]] == [20, 40, 80]


@given(st.floats(10, 400), st.floats(7, 100), st.floats(50, 489), st.floats(5, 30))
def test_a_slow_service_is_called_for_its_tries_last_as_long_as_that_takes(
    limit: float, start: float, needed: float, minutes: float
) -> None:
    """
    A gate that calls nothing kept from too few requests, and a service of some ten requests a second.

    No try is called off for want of requests or longer than is said; with time enough the limit is found.
    """
    of = bounds(start, most=1e4, needed=needed, allowed_s=minutes * 60)

    def service(wanted: Try, _number: int) -> State:
        assert 10 <= wanted.duration_s <= of.most_s <= LONGEST_TRY_S
        assert wanted.rate_per_s * wanted.duration_s >= needed
        assert wanted.duration_s in {10, 20} or wanted.rate_per_s * 10 < needed, "a fast rate takes the short try"
        assert wanted.duration_s <= max(20, math.ceil(needed / wanted.rate_per_s)), "and a slow one no longer than that"
        return breaks_above(limit)(wanted, 0)

    answer = found(service, of)
    assert answer.holds_per_s is None or answer.holds_per_s <= limit
    if minutes > 25:
        assert answer.stopped is Stopped.SERVICE
        assert answer.confirmed
        assert answer.breaks_per_s is not None and (answer.holds_per_s or of.floor_per_s) <= limit


def test_an_open_rate_is_tried_for_as_long_as_the_gate_said_that_it_would_need() -> None:
    """30 a second is open at first and kept in the longer try; a try that no bound allows is not made at all."""

    def tries(useful_s: float) -> list[tuple[float, float]]:
        search, seen = Search(bounds(30, most=60, needed=489, allowed_s=900)), []
        steps = search.tries()
        wanted = next(steps)
        for _ in range(3):
            seen.append((wanted.rate_per_s, wanted.duration_s))
            open_ = wanted.rate_per_s == 30 and len(seen) == 1
            state = State.INCONCLUSIVE if open_ else State.BROKEN if wanted.rate_per_s == 60 else State.KEPT
            wanted = steps.send(
                Probe(rate_per_s=wanted.rate_per_s, duration_s=wanted.duration_s, state=state, useful_s=useful_s)
            )
        return seen

    assert tries(20) == [(30, 17), (60, 10), (30, 20)]
    assert tries(70.2) == [(30, 17), (60, 10), (30, 71)]
    assert tries(LONGEST_TRY_S + 1) == [(30, 17), (60, 10), (15, 33)]


def test_the_requests_a_try_needs_are_what_the_gate_itself_takes() -> None:
    """One flawless request fewer is not called kept; a route's own promise takes as many of that route."""
    held = promise_of(made_promise(clause(Subject.LATENCY, 100)))
    needed = requests_needed(held, SCENARIO)

    def called(requests: int) -> State:
        hits = made_hits([[1.0] * (requests // 10 + (second < requests % 10)) for second in range(10)])
        return told.verdict_at(held, made_evidence(hits), (), hits).state

    assert (called(int(needed) - 1), called(int(needed))) == (State.INCONCLUSIVE, State.KEPT)
    (errors,) = held.criteria[1].clauses
    latency = clause(Subject.LATENCY, 100, route=ROUTES[1])
    assert requests_needed(made_promise(latency), SCENARIO) == 2 * requests_needed(
        made_promise(clause(Subject.LATENCY, 100)), SCENARIO
    )
    assert requests_needed(made_promise(errors), SCENARIO) == needed
    none_fails = clause(Subject.ERROR_RATE, 0.0, comparison=Comparison.LE)
    assert requests_needed(made_promise(none_fails), SCENARIO) == math.inf
    assert bounds(needed=math.inf).first_s(50) == 10, "what no try can show makes none longer"


def test_what_is_said_before_is_what_it_may_take() -> None:
    """The length of the tries, the lowest rate and the whole time, before any load."""
    said = told.announced(bounds(needed=489, allowed_s=360))
    assert said == (
        "tries of 10 s, longer below 48.9 req/s, as a rate is called kept from 489 requests on (none over 150 s);"
        " no rate below 6.52 req/s; at most 6 minutes of load in all"
    )
    assert "longer" not in told.announced(bounds(needed=math.inf))


def test_one_disturbance_of_the_generator_does_not_end_the_search() -> None:
    """A try in which the generator gave way is made again; the limit found is the service's."""
    answer = found(but(breaks_above(300), try1=State.INVALID, try4=State.INVALID), bounds())
    assert answer.stopped is Stopped.SERVICE
    assert answer.confirmed
    assert answer.holds_per_s is not None
    assert 270 < answer.holds_per_s <= 300


def test_the_generator_s_limit_is_not_the_service_s() -> None:
    """Where the load cannot be made, try after try, the search says so; no rate is called broken for it."""
    answer = found(breaks_above(1e5, generator_per_s=900), bounds())
    assert answer.stopped is Stopped.GENERATOR
    assert answer.holds_per_s is not None
    assert 800 < answer.holds_per_s <= 900
    assert answer.breaks_per_s is None
    assert told.exit_code(answer) is ExitCode.INVALID
    assert "not the service's limit" in told.conclusion(answer)
    nothing = found(breaks_above(1e5, generator_per_s=1), bounds())
    assert (nothing.stopped, nothing.holds_per_s, len(nothing.probes)) == (Stopped.GENERATOR, None, 3)


def test_a_service_that_breaks_below_the_generator_s_limit_is_found_all_the_same() -> None:
    """Between the last rate that held and one the generator could not make, the service's own limit is looked for."""
    answer = found(breaks_above(1000, generator_per_s=1500), bounds())
    assert answer.stopped is Stopped.SERVICE
    assert answer.holds_per_s is not None
    assert 900 < answer.holds_per_s <= 1000


def test_the_highest_rate_asked_for_ends_it() -> None:
    """A service that holds everywhere has its limit above what was tried; the highest is tried again for longer."""
    answer = found(breaks_above(1e9), bounds(most=300))
    assert (answer.stopped, answer.holds_per_s, answer.breaks_per_s) == (Stopped.ASKED, 300, None)
    assert answer.confirmed
    assert "lies above it" in told.conclusion(answer)
    assert told.exit_code(answer) is ExitCode.KEPT


def test_a_service_that_holds_nowhere_is_said_to() -> None:
    """Down to the lowest rate that can be judged, and no further: exit code 3."""
    answer = found(breaks_above(0.1), bounds())
    assert (answer.stopped, answer.holds_per_s) == (Stopped.SERVICE, None)
    assert answer.breaks_per_s is not None
    assert answer.breaks_per_s < 2 * bounds().floor_per_s
    assert told.exit_code(answer) is ExitCode.BROKEN


@pytest.mark.parametrize("flipped", [State.BROKEN, State.KEPT])
def test_an_end_that_does_not_stand_a_longer_try_sends_the_search_on(flipped: State) -> None:
    """Held once and broken for longer, or broken once and held for longer: the longer try counts, and it goes on."""
    wrong: list[float] = []

    def service(wanted: Try, _number: int) -> State:
        """A short try near the real limit of 300 is wrong, in the way that hides it."""
        truth = breaks_above(300)(wanted, 0)
        short = wanted.duration_s < 10 * LONGER
        if short and flipped is State.KEPT and 180 < wanted.rate_per_s < 300:
            wrong.append(wanted.rate_per_s)
            return State.BROKEN
        if short and flipped is State.BROKEN and 300 < wanted.rate_per_s < 360:
            wrong.append(wanted.rate_per_s)
            return State.KEPT
        return truth

    answer = found(service, bounds())
    assert wrong
    assert answer.confirmed
    assert answer.holds_per_s is not None
    assert answer.breaks_per_s is not None
    assert answer.holds_per_s <= 300 < answer.breaks_per_s
    assert answer.breaks_per_s <= answer.holds_per_s * 1.1001


def test_it_ends_in_time_and_says_that_more_is_not_known() -> None:
    """With time for a few tries only: what holds is kept and tried again; no answer of more certainty than that."""
    answer = found(breaks_above(1e9), bounds(allowed_s=250))
    assert answer.stopped is Stopped.TIME
    assert answer.holds_per_s is not None
    assert answer.breaks_per_s is None
    assert answer.confirmed
    assert told.exit_code(answer) is ExitCode.INCONCLUSIVE


def test_the_longer_try_overrules_the_shorter() -> None:
    """10 s kept and 10 s broken is open; 20 s against 10 s is called."""
    ladder = Ladder()
    ladder.note(Probe(rate_per_s=5, duration_s=10, state=State.KEPT))
    ladder.note(Probe(rate_per_s=5, duration_s=10, state=State.BROKEN))
    assert ladder.state(5) is State.INCONCLUSIVE
    ladder.note(Probe(rate_per_s=5, duration_s=10, state=State.BROKEN))
    assert ladder.state(5) is State.BROKEN


def test_latencies_and_errors_are_what_must_hold() -> None:
    """Loads that clauses name, throughput and the database's side are left out; an error rate is always judged."""
    latency = Clause(
        subject=Subject.LATENCY, side=Side.CLIENT, statistic=Statistic(quantile=0.95), comparison=Comparison.LT,
        limit=1e8, at_rate_per_s=2000,
    )  # fmt: skip
    rate = Clause(subject=Subject.THROUGHPUT, side=Side.CLIENT, comparison=Comparison.GE, limit=1e4)
    base = Clause(subject=Subject.LATENCY, side=Side.DATABASE, comparison=Comparison.LT, limit=5e7)
    criteria = tuple(
        Criterion(id=str(number), text="t", file=Path("spec.md"), line=number, clauses=(clause,))
        for number, clause in enumerate((latency, rate, base))
    )
    held = promise_of(Promise(id="p", title="t", folder=None, criteria=criteria))
    assert [each.id for each in held.criteria] == ["0", "implied"]
    assert held.criteria[0].clauses[0].at_rate_per_s is None
    assert held.criteria[1].clauses[0].subject is Subject.ERROR_RATE
    assert not promise_of(Promise(id="p", title="t", folder=None, criteria=criteria[1:])).criteria
