"""Scenario files: what they say, and how they are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import BadInput
from headway.load import scenario
from headway.model import Arrivals, LoadModel

WHOLE = """\
name = "shop"

[load]
model = "open"
arrivals = "constant"
rate_per_s = 200
duration_s = 30
warmup_s = 0
max_connections = 64
timeout_s = 2.5
seed = 7

[parameters.user_id]
zipf = { low = 1, high = 1000, exponent = 1.1 }

[parameters.city]
values = ["Bern", "São Paulo"]

[[routes]]
name = "GET /users/{id}"
path = "/users/{user_id}"
weight = 3
headers = { x-city = "{city}" }
expect_status = [200, 404]

[[routes]]
method = "POST"
path = "/orders"
body = '{"user": {user_id}, "tags": {}}'
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "s.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_whole_scenario_is_read_as_it_says(tmp_path: Path) -> None:
    """Every key reaches the Scenario; a route without a name is called by method and path."""
    read = scenario.read(written(tmp_path, WHOLE))
    phase = read.default_phase
    assert (phase.model, phase.arrivals, phase.rate_per_s) == (LoadModel.OPEN, Arrivals.CONSTANT, 200)
    assert (phase.duration_s, phase.warmup_s, phase.max_connections) == (30, 0, 64)
    assert (phase.timeout_s, phase.seed, phase.users) == (2.5, 7, None)
    first, second = read.routes
    assert (first.name, first.weight, first.expect_status) == ("GET /users/{id}", 3, (200, 404))
    assert (second.name, second.method, second.weight) == ("POST /orders", "POST", 1)
    assert [each.name for each in read.parameters] == ["user_id", "city"]


def test_a_short_scenario_has_ordinary_defaults(tmp_path: Path) -> None:
    """A path is enough: an open Poisson model at 50/s for 20 s after 5 s of warm-up."""
    phase = scenario.read(written(tmp_path, '[[routes]]\npath = "/"')).default_phase
    assert (phase.model, phase.arrivals, phase.rate_per_s) == (LoadModel.OPEN, Arrivals.POISSON, 50)
    assert (phase.duration_s, phase.warmup_s) == (20, 5)


ROUTE = '[[routes]]\npath = "/"\n'
REFUSED = [
    ('[load]\nrate_per_sec = 5\n' + ROUTE, 2, "did you mean 'rate_per_s'"),
    (ROUTE + "wieght = 2\n", 3, "did you mean 'weight'"),
    ("[laod]\n" + ROUTE, 1, "did you mean 'load'"),
    ('[[routes]]\npath = "/users/{user_id}"\n', 2, r"\{user_id\}, which no \[parameters.user_id\] defines"),
    ("[parameters.city]\nvalues = [1]\n" + ROUTE, 1, "no route uses the parameter city"),
    ("[load]\nrate_per_s = 5\nusers = 5\n" + ROUTE, 3, "users = 5 means nothing in an open model"),
    ('[load]\nmodel = "closed"\nusers = 5\nrate_per_s = 5\n' + ROUTE, 4, "means nothing in a closed model"),
    ('[load]\nmodel = "closed"\n' + ROUTE, 2, "a closed model needs users"),
    ('[load]\nmodel = "ramp"\n' + ROUTE, 2, "say one of open, closed"),
    ("[load]\nrate_per_s = 0\n" + ROUTE, 2, "not a number above 0"),
    ("[load]\nrate_per_s = nan\n" + ROUTE, 2, "not a number above 0"),
    ("[load]\nduration_s = -3\n" + ROUTE, 2, "not a time above 0 s"),
    ("[load]\nmax_connections = 1.5\n" + ROUTE, 2, "not a whole number"),
    (ROUTE + "weight = 0\n", 3, "weight = 0"),
    (ROUTE + "weight = true\n", 3, "weight = True"),
    (ROUTE + ROUTE, None, "two routes are named"),
    ('[[routes]]\npath = "users"\n', 2, "route 1 has path = 'users'"),
    (ROUTE + '[[routes]]\npath = "/a b"\n', 4, "route 2 has path"),
    ('[[routes]]\npath = "/"\nmethod = "FETCH"\n', 3, "say one of GET"),
    ('[[routes]]\npath = "/"\nheaders = { x = "a\\r\\nb" }\n', 3, "text on one line"),
    ('[[routes]]\npath = "/"\nheaders = { Content-Length = "3" }\n', 3, "which Headway sets itself"),
    (ROUTE + "expect_status = [99]\n", 3, "not a list of statuses"),
    ("[load]\nduration_s = 3\n", None, "has no routes"),
    ("routes = 3\n", 1, "routes = 3 is not a list"),
    ("[load\n", 1, "not TOML"),
    (ROUTE + "path = \n", 3, "not TOML"),
]  # fmt: skip
PARAMETERS = [
    ('csv = { file = "none.csv" }', "cannot read .*none.csv"),
    ("uniform = { low = 5, high = 1 }", "not a range"),
    ("uniform = { low = 1, high = 99999999999999999999 }", "high = 99999999999999999999 is not a whole number"),
    ("uniform = { low = 1 }", "has no high"),
    ("uniform = { low = 1, hihg = 2 }", "did you mean 'high'"),
    ("uniform = { low = 1, high = 3 }\nexponent = 2", "exponent beside uniform"),
    ("zipf = { low = 1, high = 2000000000000000 }", "over 1,125,899,906,842,624 keys"),
    ("zipf = { low = 1, high = 9, exponent = 0 }", "not a number above 0"),
    ("values = []", "has no value"),
    ("values = [1]\nuniform = { low = 1, high = 3 }", "has 2 sources"),
    ("", "has 0 sources"),
    ("query = { limit = 5 }", "query has no sql"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "said"), REFUSED)
def test_what_means_nothing_is_refused_at_its_line(tmp_path: Path, text: str, line: int | None, said: str) -> None:
    """Each refusal names the file, the line and what could be said instead."""
    with pytest.raises(BadInput, match=said) as refused:
        scenario.read(written(tmp_path, text))
    assert refused.value.file == tmp_path / "s.toml"
    if line is not None:
        assert refused.value.line == line
    assert refused.value.next_act


@pytest.mark.parametrize(("source", "said"), PARAMETERS)
def test_a_parameter_without_a_sound_source_is_refused(tmp_path: Path, source: str, said: str) -> None:
    """A parameter needs exactly one source, and one that has values; the refusal names a line of the file."""
    text = f'[[routes]]\npath = "/{{user_id}}"\n[parameters.user_id]\n{source}\n'
    with pytest.raises(BadInput, match=said) as refused:
        scenario.read(written(tmp_path, text))
    assert refused.value.file == tmp_path / "s.toml"
    assert refused.value.line is not None


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """No file and a file that is not UTF-8 are bad input, not a traceback."""
    with pytest.raises(BadInput, match="cannot read the scenario"):
        scenario.read(tmp_path / "none.toml")
    (tmp_path / "s.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(BadInput, match="not UTF-8"):
        scenario.read(tmp_path / "s.toml")


@given(st.text(max_size=200))
def test_no_text_makes_the_reader_fail(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Any text is either a scenario or refused."""
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(BadInput):
        scenario.read(file)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("shop.example:80", "not an http:// or https:// URL"),
        ("http://", "not an http:// or https:// URL"),
        ("http://a:b@shop", "credentials"),
        ("http://shop:99999", "not a URL"),
        ("http://shop/\r\nx", "characters no URL has"),
        ("http://[::1", "not a URL"),
    ],
)
def test_a_target_that_cannot_be_loaded_is_refused(url: str, said: str) -> None:
    """A target is an http:// or https:// URL; what else it could be is said."""
    with pytest.raises(BadInput, match=said):
        scenario.split_url(url)


def test_a_target_without_a_scenario_is_one_get() -> None:
    """A bare URL is loaded as it stands, its query included, its braces no parameters."""
    made = scenario.single("http://127.0.0.1:8000/a?b={c}")
    assert [(each.name, each.path) for each in made.routes] == [("GET /a", "/a?b=%7Bc}")]
    assert scenario.split_url("http://[::1]:81/x") == ("::1", 81, "/x")
