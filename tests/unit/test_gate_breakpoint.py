"""The search for the highest rate that holds: never beyond what was shown, and never the generator's limit as ours."""

from __future__ import annotations

import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from headway import breakpoint as told
from headway.gate.breakpoint import Found, Probe, Stopped, most_seconds, promise_of, search
from headway.model import Clause, Comparison, Criterion, ExitCode, Promise, Side, State, Statistic, Subject


def found(
    limit_per_s: float, *, start: float = 50.0, most: float = 1e6, within: float = 0.1, generator: float = math.inf,
    states: dict[int, State] | None = None,
) -> Found:  # fmt: skip
    """A search on a service that breaks above a rate, by a generator that gives way above another."""
    tried: list[float] = []

    def probe(rate: float, seconds: float) -> Probe:
        tried.append(rate)
        state = State.INVALID if rate > generator else State.KEPT if rate <= limit_per_s else State.BROKEN
        state = (states or {}).get(len(tried), state)
        return Probe(rate_per_s=rate, duration_s=seconds, state=state, why="" if state is State.KEPT else "because")

    return search(probe, start_per_s=start, most_per_s=most, duration_s=10, within_ratio=within)


@given(st.floats(2, 9e5), st.floats(1, 5000), st.sampled_from([0.02, 0.1, 0.5]))
def test_the_limit_lies_between_what_held_and_what_broke(limit: float, start: float, within: float) -> None:
    """Whatever the limit and the start: held <= limit < broken, as near as asked, tried again, and in bounded time."""
    answer = found(limit, start=start, within=within)
    assert answer.stopped is Stopped.SERVICE
    assert answer.confirmed
    assert answer.holds_per_s is not None
    assert answer.breaks_per_s is not None
    assert answer.holds_per_s <= limit < answer.breaks_per_s
    assert answer.breaks_per_s <= answer.holds_per_s * (1 + within) * 1.0001
    assert told.exit_code(answer) is ExitCode.KEPT
    took = sum(each.duration_s for each in answer.probes)
    if start <= limit:
        assert took <= most_seconds(start_per_s=start, most_per_s=1e6, duration_s=10, warmup_s=0, within_ratio=within)


def test_the_generator_s_limit_is_not_the_service_s() -> None:
    """Where the load cannot be made the search ends and says so; no rate is called broken for it."""
    answer = found(1e5, generator=900)
    assert answer.stopped is Stopped.GENERATOR
    assert answer.holds_per_s == 800
    assert answer.breaks_per_s is None
    assert told.exit_code(answer) is ExitCode.INVALID
    assert "not the service's limit" in told.conclusion(answer)


def test_the_highest_rate_asked_for_ends_it() -> None:
    """A service that holds everywhere has its limit above what was tried, and that is what is said."""
    answer = found(1e9, most=300)
    assert (answer.stopped, answer.holds_per_s, answer.breaks_per_s) == (Stopped.ASKED, 300, None)
    assert "lies above it" in told.conclusion(answer)


def test_an_unsure_rate_is_tried_longer_and_then_left_open() -> None:
    """Inconclusive once: again for twice as long. Twice: no verdict on it, exit code 4."""
    once = found(300, states={2: State.INCONCLUSIVE})
    assert once.stopped is Stopped.SERVICE
    assert [each.duration_s for each in once.probes[:3]] == [10, 10, 20]
    twice = found(300, states={2: State.INCONCLUSIVE, 3: State.INCONCLUSIVE})
    assert twice.stopped is Stopped.UNSURE
    assert twice.holds_per_s == 50
    assert told.exit_code(twice) is ExitCode.INCONCLUSIVE


def test_a_rate_that_does_not_hold_again_is_not_said_to_hold() -> None:
    """Held once, broken for longer: the lower rate stands, unconfirmed, and the exit code is not 0."""
    steady = found(300)
    last = len(steady.probes)
    answer = found(300, states={last: State.BROKEN})
    assert not answer.confirmed
    assert answer.breaks_per_s == steady.holds_per_s
    assert answer.holds_per_s is not None
    assert steady.holds_per_s is not None
    assert answer.holds_per_s < steady.holds_per_s
    assert told.exit_code(answer) is ExitCode.INCONCLUSIVE


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
