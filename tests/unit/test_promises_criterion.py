"""Properties of reading criteria and saying them back, over generated clauses and arbitrary text."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from headway.model import Clause, Comparison, Side, Statistic, Subject
from headway.promises.criterion import read
from headway.promises.spoken import (
    clause_text,
    duration_text,
    limit_text,
    percent_text,
    rate_text,
    value_text,
    windows_text,
)

quick = settings(max_examples=100, deadline=None)

UPPER = st.sampled_from((Comparison.LT, Comparison.LE))
LOWER = st.sampled_from((Comparison.GT, Comparison.GE))
SEGMENT = st.from_regex(r"[a-z][a-z0-9_.-]{0,8}[a-z0-9]|\{[a-z]{1,6}\}", fullmatch=True)
ROUTES = st.none() | st.builds(
    lambda method, parts: f"{method} /{'/'.join(parts)}",
    st.sampled_from(("GET", "POST", "PUT", "PATCH", "DELETE")),
    st.lists(SEGMENT, max_size=3),
)
RATES = st.floats(min_value=0.01, max_value=1e7) | st.integers(1, 10**7).map(float)
LOADS = st.none() | RATES
STATISTICS = st.one_of(
    st.just(Statistic(average=True)),
    st.just(Statistic(maximum=True)),
    st.integers(5000, 9999).map(lambda q: Statistic(quantile=q / 10_000)),
    st.sampled_from((0.5, 0.9, 0.95, 0.99, 0.999, 0.9999)).map(lambda q: Statistic(quantile=q)),
)
WINDOWS: st.SearchStrategy[dict[str, Any]] = st.just({}) | st.fixed_dictionaries(
    {"windows_ratio": st.floats(min_value=1e-6, max_value=0.999999), "window_s": st.integers(1, 3_600)}
)
NANOSECONDS = st.floats(min_value=1, max_value=1e13) | st.integers(1, 10**13).map(float)
SHARES = st.integers(1, 99_999).map(lambda share: share / 100_000) | st.floats(min_value=1e-9, max_value=0.999999)


@st.composite
def clauses(draw: st.DrawFn) -> Clause:
    subject = draw(st.sampled_from(Subject))
    blank = Clause(subject=subject, side=Side.CLIENT)
    match subject:
        case Subject.LATENCY:
            side = draw(st.sampled_from((Side.CLIENT, Side.DATABASE)))
            return replace(
                blank,
                side=side,
                statistic=draw(STATISTICS),
                comparison=draw(UPPER),
                limit=draw(NANOSECONDS),
                route=draw(ROUTES) if side is Side.CLIENT else None,
                at_rate_per_s=draw(LOADS),
                **(draw(WINDOWS) if side is Side.CLIENT else {}),
            )
        case Subject.THROUGHPUT:
            return replace(blank, comparison=draw(LOWER), limit=draw(RATES), route=draw(ROUTES))
        case Subject.HIT_RATE:
            side = draw(st.sampled_from((Side.CACHE, Side.EDGE)))
            return replace(blank, side=side, comparison=draw(LOWER), limit=draw(SHARES), at_rate_per_s=draw(LOADS))
        case Subject.ERROR_RATE | Subject.AVAILABILITY:
            way = UPPER if subject is Subject.ERROR_RATE else LOWER
            return replace(
                blank, comparison=draw(way), limit=draw(SHARES), route=draw(ROUTES), at_rate_per_s=draw(LOADS)
            )
        case Subject.INDEXED:
            return replace(blank, side=Side.DATABASE)
        case _:
            return blank


def without_words(found: tuple[Clause, ...]) -> list[Clause]:
    return [replace(clause, assumed=()) for clause in found]


@quick
@given(clauses())
@example(
    Clause(
        subject=Subject.LATENCY,
        side=Side.CLIENT,
        statistic=Statistic(quantile=0.95),
        comparison=Comparison.LT,
        limit=1_234_000.0,
    )
)
def test_what_is_said_is_understood_as_the_same_clause(clause: Clause) -> None:
    """Saying a clause and reading it back loses nothing, to the last bit of the limit."""
    assert without_words(read(clause_text(clause)).clauses) == [clause]


@quick
@given(clauses(), st.data())
def test_no_strange_word_is_ever_dropped(clause: Clause, data: st.DataObject) -> None:
    """One unknown word anywhere in an understood sentence, and the sentence promises nothing."""
    words = clause_text(clause).split()
    word = data.draw(
        st.sampled_from(("not", "never", "Asia", "logged-in", "staging", "users", "cold", "5", "without", "about", "%"))
        | st.from_regex(r"[qxz][a-z]{3,8}", fullmatch=True)
    )
    at = data.draw(st.integers(0, len(words)))
    reading = read(" ".join([*words[:at], word, *words[at:]]))
    assert reading.clauses == ()
    assert reading.not_understood
    assert reading.instead is not None
    assert read(reading.instead).clauses


VOCABULARY = re.split(
    r"\|",
    "P95|P99|avg|max|median|latency|time|API|requests|all|database|queries|endpoint|cache|CDN|errors|availability|indexed|"
    "monitoring|alerts|enabled|<|<=|>|>=|under|over|within|and|with|at|,|(|)|no|throughput|handle|load|P1|(P1)|5|not|the|"
    "of|for|for 95% of the seconds|in 99% of 10 s windows|"
    "100ms|50ms|80%|99.9%|500rps|response time|hit rate|GET /users|/orders|at least|100 ms|10K req/s|or less",
)


SENTENCES = (
    "API response time < 100 ms (P95) at 500 rps",
    "GET /users/{id} P99 <= 250 ms and P95 < 100 ms",
    "at least 95% of requests within 100 ms",
    "Database queries avg < 50 ms",
    "Handle 10K req/s with P95 < 100 ms",
    "CDN cache hit rate > 80%",
    "fewer than 1% errors and availability >= 99.9%",
    "Database queries indexed , monitoring and alerts enabled",
    "errors >= 500 %",
)


@st.composite
def mutated(draw: st.DrawFn) -> list[str]:
    """A sentence that is understood, with a few words of the grammar put in, left out or put in place of others."""
    words = draw(st.sampled_from(SENTENCES)).split()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(words)))
        words[at : at + draw(st.integers(0, 1))] = draw(st.lists(st.sampled_from(VOCABULARY), max_size=1))
    return words


@settings(max_examples=200, deadline=None)
@given(mutated() | st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=12))
@example(["latency", "<", "100", "10K", "req/s", "ms", "for", "99%", "of", "requests"])
@example(["errors", ">=", "500", "the"])
def test_words_in_any_order_are_refused_or_promise_what_can_be_said_again(words: list[str]) -> None:
    """Whatever is understood is possible, the right way round, and says the same when said again."""
    reading = read(" ".join(words))
    assert bool(reading.clauses) != bool(reading.not_understood)
    for clause in without_words(reading.clauses):
        assert without_words(read(clause_text(clause)).clauses) == [clause]
    if reading.not_understood:
        assert reading.instead is not None
        assert read(reading.instead).clauses


@settings(max_examples=250, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="P95<>=≤ 10.,K%msreq/s()[]*`_&lt;{}-:\n\0\\", max_size=60))
def test_any_text_is_read_without_an_error(text: str) -> None:
    """Arbitrary text is understood or refused with a reason; it never makes Headway fail."""
    reading = read(text)
    assert bool(reading.clauses) != bool(reading.not_understood)


@quick
@given(clauses(), st.floats(min_value=0.999, max_value=1.001), st.floats(min_value=0, max_value=1e15))
def test_a_rounded_value_never_crosses_its_limit(clause: Clause, near: float, far: float) -> None:
    """Who compares the printed value with the printed limit comes to the same verdict as the numbers do."""
    assume(clause.limit is not None and clause.limit > 0)
    limit = clause.windows_ratio or clause.limit or 0.0
    for value in (limit, limit * near, far if clause.subject is not Subject.HIT_RATE else far / 1e15):
        shown = _number(value_text(clause, value))
        edge = _number(windows_text(clause).split()[1] if clause.windows_ratio else limit_text(clause).split(" ", 1)[1])
        assert (shown > edge) == (value > limit)
        assert (shown < edge) == (value < limit)


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (duration_text(52_000_000.0), "52.0 ms"),
        (duration_text(1.234e9), "1.23 s"),
        (duration_text(1_500.0), "1.50 µs"),
        (duration_text(0.0), "0 ms"),
        (duration_text(99_970_000.0, apart_from=1e8), "99.97 ms"),
        (duration_text(1e300)[-2:], " s"),
        (percent_text(0.813), "81.3%"),
        (percent_text(0.99999), "99.999%"),
        (percent_text(1.0), "100%"),
        (percent_text(0.0), "0%"),
        (rate_text(9_870.4), "9,870 req/s"),
        (rate_text(9_999.7, apart_from=10_000.0), "9,999.7 req/s"),
    ],
)
def test_values_are_shown_as_people_read_them(shown: str, text: str) -> None:
    """Three significant digits in the unit that fits, more where rounding would hide a miss."""
    assert shown == text


def test_an_open_bound_is_called_one() -> None:
    """An infinite interval end is "no bound", never a number."""
    clause = read("P95 < 100 ms").clauses[0]
    assert value_text(clause, math.inf) == "no bound"
    assert value_text(clause, math.nan) == "no number"


def _number(text: str) -> Decimal:
    """The value of a shown quantity in base units."""
    found = re.fullmatch(r"(-?[\d,.]+) ?(s|ms|µs|ns|%|req/s)", text)
    assert found, text
    sizes: dict[str, Decimal | int] = {"s": 10**9, "ms": 10**6, "µs": 10**3, "ns": 1, "%": Decimal("0.01"), "req/s": 1}
    return Decimal(found[1].replace(",", "")) * sizes[found[2]]
