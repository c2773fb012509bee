"""The published JSON Schema and the reader agree on what a scenario is."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from headway.errors import BadInput
from headway.load import check, extract, parameters, phases, scenario
from headway.load.executors import EXECUTORS
from headway.load.journeys import JOURNEY_KEYS, STEP_KEYS
from headway.load.routes import ROUTE_KEYS
from headway.load.schema import schema
from headway.load.wire_table import HTTP_KEYS

SCHEMA = json.loads(schema())
VALID = Draft202012Validator(SCHEMA)
MEANING = re.compile(
    r"which no |which no step before|no route uses|which is none|two (routes|journeys) are named|as another route is"
    r"|is not a range|keys; use uniform|is no pause|a header twice|it is never asked|cannot read|has no column"
    r"|take no time"
    r"|extracts \w+: |no regular expression|expected|unexpected|is not JSON|JSONPath|on one line"
    r"|has no rows|has no values"
    r"|is not a time above 0 s and within a week"
)
"""Refusals of what a schema cannot know: names, files, expressions, and numbers that contradict each other."""

WHOLE: dict[str, Any] = {
    "name": "shop",
    "setup": ["a", "b"],
    "teardown": "c",
    "load": {"model": "open", "arrivals": "poisson", "rate_per_s": 20, "duration_s": "1m30s", "warmup_s": 0, "seed": 3},
    "http": {
        "http2": True,
        "host": "shop:81",
        "redirects": 2,
        "connect_to": "[::1]:80",
        "max_body_bytes": 5,
        "ca_file": "x",
    },
    "auth": {"bearer": "x"},
    "parameters": {
        "a": {"zipf": {"low": 1, "high": 9, "exponent": 1.1}},
        "b": {"hot": {"high": 9, "keys": 0.1, "requests": 0.9}},
        "c": {"values": [1, "x", True, 2.5], "hot": {"keys": 0.1, "requests": 0.9}},
        "d": {"csv": {"file": "p.csv", "column": "n"}, "order": "once"},
        "e": {"query": {"sql": "SELECT 1", "limit": 3}, "exponent": 1},
        "f": {"sequential": {"low": -5, "high": 9}},
    },
    "feeds": {"p": {"csv": "p.csv", "order": "sequential"}, "q": {"query": "SELECT", "limit": 4}},
    "routes": [
        {
            "name": "r",
            "method": "POST",
            "path": "/{a}{b}{c}{d}{e}{f}{p.n}{q.x}",
            "weight": 1.5,
            "body": "x",
            "headers": {"x-a": "b"},
            "expect_status": [200, 404],
            "auth": False,
            "extract": {"t": {"json": "$.t"}, "u": {"header": "ETag"}, "v": {"regex": "(a)"}, "w": {"cookie": "sid"}},
            "checks": [
                {"json": "$.id", "equals": 5},
                {"header": "Age"},
                {"text": "a"},
                {"max_bytes": 10},
                {"regex": "x"},
            ],
        },
        {"path": "/b"},
    ],
    "journeys": [
        {
            "name": "j",
            "weight": 2,
            "steps": [
                "r",
                {"route": "GET /b", "think_s": 1},
                {"path": "/c", "think_s": {"uniform": [0, 2]}},
                {
                    "name": "d",
                    "path": "/d",
                    "method": "PUT",
                    "think_s": {"exponential": 0.5},
                    "checks": [{"text": "x"}],
                },
            ],
        }
    ],
}
ROUTES = {"routes": [{"path": "/"}]}
LOADS: list[dict[str, Any]] = [
    {},
    {
        "model": "closed",
        "users": 5,
        "iterations": 3,
        "iterations_each": True,
        "duration_s": 3.5,
        "control_file": "u.txt",
    },
    {"users": 5},
    {"arrivals": "bursts", "burst_size": 3, "rate_per_s": 6},
    {"arrivals": "constant", "stages": [{"duration_s": "10s", "rate_per_s": 5}, {"duration_s": 0, "rate_per_s": 0}]},
    {"model": "closed", "users": 0, "stages": [{"duration_s": 5, "users": 50}]},
    {"rate_per_s": 0, "shape": {"ramp": {"to": 5, "over_s": 3, "hold_s": 2}}},
    {"shape": {"steps": {"to": 5, "count": 3, "each_s": "1s"}}},
    {"shape": {"spike": {"to": 5, "before_s": 1, "over_s": 1, "hold_s": 1, "after_s": 2}}},
    {"shape": {"soak": {"for_s": "1h"}}},
    {"arrivals": "replay", "replay": {"file": "r.jsonl", "speed": 2}},
    {
        "executor": "constant-arrival-rate",
        "rate": 60,
        "timeUnit": "1m",
        "duration": "30s",
        "preAllocatedVUs": 5,
        "maxVUs": 9,
    },
    {"executor": "ramping-arrival-rate", "startRate": 0, "stages": [{"target": 5, "duration": "3s"}]},
    {"executor": "ramping-arrival-rate", "startRate": 5, "preAllocatedVUs": 5},
    {"executor": "constant-vus", "vus": 5, "duration": "30s", "warmup_s": 0},
    {"executor": "ramping-vus", "startVUs": 0, "stages": [{"target": 5, "duration": "3s"}]},
    {"executor": "shared-iterations", "vus": 5, "iterations": 9, "maxDuration": "1m"},
    {"executor": "per-vu-iterations", "vus": 5, "iterations": 9},
    {"executor": "externally-controlled", "vus": 5, "duration": "1m", "control_file": "u.txt"},
]
OTHERS: list[dict[str, Any]] = [
    {"journeys": [{"name": "j", "steps": [{"path": "/"}]}]},
    {**ROUTES, "auth": {"basic": {"user": "a", "password": ""}}},
    {
        **ROUTES,
        "http": {"insecure": True, "unix_socket": "s", "keep_alive": False, "details": True, "max_head_bytes": 9},
    },
    {**ROUTES, "http": {"insecure": False, "ca_file": "x"}},
    {"routes": [{"path": "/{a}"}], "parameters": {"a": {"json_lines": {"file": "p.jsonl"}, "order": "random"}}},
    {"routes": [{"path": "/{p.n}"}], "feeds": {"p": {"json_lines": "p.jsonl", "hot": {"keys": 0.1, "requests": 0.2}}}},
    {"routes": [{"path": "/{a}"}], "parameters": {"a": {"once": {"high": 9.0}}}},
]
GOOD = [WHOLE, *({**ROUTES, "load": load} for load in LOADS), *OTHERS]
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        -1,
        1.5,
        0.5,
        2.0,
        1e9,
        10**20,
        "",
        " ",
        "x",
        "/",
        "/a b",
        "/ü",
        "/a\n",
        "GET",
        "once",
        "1s",
        "0s",
        "5",
        "open",
        "closed",
        "poisson",
        "bursts",
        "$.a",
        "a\r\nb",
        "{a}",
        [],
        [1],
        ["x"],
        {},
        {"x": 1},
        [{}],
        [[]],
        {"json": "$.a"},
        {"text": "a"},
        {"low": 1, "high": 2},
        {"keys": 0.5, "requests": 0.5},
        700_000,
        90_000,
        99,
        100,
        600,
    ]
).map(copy.deepcopy)
KEYS = st.sampled_from(
    [
        "x",
        "weight",
        "users",
        "rate_per_s",
        "stages",
        "shape",
        "order",
        "hot",
        "exponent",
        "equals",
        "limit",
        "route",
        "path",
        "think_s",
        "Content-Length",
        "a b",
        "duration_s",
        "model",
        "iterations",
        "replay",
        "basic",
        "insecure",
        "unix_socket",
    ]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("schema")
    (found / "p.csv").write_text("n\n1\n2\n")
    (found / "p.jsonl").write_text('{"n": 1}\n')
    (found / "r.jsonl").write_text('{"at_s": 0, "route": "GET /", "path": "/"}\n')
    return found


def refusal(folder: Path, document: Any) -> str | None:
    """What the reader says of the document, which is given to it as YAML: JSON is that too."""
    file = folder / "s.yaml"
    file.write_text(json.dumps(document))
    try:
        scenario.read(file)
    except BadInput as refused:
        return str(refused)
    return None


def agreed(folder: Path, document: Any) -> None:
    reason, valid = refusal(folder, document), VALID.is_valid(document)
    if reason is None:
        assert valid, f"read, and the schema says {next(VALID.iter_errors(document)).message}: {document}"
    elif valid:
        assert MEANING.search(reason), f"the schema takes what is refused: {reason}: {document}"


def test_the_schema_is_one() -> None:
    """Draft 2020-12 accepts it as a schema."""
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("document", GOOD, ids=lambda each: json.dumps(each)[:60])
def test_what_is_right_is_right_for_both(folder: Path, document: Any) -> None:
    """Reader and schema take every form that a scenario has."""
    assert refusal(folder, document) is None
    assert VALID.is_valid(document)


@st.composite
def changed(draw: Any) -> Any:
    """A right document with one or two things wrong, or only different, somewhere in it."""
    document = copy.deepcopy(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.sampled_from([1, 1, 1, 2]))):
        at = document
        while True:
            if isinstance(at, dict) and at:
                key: Any = draw(st.sampled_from(sorted(at)))
            elif isinstance(at, list) and at:
                key = draw(st.integers(0, len(at) - 1))
            else:
                break
            act = draw(st.sampled_from(["in", "in", "in", "put", "drop", "add"]))
            if act == "in" and isinstance(at[key], dict | list) and at[key]:
                at = at[key]
                continue
            if act == "drop":
                del at[key]
            elif act == "add" and isinstance(at, dict):
                at[draw(KEYS)] = draw(ODD)
            elif act == "add":
                at.append(draw(ODD))
            else:
                at[key] = draw(ODD)
            break
    return document


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changed())
def test_what_is_wrong_is_wrong_for_both(folder: Path, document: Any) -> None:
    """The schema refuses nothing that is read, and takes nothing whose form is refused."""
    agreed(folder, document)


def test_every_key_of_the_reader_is_in_the_schema() -> None:
    """A key added to the reader without the schema, or the other way round, is noticed."""
    properties = SCHEMA["properties"]
    assert set(properties) == set(scenario.KEYS)
    assert set(SCHEMA["$defs"]["load"]["properties"]) == set(phases.LOAD_KEYS) - {"executor"}
    assert set(properties["http"]["properties"]) == set(HTTP_KEYS)
    assert set(properties["routes"]["items"]["properties"]) == set(ROUTE_KEYS)
    assert set(properties["journeys"]["items"]["properties"]) == set(JOURNEY_KEYS)
    steps = [each["properties"] for each in SCHEMA["$defs"]["step"]["oneOf"] if "properties" in each]
    assert {key for each in steps for key in each} == set(STEP_KEYS)
    for name, sources in (("extraction", extract.SOURCES), ("check", (*check.SOURCES, "equals"))):
        assert {key for each in SCHEMA["$defs"][name]["oneOf"] for key in each["properties"]} == set(sources)
    forms = {key for each in SCHEMA["$defs"]["parameter"]["oneOf"] for key in each["properties"]}
    assert forms == {*parameters.RANGES, *parameters.LISTS, *parameters.CHOICES}
    forms = {key for each in SCHEMA["$defs"]["feed"]["oneOf"] for key in each["properties"]}
    assert forms == set(parameters.FEED_KEYS)
    by_name = {each["properties"]["executor"]["const"]: each for each in properties["load"]["then"]["oneOf"]}
    for name, keys in EXECUTORS.items():
        assert set(keys) <= set(by_name.pop(name)["properties"])
    assert not by_name
