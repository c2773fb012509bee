"""Everything a scenario file can say, in TOML, YAML and Python, and each refusal at its line and column."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headway.errors import BadInput
from headway.load import scenario
from headway.model import Check, Extraction, Hot, Journey, Order, Scenario, Step, Think, Wire

TOML = """\
name = "shop"
setup = ["python seed.py", "true"]
teardown = "python clean.py"

[http]
http2 = true
keep_alive = true
ca_file = "ca.pem"
host = "shop.example"
connect_to = "127.0.0.1:8443"
redirects = 3
details = true
max_body_bytes = 1000000

[auth]
bearer = "{token}"

[parameters.user_id]
hot = { low = 1, high = 1000, keys = 0.05, requests = 0.85 }

[parameters.page]
values = [1, 2, 3]
order = "sequential"

[feeds.people]
csv = "people.csv"
order = "once"

[[routes]]
name = "login"
method = "POST"
path = "/login?p={page}"
body = '{"name": "{people.name}", "password": "{people.password}"}'
auth = false
extract = { token = { json = "$.token" }, sid = { cookie = "sid" } }
checks = [{ json = "$.name", equals = "{people.name}" }, { text = "ok" }, { max_bytes = 10_000 }]

[[routes]]
path = "/health"
headers = { Authorization = "Basic me:${PASSWORD}" }
weight = 2

[[journeys]]
name = "buy"
weight = 3
steps = [
    { route = "login", think_s = 1.5 },
    { path = "/users/{user_id}", think_s = { uniform = [0.5, 2] } },
    { name = "order", method = "POST", path = "/orders", think_s = { exponential = 1 }, checks = [
        { json = "$.id", equals = 7 },
    ] },
    "login",
]
"""

YAML = """\
name: shop
setup: [python seed.py, "true"]
teardown: python clean.py
http:
  http2: true
  keep_alive: true
  ca_file: ca.pem
  host: shop.example
  connect_to: 127.0.0.1:8443
  redirects: 3
  details: true
  max_body_bytes: 1000000
auth: {bearer: "{token}"}
parameters:
  user_id:
    hot: {low: 1, high: 1000, keys: 0.05, requests: 0.85}
  page:
    values: [1, 2, 3]
    order: sequential
feeds:
  people: {csv: people.csv, order: once}
routes:
- name: login
  method: POST
  path: /login?p={page}
  body: '{"name": "{people.name}", "password": "{people.password}"}'
  auth: false
  extract: {token: {json: $.token}, sid: {cookie: sid}}
  checks:
  - {json: $.name, equals: "{people.name}"}
  - text: ok
  - max_bytes: 10000
- path: /health
  headers:
    Authorization: Basic me:${PASSWORD}
  weight: 2
journeys:
- name: buy
  weight: 3
  steps:
  - {route: login, think_s: 1.5}
  - path: /users/{user_id}
    think_s: {uniform: [0.5, 2]}
  - name: order
    method: POST
    path: /orders
    think_s: {exponential: 1}
    checks: [{json: $.id, equals: 7}]
  - login
"""

PYTHON = """\
from headway.load import Scenario, get, hot, journey, post, rows, think, values

scenario = Scenario(
    name="shop",
    setup=["python seed.py", "true"],
    teardown="python clean.py",
    http={
        "http2": True, "keep_alive": True, "ca_file": "ca.pem", "host": "shop.example",
        "connect_to": "127.0.0.1:8443", "redirects": 3, "details": True, "max_body_bytes": 1_000_000,
    },
    auth={"bearer": "{token}"},
    parameters={
        "user_id": hot(1, 1000, keys=0.05, requests=0.85),
        "page": values(1, 2, 3, order="sequential"),
    },
    feeds={"people": rows(csv="people.csv", order="once")},
    routes=[
        post(
            "/login?p={page}", name="login", auth=False,
            json={"name": "{people.name}", "password": "{people.password}"},
            extract={"token": {"json": "$.token"}, "sid": {"cookie": "sid"}},
            checks=[{"json": "$.name", "equals": "{people.name}"}, {"text": "ok"}, {"max_bytes": 10_000}],
        ),
        get("/health", headers={"Authorization": "Basic me:${PASSWORD}"}, weight=2),
    ],
    journeys=[
        journey(
            "buy",
            "login", think(1.5),
            get("/users/{user_id}"), think(uniform=(0.5, 2)),
            post("/orders", name="order", checks=[{"json": "$.id", "equals": 7}]), think(exponential=1),
            "login",
            weight=3,
        ),
    ],
)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "people.csv").write_text("name,password,age\nann,a,1\nbob,b,2\n")
    return tmp_path


def written(folder: Path, text: str, name: str = "s.toml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def read(folder: Path, text: str, name: str = "s.toml") -> Scenario:
    return scenario.read(written(folder, text, name))


def test_a_whole_scenario_is_what_it_says(folder: Path) -> None:
    """Journeys, extractions, checks, feeds, hot sets, auth and how requests travel reach the Scenario."""
    made = read(folder, TOML)
    login, health, user, order = made.routes
    assert (login.name, login.weight, login.headers) == ("login", 0.0, ())
    assert login.extract == (
        Extraction(name="token", source="json", expression="$.token"),
        Extraction(name="sid", source="cookie", expression="sid"),
    )
    assert login.checks == (
        Check(source="json", expression="$.name", equals="{people.name}"),
        Check(source="text", expression="ok"),
        Check(source="max_bytes", expression="10000"),
    )
    assert (health.weight, health.headers) == (2.0, (("Authorization", "Basic me:${PASSWORD}"),))
    assert (user.weight, user.headers) == (0.0, (("authorization", "Bearer {token}"),))
    assert (order.name, order.checks[0].equals) == ("order", "7")
    assert made.journeys == (
        Journey(
            name="buy", weight=3.0,
            steps=(
                Step(route=0, think=Think(low_s=1.5, high_s=1.5)),
                Step(route=2, think=Think(low_s=0.5, high_s=2.0)),
                Step(route=3, think=Think(low_s=1.0, high_s=1.0, exponential=True)),
                Step(route=0),
            ),
        ),
    )  # fmt: skip
    by_name = {each.name: each for each in made.parameters}
    assert list(by_name) == ["user_id", "page", "people.name", "people.password"]
    assert by_name["user_id"].hot == Hot(keys_ratio=0.05, requests_ratio=0.85)
    assert (by_name["page"].values, by_name["page"].order) == (("1", "2", "3"), Order.SEQUENTIAL)
    assert (by_name["people.name"].feed, by_name["people.name"].order) == ("people", Order.ONCE)
    assert made.wire == Wire(
        http2=True, ca_file=folder / "ca.pem", host="shop.example", connect_to="127.0.0.1:8443", redirects=3,
        details=True, max_body_bytes=1_000_000,
    )  # fmt: skip
    assert (made.setup, made.teardown) == (("python seed.py", "true"), ("python clean.py",))


def test_toml_yaml_and_python_say_the_same(folder: Path) -> None:
    """One scenario in each of the three forms is one and the same Scenario, but for the file's name."""
    made = [read(folder, TOML), read(folder, YAML, "s.yaml"), read(folder, YAML, "s.yml"), read(folder, PYTHON, "s.py")]
    assert [each.file for each in made] == [folder / name for name in ("s.toml", "s.yaml", "s.yml", "s.py")]
    assert len({replace(each, file=None) for each in made}) == 1
    again = read(folder, scenario.dumps(made[0]))
    assert again == made[0]


ROUTE = '[[routes]]\npath = "/"\n'
REFUSED = [
    ("[http]\nhttp3 = true\n" + ROUTE, (2, 1), "did you mean 'http2'"),
    ("[http]\nredirects = -1\n" + ROUTE, (2, 13), "redirects = -1 is not a whole number of at least 0"),
    ("[http]\nredirects = 99\n" + ROUTE, (2, 13), "more than 50"),
    ("[http]\n  insecure = 'yes'\n" + ROUTE, (2, 14), "neither true nor false"),
    ('[http]\nconnect_to = "shop"\n' + ROUTE, (2, 14), "has not the form"),
    ('[http]\ninsecure = true\nca_file = "ca.pem"\n' + ROUTE, (2, 1), "insecure stands beside ca_file"),
    ("[auth]\n" + ROUTE, (1, 2), r"\[auth\] says 0 ways"),
    ('[auth]\nbasic = { user = "a:b", password = "" }\n' + ROUTE, (2, 18), "has a colon"),
    ('[auth]\nbasic = { user = "a" }\n' + ROUTE, (2, 9), "lacks user or password"),
    ('[auth]\nbearer = "{tok}"\n' + ROUTE, (1, 2), r"asks for \{tok\}, which no \[parameters.tok\] defines"),
    (ROUTE + 'extract = { token = { jsn = "$.a" } }\n', (3, 23), "did you mean 'json'"),
    (ROUTE + 'extract = { token = { json = "$.a[" } }\n', (3, 30), "extracts token: unexpected end"),
    (ROUTE + 'extract = { "a b" = { json = "$.a" } }\n', (3, 13), "letters, digits and _"),
    (ROUTE + 'extract = { a = "$.a" }\n', (3, 17), "in no one way"),
    (ROUTE + 'checks = [{ text = "a" }, { }]\n', (3, 27), "a check of 0 things"),
    (ROUTE + 'checks = [{ text = "a", json = "$.b" }]\n', (3, 11), "a check of 2 things"),
    (ROUTE + 'checks = [{ regex = "(" }]\n', (3, 21), "no regular expression"),
    (ROUTE + 'checks = [{ text = "a", equals = "b" }]\n', (3, 25), "has no equals"),
    (ROUTE + "checks = [{ max_bytes = -1 }]\n", (3, 25), "not a whole number"),
    (ROUTE + 'checks = [{ json = "$.a", equals = [1] }]\n', (3, 36), "no value that can be compared"),
    (ROUTE + 'checks = { text = "a" }\n', (3, 10), "is not a list"),
    (ROUTE + 'auth = "no"\n', (3, 8), "neither true nor false"),
    (ROUTE + 'headers = { x = "{nam}" }\n', (3, 17), r"asks for \{nam\}, which no"),
    (ROUTE + 'headers = { A = "1", a = "2" }\n', (3, 11), "a header twice"),
    ('[[routes]]\npath = "/{people.name}"\n', (2, 8), r"which no \[feeds.people\] defines"),
    ('[[routes]]\npath = "/{token}"\n' + ROUTE + 'name="b"\nextract = { token = { json = "$.t" } }\n', (2, 8),
     "which no step before it extracts"),
    ("[[journeys]]\nname = 'a'\n", (1, 1), "has no steps"),
    ("[[journeys]]\nsteps = ['a']\n", (1, 1), "has no name"),
    (ROUTE + "[[journeys]]\nname = 'a'\nsteps = ['GET /', { route = 'GET /x' }]\n", (5, 29), "did you mean 'GET /'"),
    (ROUTE + "[[journeys]]\nname = 'a'\nsteps = ['GET /', 'xyz']\n", (5, 19), "'xyz', which is none"),
    (ROUTE + "[[journeys]]\nname = 'a'\nsteps = [{ route = 'GET /', path = '/' }]\n", (5, 29), "path beside route"),
    (ROUTE + "[[journeys]]\nname = 'a'\nsteps = [{ path = '/', name = 'GET /' }]\n", (5, 31), "as another route is"),
    (ROUTE + "[[journeys]]\nname = 'a'\nsteps = [{ path = '/b', weight = 2 }]\n", (5, 25), "unknown key 'weight'"),
    (ROUTE + "[[journeys]]\nname = 'a'\nsteps = [{ path = '/b', think_s = -1 }]\n", (5, 35), "is no pause"),
    (ROUTE + "[[journeys]]\nname = 'a'\nsteps = [{ path = '/b', think_s = { uniform = [2, 1] } }]\n", (5, 35),
     "no pause"),
    (ROUTE + "[[journeys]]\nname = 'a'\nsteps = ['GET /']\n" * 2, (7, 8), "two journeys are named 'a'"),
    (ROUTE + "weight = 0\n", (3, 10), "it is never asked"),
    (ROUTE + ROUTE, (4, 8), "two routes are named"),
    ("[[journeys]]\nname = 'a'\nsteps = [{ path = '/', body = '{token}', extract = { token = { json = '$.t' } } }]\n",
     (3, 31), r"\(journey a, step 1\) asks for \{token\}"),
    ("[feeds.p]\ncsv = 'people.csv'\n" + ROUTE, (1, 8), "no route uses the feed p"),
    ("[feeds.p]\ncsv = 'none.csv'\n[[routes]]\npath = '/{p.name}'\n", (2, 7), "cannot read .*none.csv"),
    ("[feeds.p]\ncsv = 'people.csv'\n[[routes]]\npath = '/{p.nam}'\n", (4, 11), "has no column 'nam'"),
    ("[feeds.p]\ncsv = 'people.csv'\nquery = 'x'\n[[routes]]\npath = '/{p.name}'\n", (1, 8), "has 2 sources"),
    ("[feeds.p]\ncsv = 'people.csv'\nlimit = 4\n[[routes]]\npath = '/{p.name}'\n", (3, 9), "is for a query"),
    ("[feeds.p]\ncsv = 'people.csv'\norder = 'twice'\n[[routes]]\npath = '/{p.name}'\n", (3, 9), "random, sequential"),
    ("[feeds.p]\ncsv = 'people.csv'\norder = 'once'\nexponent = 1\n[[routes]]\npath = '/{p.name}'\n", (3, 1), "beside"),
    ("[parameters.a]\nhot = { low = 1, high = 9, keys = 5, requests = 0.8 }\n[[routes]]\npath = '/{a}'\n", (2, 35),
     "keys = 5 is not a share"),
    ("[parameters.a]\nhot = { low = 1, high = 9, keys = 0.1 }\n[[routes]]\npath = '/{a}'\n", (2, 7), "has no requests"),
    ("[parameters.a]\nonce = { low = 1, high = 9 }\norder = 'once'\n[[routes]]\npath = '/{a}'\n", (3, 1),
     "beside once"),
    ("[parameters.a]\nuniform = { low = 1, high = 9 }\nvalues = [1]\n[[routes]]\npath = '/{a}'\n", (1, 13),
     "2 sources"),
    ("setup = ['']\n" + ROUTE, (1, 10), "is no command"),
    ("setup = 3\n" + ROUTE, (1, 9), "is not a list"),
    ("name = ''\n" + ROUTE, (1, 8), "is not text"),
    ("a = 1\nb = \n", (2, 5), "not TOML: Invalid value"),
    ("a = [1,\n", (2, 1), "not TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "place", "said"), REFUSED)
def test_each_refusal_names_line_and_column(folder: Path, text: str, place: tuple[int, int], said: str) -> None:
    """At the very key or value that is wrong, with what could be said instead."""
    with pytest.raises(BadInput, match=said) as refused:
        read(folder, text)
    assert (refused.value.line, refused.value.column) == place, str(refused.value)
    assert str(refused.value).startswith(f"{folder / 's.toml'}:{place[0]}:{place[1]}: ")
    assert refused.value.next_act


YAML_REFUSED = [
    ("routes:\n- path: /\n  wieght: 2\n", (3, 3), "did you mean 'weight'"),
    ("routes:\n- path: /\n  weight: two\n", (3, 11), "weight = 'two' is not a number"),
    ("routes:\n- path: /\n  weight: 1\n  weight: 2\n", (4, 3), "is there twice"),
    ("routes:\n- path: /\n  auth: no\n", (3, 9), "auth = 'no' is neither true nor false"),
    ("routes:\n- path: [\n", (3, 1), "not YAML"),
    ("routes:\n- path: /\n\tweight: 1\n", (3, 1), "not YAML"),
    ("- path: /\n", (1, 1), "not a table"),
    ("routes:\n- path: /\n  headers: {x: 1}\n", (3, 16), "headers that are not text"),
    ("routes:\n- path: /\n  weight: ~\n", (3, 11), "weight = None is not a number"),
    ("routes:\n- path: /\nload: {users: 5, model: closed, duration_s: .nan}\n", (3, 45), "not a time"),
    ("routes:\n- path: /\n  name: ~\n", (3, 9), "name = None is not text"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "place", "said"), YAML_REFUSED)
def test_yaml_is_refused_at_line_and_column_too(folder: Path, text: str, place: tuple[int, int], said: str) -> None:
    """The same reader behind YAML: the same refusals at the same exactness."""
    with pytest.raises(BadInput, match=said) as refused:
        read(folder, text, "s.yaml")
    assert (refused.value.line, refused.value.column) == place, str(refused.value)


PYTHON_REFUSED = [
    ("scenario = Scenario(routes=[get('/', wieght=2)])", 3, "did you mean 'weight'"),
    ("scenario = Scenario(\n    routes=[\n        get('/'),\n        get('/b c'),\n    ])", 6, "route 2 has path"),
    ("scenario = Scenario(routes=[get('/{a}')], parameters={\n    'a': zipf(1, 0)})", 4, "is not a range"),
    ("scenario = Scenario(routes=[get('/', body='', json={})])", 3, "has body and json"),
    ("scenario = Scenario(routes=[get('/', json={'a': {1, 2}})])", 3, "json= is not JSON"),
    ("scenario = Scenario(journeys=[journey('a', think(1), get('/'))])", 3, "think with no step before it"),
    ("scenario = Scenario(journeys=[\n journey('a', get('/'), think(1, exponential=1))])", 4, "not exactly one length"),
    ("scenario = Scenario(journeys=[\n journey('a', 'nix')])", 4, "'nix', which is none"),
    ("def make():\n    return 1 / 0\nscenario = make()", 4, "ZeroDivisionError: division by zero"),
    ("import nowhere_at_all", 3, "ModuleNotFoundError"),
    ("raise SystemExit(3)", 3, "SystemExit: 3"),
    ("scenario = Scenario(routes=[get(])", 3, "not Python"),
    ("Scenario(routes=[get('/')])", None, "the file has no scenario"),
    ("scenario = 3", None, "a scenario that is a int"),
    ("scenario = Scenario(rate=3)", 3, "TypeError"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "said"), PYTHON_REFUSED)
def test_a_python_file_is_refused_at_its_line(folder: Path, text: str, line: int | None, said: str) -> None:
    """What means nothing, and what fails while the file runs: one error with the file and the line that did it."""
    head = "from headway.load import Scenario, get, journey, post, think, zipf\n\n"
    with pytest.raises(BadInput, match=said) as refused:
        read(folder, head + text, "s.py")
    assert str(refused.value.file) == str(folder / "s.py")
    assert refused.value.line == line, str(refused.value)
    assert refused.value.next_act


def test_python_can_do_what_python_does(folder: Path) -> None:
    """It imports from its own folder, loops, and says numbers without quotes in JSON; print goes to standard error."""
    (folder / "parts.py").write_text("from headway.load import get\nPAGES = [get(f'/{n}') for n in range(3)]\n")
    made = read(
        folder,
        "from headway.load import Scenario, bare, post, put, uniform\nfrom parts import PAGES\nprint('hello')\n"
        "scenario = Scenario(parameters={'id': uniform(1, 5)}, routes=[*PAGES, "
        "post('/o', json={'id': bare('id'), 'é': ['{id}']}), put('/f', form={'a': '{id}'})])",
        "s.py",
    )
    assert [each.path for each in made.routes] == ["/0", "/1", "/2", "/o", "/f"]
    assert made.routes[3].body == '{"id": {id}, "\\u00e9": ["{id}"]}'
    assert made.routes[4].body == "a={id}"
    assert made.routes[4].headers == (("content-type", "application/x-www-form-urlencoded"),)


def test_the_words_of_python_cost_nothing_until_they_are_used() -> None:
    """`import headway.load` is in every room of the line: it imports no reader and no library."""
    import subprocess
    import sys

    code = (
        "import sys, headway.load; print([m for m in sys.modules if m.startswith(('headway.load.', 'numpy', 'yaml'))])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    import headway.load

    for word in headway.load.__all__:
        assert callable(getattr(headway.load, word))
    with pytest.raises(AttributeError, match="no attribute 'got'"):
        headway.load.got  # noqa: B018


def test_setup_may_make_what_is_not_there_yet(folder: Path) -> None:
    """With a setup command, files and names that it may give are looked at when the load is made."""
    text = "setup = 'make it'\n[feeds.p]\ncsv = 'later.csv'\n[[routes]]\npath = '/{p.name}/{shop_id}'\n"
    made = read(folder, text)
    assert [each.name for each in made.parameters] == ["p.name"]
