"""How often each key is drawn, against exact probabilities; and that what is used once is never used twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from headway.errors import BadInput
from headway.load import draw, feed, rationing
from headway.model import (
    Hot,
    Journey,
    LoadModel,
    Order,
    Parameter,
    Phase,
    Route,
    Scenario,
    Step,
)

FALSE_ALARM = 1e-6
"""Of each test; the seeds are fixed, so it either always holds or never."""


def ranks(size: int, *, batches: int = 50, seed: int = 5, **how: object) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    drawn = draw.ranks(size, np.random.default_rng(seed), **how)  # type: ignore[arg-type]
    return np.concatenate([drawn() for _ in range(batches)])


def fits(
    found: np.ndarray[tuple[int], np.dtype[np.int64]], expected: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> float:
    """P of chi-square; cells that are expected fewer than 10 times are put together."""
    total = found.sum()
    few = expected * total < 10
    if few.any():
        found = np.append(found[~few], found[few].sum())
        expected = np.append(expected[~few], expected[few].sum())
    return float(stats.chisquare(found, expected / expected.sum() * total).pvalue)


@pytest.mark.parametrize("exponent", [0.5, 0.99, 1.0, 1.1, 2.0, 4.0])
@pytest.mark.parametrize("size", [1, 2, 37, 5000])
def test_zipf_is_drawn_by_its_exact_weights(size: int, exponent: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Position k with probability (k + 1)^-s / H(size, s), by the table and by the sampler without one."""
    weights = np.arange(1, size + 1, dtype=float) ** -exponent
    weights /= weights.sum()
    for most in (draw.TABLE_KEYS, 0):
        monkeypatch.setattr(draw, "TABLE_KEYS", most)
        counts = np.bincount(ranks(size, exponent=exponent), minlength=size)
        assert counts.size == size
        assert size == 1 or fits(counts, weights) > FALSE_ALARM


@pytest.mark.parametrize("exponent", [0.8, 1.0, 1.3])
def test_zipf_over_very_many_keys_needs_no_table(exponent: float) -> None:
    """A thousand million keys: the exact weights still, the last keys too, and no 8 GB."""
    size = 10**9
    found = ranks(size, exponent=exponent)
    edges = np.unique(np.concatenate([np.arange(30), np.logspace(1.5, 9, 40).astype(np.int64), [size]]))
    # sum of k^-s from a+1 to b by Euler and Maclaurin, exact to far below what chance leaves.
    below = np.array([_zipf_sum(int(edge), exponent) for edge in edges])
    expected = np.diff(below) / below[-1]
    counts, _ = np.histogram(found, bins=edges)
    assert counts.sum() == found.size
    assert fits(counts, expected) > FALSE_ALARM


def _zipf_sum(upto: int, exponent: float) -> float:
    head = min(upto, 10_000)
    exact = float((np.arange(1, head + 1, dtype=float) ** -exponent).sum())
    if upto == head:
        return exact
    a, b = head + 0.5, upto + 0.5
    rest = np.log(b / a) if exponent == 1 else (b ** (1 - exponent) - a ** (1 - exponent)) / (1 - exponent)
    return exact + float(rest)


@pytest.mark.parametrize("size", [2, 20, 1000])
def test_a_hot_set_gets_its_share_evenly(size: int) -> None:
    """85% of the requests for 5% of the keys, alike within the hot set and within the rest."""
    hot = Hot(keys_ratio=0.05, requests_ratio=0.85)
    keys = max(1, round(size * 0.05))
    expected = np.where(np.arange(size) < keys, 0.85 / keys, 0.15 / (size - keys))
    assert fits(np.bincount(ranks(size, hot=hot), minlength=size), expected) > FALSE_ALARM


def test_uniform_is_even() -> None:
    """Every key alike; a hot set that is all the keys is no hot set."""
    even = np.full(100, 0.01)
    assert fits(np.bincount(ranks(100), minlength=100), even) > FALSE_ALARM
    assert set(ranks(1, hot=Hot(keys_ratio=0.5, requests_ratio=0.5))) == {0}


NAMES = tuple("abcdefg")


def drawn(
    parameter: Parameter, count: int, *, worker: int = 0, workers: int = 1, values: tuple[str, ...] = ()
) -> list[str]:
    one = draw.draws([parameter], {parameter.name: values}, np.random.default_rng(1), worker=worker, workers=workers)[
        parameter.name
    ]
    stream = draw.Stream(one)
    return [stream.text() for _ in range(count)]


@pytest.mark.parametrize("distribution", ["values", "csv", "query"])
def test_lists_have_the_same_choices_as_ranges(distribution: str) -> None:
    """Zipf by position, hot sets and orders hold for lists, columns and queries alike."""
    base = {"name": "x", "distribution": distribution}
    zipf = drawn(Parameter(exponent=1.0, **base), 20_000, values=NAMES)  # type: ignore[arg-type]
    weights = 1 / np.arange(1, 8)
    assert fits(np.array([zipf.count(each) for each in NAMES]), weights / weights.sum()) > FALSE_ALARM
    hot = drawn(Parameter(hot=Hot(keys_ratio=0.14, requests_ratio=0.9), **base), 20_000, values=NAMES)  # type: ignore[arg-type]
    assert fits(np.array([hot.count(each) for each in NAMES]), np.array([0.9, *[0.1 / 6] * 6])) > FALSE_ALARM
    order = drawn(Parameter(order=Order.SEQUENTIAL, **base), 9, values=NAMES)  # type: ignore[arg-type]
    assert order == list("abcdefgab")


@given(st.integers(1, 40), st.integers(1, 7))
def test_an_order_is_dealt_out_among_the_workers(size: int, workers: int) -> None:
    """Sequential: each round every worker takes the next, and over all rounds every key has the same number of uses."""
    once = Parameter(name="x", distribution="sequential", low=10, high=9 + size, order=Order.SEQUENTIAL)
    dealt = [drawn(once, size, worker=each, workers=workers) for each in range(workers)]
    together = [value for turn in zip(*dealt, strict=True) for value in turn]
    assert together == [str(10 + at % size) for at in range(size * workers)]


@given(st.integers(1, 40), st.integers(1, 7))
def test_what_is_used_once_is_never_used_twice(size: int, workers: int) -> None:
    """All workers together use every value exactly once; then each says that it ran dry, and never begins again."""
    once = Parameter(name="x", distribution="once", low=1, high=size, order=Order.ONCE)
    used = []
    for worker in range(workers):
        one = draw.draws([once], {}, np.random.default_rng(1), worker=worker, workers=workers)["x"]
        for _ in range(size):
            try:
                used += one()
            except draw.RanDry as dry:
                assert f"x ran dry: of its {size:,} values each was to be used once" in str(dry)
                with pytest.raises(draw.RanDry):
                    one()
                break
    assert sorted(map(int, used)) == list(range(1, size + 1))


def test_columns_of_a_feed_come_from_one_row(tmp_path: Path) -> None:
    """Name and password of a feed belong together, in each request and over all routes that use some of them."""
    file = tmp_path / "people.csv"
    file.write_text("name,password,age\n" + "".join(f"n{i},p{i},{i}\n" for i in range(50)))
    columns = [
        Parameter(name=f"p.{each}", distribution="csv", csv_file=file, csv_column=each, feed="p", exponent=0.5)
        for each in ("name", "password", "age")
    ]
    other = Parameter(name="x", distribution="uniform", low=1, high=10**6)
    values = feed.values([*columns, other], None)
    known = draw.draws([*columns, other], values, np.random.default_rng(3))
    both, some = draw.together(known, {"p.name", "p.password", "x"}), draw.together(known, {"p.age"})
    seen = set()
    for _ in range(5000):
        row = both()
        assert row["p.name"][1:] == row["p.password"][1:]
        seen.add(row["p.name"])
        assert 0 <= int(some()["p.age"]) < 50
    assert len(seen) == 50


def phase(**how: object) -> Phase:
    said = {"name": "p", "model": LoadModel.OPEN, "duration_s": 10, "warmup_s": 0, "rate_per_s": 10.0, **how}
    return Phase(**said)  # type: ignore[arg-type]


def sole(*parameters: Parameter) -> Scenario:
    routes = (
        Route(name="a", method="GET", path="/" + "".join(f"{{{each.name}}}" for each in parameters), weight=1),
        Route(name="b", method="GET", path="/b", weight=3),
    )
    return Scenario(name="s", file=None, routes=routes, parameters=parameters, default_phase=phase())


ONCE = Parameter(name="id", distribution="once", low=1, high=100, order=Order.ONCE)


def test_phases_share_what_is_used_once() -> None:
    """In proportion to what each needs, without one value in two phases; lists and ranges alike."""
    phases = [phase(), phase(rate_per_s=30.0)]
    parts = [rationing.portion(sole(ONCE), phases, at, {})[0][0] for at in range(2)]
    assert [(each.low, each.high) for each in parts] == [(1, 25), (26, 100)]
    listed = Parameter(name="id", distribution="csv", csv_file=Path("x"), order=Order.ONCE)
    values = {"id": tuple(map(str, range(100)))}
    found = [rationing.portion(sole(listed), phases, at, values)[1]["id"] for at in range(2)]
    assert (found[0], found[1]) == (values["id"][:25], values["id"][25:])
    alike = [rationing.portion(sole(ONCE), [phase(), _closed()], at, {})[0][0] for at in range(2)]
    assert [(each.low, each.high) for each in alike] == [(1, 50), (51, 100)]


def _closed(**how: object) -> Phase:
    return phase(model=LoadModel.CLOSED, rate_per_s=None, users=5, **how)


@pytest.mark.parametrize(
    ("phases", "needed"),
    [
        ([phase(rate_per_s=41.0)], "103"),
        ([phase(rate_per_s=20.0, warmup_s=11)], "105"),
        ([phase(rate_per_s=20.5), phase(rate_per_s=20.5)], "103"),
        ([_closed(iterations=404)], "101"),
        ([_closed(iterations=81, iterations_each=True)], "102"),
    ],
)
def test_load_that_would_run_dry_is_refused_before_it_begins(phases: list[Phase], needed: str) -> None:
    """Where the number of starts is known, too few values are an error before the run and not in its last minute."""
    with pytest.raises(BadInput, match=f"id has 100 values to be used once each, and the load needs about {needed}"):
        rationing.portion(sole(ONCE), phases, 0, {})


def test_a_journey_uses_a_value_once_however_many_steps_ask_for_it() -> None:
    """A visit draws each value once; so many are needed as there are visits."""
    routes = (
        Route(name="a", method="GET", path="/{id}", weight=0),
        Route(name="b", method="GET", path="/b/{id}", weight=0),
    )
    journeys = (Journey(name="j", weight=1, steps=(Step(route=0), Step(route=1), Step(route=0))),)
    made = Scenario(name="s", file=None, routes=routes, parameters=(ONCE,), default_phase=phase(), journeys=journeys)
    assert rationing.portion(made, [phase(rate_per_s=10.0)], 0, {})[0] == (ONCE,)
    with pytest.raises(BadInput, match="needs about 110"):
        rationing.portion(made, [phase(rate_per_s=11.0)], 0, {})


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p.csv", "a,b\n1,2,3\n", "line 2 has 3 cells, and the header 2"),
        ("p.csv", "a,a\n1,2\n", "two columns of one name"),
        ("p.csv", 'a,b\n"1,2\n', "cannot read .*unexpected end of data"),
        ("p.csv", "a,b\n", "the feed p has no rows"),
        ("p.jsonl", '{"a": 1, "b": 2}\n{"a": 1}\n', "line 2 has no 'b', which the first line has"),
        ("p.jsonl", '{"a": 1, "b": null}\n', "has no column 'b'; it has a"),
        ("p.jsonl", '{"a": 1, "b": 2}\n\n[1]\n', "line 3 is no JSON object"),
        ("p.jsonl", '{"a": 1, "b": 2}\n{"a"\n', "line 2 is not JSON"),
        ("p.jsonl", "", "has no column 'a'; it has none"),
    ],
)
def test_a_feed_s_file_is_refused_at_its_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    """A row that does not fit is an error with its line before the load, not an empty value during it."""
    (tmp_path / name).write_text(text)
    kind = "csv" if name.endswith("csv") else "json_lines"
    columns = [
        Parameter(name=f"p.{each}", distribution=kind, csv_file=tmp_path / name, csv_column=each, feed="p")
        for each in "ab"
    ]
    with pytest.raises(BadInput, match=said):
        feed.values(columns, None)


def test_json_lines_are_values_as_in_answers(tmp_path: Path) -> None:
    """Text as it is, numbers and true/false as JSON writes them."""
    (tmp_path / "p.jsonl").write_text('{"a": "x y", "n": 1.50, "t": true, "o": {}}\n{"a": "", "n": 12, "t": false}\n')
    columns = [
        Parameter(name=f"p.{each}", distribution="json_lines", csv_file=tmp_path / "p.jsonl", csv_column=each, feed="p")
        for each in "ant"
    ]
    assert feed.values(columns, None) == {"p.a": ("x y", ""), "p.n": ("1.5", "12"), "p.t": ("true", "false")}
