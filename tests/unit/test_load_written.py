"""A scenario written down reads back as the same scenario."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.load import scenario
from headway.model import (
    Arrivals,
    Check,
    Extraction,
    Hot,
    Journey,
    LoadModel,
    Order,
    Parameter,
    Phase,
    Replay,
    Route,
    Scenario,
    Stage,
    Step,
    Think,
    Wire,
)

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
lines = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\x00"), min_size=1, max_size=12)
positive = st.floats(1e-6, 1e6) | st.integers(1, 10**6).map(float)
shares = st.floats(0.001, 0.999)
counts = st.integers(1, 10**6)


def built(kind: Any, **parts: Any) -> st.SearchStrategy[Any]:
    return st.builds(kind, **parts)


hots = built(Hot, keys_ratio=shares, requests_ratio=shares)
CHOICES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries({}) | st.one_of(
    st.fixed_dictionaries({"hot": hots}),
    st.fixed_dictionaries({"exponent": positive}),
    st.fixed_dictionaries({"order": st.sampled_from(Order)}),
)


@st.composite
def parameters(draw: Any, name: str, folder: Path) -> Parameter:
    kind = draw(
        st.sampled_from(["uniform", "zipf", "hot", "sequential", "once", "values", "csv", "json_lines", "query"])
    )
    said: dict[str, Any] = {"name": name, "distribution": kind}
    if kind in {"uniform", "zipf", "hot", "sequential", "once"}:
        low = draw(st.integers(-(10**9), 10**9))
        said |= {"low": low, "high": low + draw(st.integers(0, 10**9))}
        if kind == "zipf":
            said["exponent"] = draw(positive)
        if kind == "hot":
            said["hot"] = draw(hots)
        if kind in {"sequential", "once"}:
            said["order"] = Order(kind)
        return Parameter(**said)
    said |= draw(CHOICES)
    if kind == "values":
        return Parameter(values=tuple(draw(st.lists(words, min_size=1, max_size=3))), **said)
    if kind == "query":
        return Parameter(query=draw(words), limit=draw(counts), **said)
    file = folder / ("users.csv" if kind == "csv" else "users.jsonl")
    return Parameter(csv_file=file, csv_column=draw(st.sampled_from([None, "id", "e mail"])), **said)


CHECKS = st.one_of(
    built(Check, source=st.just("json"), expression=st.just("$['a b'][0]"), equals=st.none() | words),
    built(Check, source=st.just("header"), expression=st.just("X-Y"), equals=st.none() | words),
    built(Check, source=st.just("regex"), expression=st.just(r'"(\d+)"'), equals=st.none() | words),
    built(Check, source=st.just("text"), expression=words),
    built(Check, source=st.just("max_bytes"), expression=counts.map(str)),
)
EXTRACTIONS = st.lists(
    st.sampled_from(
        [
            Extraction(name="token", source="json", expression="$.t['x']"),
            Extraction(name="etag", source="header", expression="ETag"),
            Extraction(name="csrf", source="regex", expression="v='([^']+)\"\\d"),
            Extraction(name="sid", source="cookie", expression="sid"),
        ]
    ),
    unique_by=lambda each: each.name,
    max_size=4,
).map(tuple)


@st.composite
def routes(draw: Any, name: str, path: str) -> Route:
    headers = draw(st.dictionaries(st.sampled_from(["x-a", "Accept", "x!y"]), lines.map(lambda v: v.replace("{", "("))))
    return Route(
        name=name, method=draw(st.sampled_from(scenario.METHODS)), path=path,
        weight=draw(positive), headers=tuple(headers.items()),
        body=draw(st.none() | words.map(lambda each: each.replace("{", "("))),
        expect_status=tuple(draw(st.lists(st.integers(100, 599), max_size=3))),
        extract=draw(EXTRACTIONS), checks=tuple(draw(st.lists(CHECKS, max_size=3))),
    )  # fmt: skip


THINKS = st.one_of(
    st.none(),
    positive.map(lambda s: Think(low_s=min(s, 86400), high_s=min(s, 86400))),
    positive.map(lambda s: Think(low_s=min(s, 86400), high_s=min(s, 86400), exponential=True)),
    st.tuples(st.floats(0, 100), st.floats(0.001, 100)).map(lambda p: Think(low_s=p[0], high_s=p[0] + p[1])),
)


@st.composite
def phases(draw: Any, folder: Path) -> Phase:
    common: dict[str, Any] = {
        "name": "scenario", "duration_s": draw(st.floats(0.1, 600_000)), "warmup_s": draw(st.floats(0, 600)),
        "max_connections": draw(counts), "timeout_s": draw(st.floats(0.01, 100)), "seed": draw(counts),
    }  # fmt: skip
    stages = tuple(draw(st.lists(built(Stage, duration_s=st.floats(1, 1000), target=counts.map(float)), max_size=3)))
    if stages:
        common |= {"stages": stages, "duration_s": sum(each.duration_s for each in stages)}
    if draw(st.booleans()):
        return Phase(
            model=LoadModel.CLOSED, arrivals=Arrivals.POISSON, users=draw(counts),
            iterations=draw(st.none() | counts), iterations_each=draw(st.booleans()),
            control_file=draw(st.none() | st.just(folder / "users.txt")), **common,
        )  # fmt: skip
    arrivals = draw(st.sampled_from([Arrivals.CONSTANT, Arrivals.POISSON, Arrivals.BURSTS]))
    burst = draw(st.integers(2, 99)) if arrivals is Arrivals.BURSTS else 1
    return Phase(model=LoadModel.OPEN, arrivals=arrivals, rate_per_s=draw(positive), burst_size=burst, **common)


def wires(folder: Path) -> st.SearchStrategy[Wire]:
    return built(
        Wire, http2=st.booleans(), keep_alive=st.booleans(), details=st.booleans(),
        ca_file=st.none() | st.just(folder / "ca.pem") | st.just(Path("/etc/ca.pem")),
        unix_socket=st.none() | st.just(folder / "run" / "s.sock"), host=st.none() | st.just("shop.example:81"),
        streams=counts, redirects=st.integers(0, 50), max_body_bytes=counts, max_head_bytes=counts,
    )  # fmt: skip


@st.composite
def scenarios(draw: Any, folder: Path) -> Scenario:
    own = [draw(parameters(name, folder)) for name in draw(st.lists(st.sampled_from("abc"), unique=True))]
    columns = [
        Parameter(
            name=f"people.{column}", distribution="csv", feed="people", csv_file=folder / "users.csv",
            csv_column=column, order=Order.ONCE,
        )
        for column in draw(st.sampled_from([[], ["id"], ["id", "n"]]))
    ]  # fmt: skip
    query = "/q?" + "&".join(f"{each.name}={{{each.name}}}" for each in (*own, *columns))
    made = [draw(routes("first", query)), draw(routes("se'c\"ond", "/b")), draw(routes("ünd", "/c"))]
    journeys: tuple[Journey, ...] = ()
    if draw(st.booleans()):
        made[1] = replace(made[1], weight=0.0)
        steps = tuple(Step(route=at, think=draw(THINKS)) for at in draw(st.permutations([0, 1, 1])))
        journeys = (Journey(name=draw(words), weight=draw(positive), steps=steps),)
    commands = st.lists(words.filter(str.strip), max_size=2).map(tuple)
    return Scenario(
        name=draw(words), file=folder / "s.toml", routes=tuple(made), parameters=(*own, *columns),
        default_phase=draw(phases(folder)), journeys=journeys, wire=draw(wires(folder)),
        setup=draw(commands), teardown=draw(commands),
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("written")
    (found / "users.csv").write_text("id,n,e mail\n1,2,3\n4,5,6\n")
    (found / "users.jsonl").write_text('{"id": 1, "n": 2, "e mail": 3}\n')
    return found


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_what_is_written_reads_back(folder: Path, data: st.DataObject) -> None:
    """For any scenario a file can say: read(dumps(s)) == s, texts of any characters and numbers to the last digit."""
    made = data.draw(scenarios(folder))
    assert made.file is not None
    made.file.write_text(scenario.dumps(made), encoding="utf-8", newline="")
    assert scenario.read(made.file) == made


def test_a_replay_reads_back(folder: Path) -> None:
    """The recording's file and speed, and how much of it is played."""
    (folder / "arrivals.jsonl").write_text('{"at_s": 0, "route": "GET /", "path": "/"}\n')
    phase = Phase(
        name="scenario", model=LoadModel.OPEN, arrivals=Arrivals.REPLAY, duration_s=5, warmup_s=0,
        replay=Replay(file=folder / "arrivals.jsonl", speed=2.5),
    )  # fmt: skip
    route = Route(name="GET /", method="GET", path="/")
    made = Scenario(name="r", file=folder / "r.toml", routes=(route,), parameters=(), default_phase=phase)
    (folder / "r.toml").write_text(scenario.dumps(made))
    assert scenario.read(folder / "r.toml") == made


def test_what_came_from_outside_is_not_written() -> None:
    """The environment's values and setup's never get into a file."""
    given_ = Parameter(name="$TOKEN", distribution="given", values=("s3cret",))
    route = Route(name="GET /", method="GET", path="/", headers=(("authorization", "Bearer ${TOKEN}"),))
    phase = Phase(name="scenario", model=LoadModel.OPEN, duration_s=5, warmup_s=0, rate_per_s=1)
    text = scenario.dumps(Scenario(name="r", file=None, routes=(route,), parameters=(given_,), default_phase=phase))
    assert "s3cret" not in text
    assert "Bearer ${TOKEN}" in text
