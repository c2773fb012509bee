"""Where a parameter's values come from, and how often each is drawn."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from headway.errors import BadInput
from headway.load import draw, feed
from headway.model import Parameter


def drawn(parameter: Parameter, values: tuple[str, ...] = (), *, batches: int = 25, seed: int = 1) -> list[str]:
    drawer = draw.draws([parameter], {parameter.name: values}, np.random.default_rng(seed))[parameter.name]
    return [value for _ in range(batches) for value in drawer()]


@pytest.mark.parametrize(("exponent", "size"), [(1.0, 1000), (0.8, 100), (1.5, 10_000)])
def test_zipf_is_normalised_over_the_real_range(exponent: float, size: int) -> None:
    """Rank k of a zipf range is drawn with probability k**-s / H(size, s): the hottest key is `low`."""
    found = Counter(drawn(Parameter(name="id", distribution="zipf", low=5, high=4 + size, exponent=exponent)))
    total = found.total()
    weights = np.arange(1, size + 1, dtype=float) ** -exponent
    for rank in (1, 2, 5):
        expected = weights[rank - 1] / weights.sum()
        assert abs(found[str(rank + 4)] / total - expected) < 5 * np.sqrt(expected / total)
    assert all(5 <= int(value) <= 4 + size for value in found)


def test_uniform_draws_every_key_alike_and_none_else() -> None:
    """A uniform range has both its ends, and no key is drawn more than chance allows."""
    found = Counter(drawn(Parameter(name="id", distribution="uniform", low=-2, high=7)))
    assert set(found) == {str(each) for each in range(-2, 8)}
    assert max(abs(n / found.total() - 0.1) for n in found.values()) < 0.01


def test_the_same_seed_draws_the_same_values() -> None:
    """A run can be made again: values depend on the seed alone."""
    parameter = Parameter(name="id", distribution="uniform", low=1, high=10**12)
    assert drawn(parameter, batches=1) == drawn(parameter, batches=1)
    assert drawn(parameter, batches=1) != drawn(parameter, batches=1, seed=2)


def test_a_list_is_drawn_by_position_when_it_has_an_exponent() -> None:
    """A list is drawn uniformly, or with an exponent the first most often."""
    values = ("a", "b", "c")
    even = Counter(drawn(Parameter(name="x", distribution="values", values=values), values))
    skewed = Counter(drawn(Parameter(name="x", distribution="values", values=values, exponent=2.0), values))
    assert max(even.values()) / even.total() < 0.36
    assert abs(skewed["a"] / skewed.total() - 1 / (1 + 1 / 4 + 1 / 9)) < 0.01


def test_a_csv_column_is_read(tmp_path: Path) -> None:
    """A CSV file as a spreadsheet writes it, with a byte-order mark and quotes; empty cells are no values."""
    file = tmp_path / "users.csv"
    file.write_text('id,email\n1,"a,b@x"\n2,\n3,c@x\n4\n', encoding="utf-8-sig")
    first = Parameter(name="id", distribution="csv", csv_file=file)
    email = Parameter(name="email", distribution="csv", csv_file=file, csv_column="email")
    assert feed.values_of(first, None) == ("1", "2", "3", "4")
    assert feed.values_of(email, None) == ("a,b@x", "c@x")


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("id\n1\n", "name", "no column 'name'"),
        ("id\n", "id", "no values"),
        ("", None, "no"),
        ("\xff", None, "cannot read"),
    ],
)
def test_a_csv_file_that_gives_nothing_is_refused(tmp_path: Path, text: str, column: str | None, said: str) -> None:
    """No column, no rows, not UTF-8: refused by name before the run."""
    file = tmp_path / "users.csv"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput, match=said) as refused:
        feed.values_of(Parameter(name="id", distribution="csv", csv_file=file, csv_column=column), None)
    assert str(file) in refused.value.what


def test_a_query_without_a_database_is_refused() -> None:
    """A parameter that a query gives asks for the database's URL."""
    with pytest.raises(BadInput, match="no database was named"):
        feed.values_of(Parameter(name="id", distribution="query", query="SELECT 1"), None)
