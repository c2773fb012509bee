"""A scenario exported to k6, run by the real k6 against a real server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from asyncio import StreamWriter, sleep
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from headway.errors import BadInput
from headway.interchange import bundle, k6_results, k6_script
from headway.model import (
    Arrivals,
    Check,
    Clause,
    Comparison,
    Criterion,
    Extraction,
    Hot,
    Journey,
    LoadModel,
    Order,
    Parameter,
    Phase,
    Promise,
    Replay,
    Route,
    Scenario,
    Side,
    Stage,
    Statistic,
    Step,
    Subject,
    Think,
)
from headway.promises import increment
from load_target import Target, target

K6 = Path(sys.executable).parent / "k6"
PHASE = Phase(
    name="scenario", model=LoadModel.OPEN, arrivals=Arrivals.POISSON, rate_per_s=80, duration_s=2, warmup_s=1,
    max_connections=8, timeout_s=1,
)  # fmt: skip


def reply(status: int, body: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 %d X" % status, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def shop(head: bytes, writer: StreamWriter) -> None:
    """Users by id, a login that gives a token, a cart that asks for it, orders."""
    line = head.split(b"\r\n", 1)[0]
    if b"/login" in line:
        writer.write(reply(200, b'{"user": {"tokens": ["a b/c"]}}', b"set-cookie: basket=b7; path=/"))
    elif b"/cart" in line:
        known = b"x-token: a b/c" in head.lower() and b"basket=b7" in head
        writer.write(reply(200 if known else 403, b"cart of 3"))
    elif b"/missing" in line:
        writer.write(reply(404, b"none"))
    elif b"/slow" in line:
        await sleep(0.03)
        writer.write(reply(200, b"slow"))
    else:
        writer.write(reply(200, b"ok"))


def run(script: k6_script.Script, folder: Path, url: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the summary's metrics, and what k6 said; its points are in points.json."""
    (folder / "s.js").write_text(script.text)
    (folder / "s.data.json").write_text(json.dumps(script.data))
    done = subprocess.run(
        [str(K6), "run", "--quiet", "--no-usage-report", "-e", f"TARGET={url}", "--summary-export", "sum.json",
         "--out", "json=points.json", "s.js"],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, json.loads((folder / "sum.json").read_text())["metrics"], done.stderr


def paths(server: Target) -> list[str]:
    """Method and path of each request, in order of arrival."""
    return [each.split(b" HTTP/")[0].decode() for each in server.asked]


def latency(quantile: float, limit_ms: float, route: str | None = None) -> Clause:
    return Clause(
        subject=Subject.LATENCY, side=Side.CLIENT, statistic=Statistic(quantile=quantile), comparison=Comparison.LT,
        limit=limit_ms * 1e6, route=route,
    )  # fmt: skip


def promise(*clauses: Clause) -> Promise:
    criteria = tuple(
        Criterion(id=f"AC-{number}", text="t", file=Path("spec.md"), line=number, clauses=(each,))
        for number, each in enumerate(clauses, start=1)
    )
    return Promise(id="0001", title="t", folder=None, criteria=criteria)


def shop_scenario(folder: Path) -> Scenario:
    """Every kind of parameter, a route that expects 404, a body, and a journey with a token and a cookie."""
    (folder / "mails.csv").write_text('mail\na+1@x.org\n"b,2@x.org"\n')
    routes = (
        Route(name="GET /users/{id}", method="GET", path="/users/{user_id}", weight=6),
        Route(name="GET /find, by mail", method="GET", path="/find?m={mail}", weight=2, expect_status=(200, 404)),
        Route(name="GET /missing", method="GET", path="/missing", weight=1, expect_status=(404,)),
        Route(
            name="POST /orders", method="POST", path="/orders", weight=1,
            headers=(("authorization", "Bearer {word}"), ("x-key", "${K6_SHOP_KEY}")),
            body='{"w": "{word}", "n": {user_id}, "o": {}}',
        ),
        Route(
            name="POST /login", method="POST", path="/login", weight=0,
            extract=(
                Extraction(name="token", source="json", expression="$.user.tokens[0]"),
                Extraction(name="basket", source="cookie", expression="basket"),
            ),
        ),
        Route(
            name="GET /cart", method="GET", path="/cart?t={token}", weight=0, headers=(("x-token", "{token}"),),
            checks=(Check(source="regex", expression=r"(?i)CART of (?P<n>\d)", equals="3"),),
        ),
    )  # fmt: skip
    return Scenario(
        name="shop", file=None, routes=routes, default_phase=PHASE,
        parameters=(
            Parameter(name="user_id", distribution="zipf", low=1, high=1000, exponent=1.1),
            Parameter(name="mail", distribution="csv", csv_file=folder / "mails.csv", csv_column="mail"),
            Parameter(name="word", distribution="values", values=('q"\\', "z")),
        ),
        journeys=(
            Journey(name="buy", weight=2, steps=(Step(route=4, think=Think(low_s=0.01, high_s=0.02)), Step(route=5))),
        ),
    )  # fmt: skip


def test_the_real_k6_makes_the_scenario_s_traffic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mix, values, headers, bodies and journeys arrive as the scenario says, and its promise holds."""
    monkeypatch.setenv("K6_SHOP_KEY", "hush{word}")
    scenario = shop_scenario(tmp_path)
    script = k6_script.write(scenario, promise=promise(latency(0.95, 500)), data_file="s.data.json")
    with target(shop) as server:
        code, metrics, said = run(script, tmp_path, server.url)
        asked, heads = paths(server), list(server.asked)
    assert code == 0, said
    assert any("Poisson" in note for note in script.notes)
    seen = Counter(re.sub(r"[?/]?\d*$", "", each.partition("?")[0]) for each in asked)
    # 80 starts/s over 3 s, 14 requests in 12 starts: the mix is drawn at random, within 4 standard deviations.
    assert abs(len(asked) - 280) <= 25
    for name, share in (("GET /users", 6 / 14), ("GET /find", 2 / 14), ("POST /login", 2 / 14), ("GET /cart", 2 / 14)):
        assert abs(seen[name] / len(asked) - share) < 4 * (share * (1 - share) / len(asked)) ** 0.5, (name, seen)
    ids = Counter(int(each.rpartition("/")[2]) for each in asked if "/users/" in each)
    assert min(ids) >= 1
    assert max(ids) <= 1000
    assert ids[1] > len(asked) * 6 / 14 * 0.05  # the first of 1000 keys has 17% of them
    assert {unquote(each.rpartition("=")[2]) for each in asked if "/find" in each} == {"a+1@x.org", "b,2@x.org"}
    orders = [each for each in heads if each.startswith(b"POST /orders")]
    assert all(re.search(rb'(?i)authorization: Bearer (q"\\|z)\r', each) for each in orders)
    assert all(b"x-key: hush{word}\r" in each.lower() for each in orders), (
        "from the environment, and as it stands there"
    )
    assert "hush" not in script.text
    assert metrics["http_req_failed"]["passes"] == 0
    for route in ("name:GET /users/{id}", "route:r1", "name:GET /cart"):
        held = metrics[f"http_reqs{{scenario:scenario,{route}}}"]
        assert held["count"] > 0
        assert held["thresholds"] == {"count>0": False}  # k6 exports whether it was crossed
    bodies = script.text.split("const ROUTES = ")[1].split(";\n\nconst JOURNEYS")[0]
    assert json.loads(bodies)[3]["body"] == scenario.routes[3].body

    foreign = k6_results.read(tmp_path / "points.json")
    assert sum(foreign.requests.kind) == -len(asked) if foreign.requests else False  # every request came over as good
    assert bundle.write(tmp_path, foreign, name="k6", target_url=server.url, accepted=False).is_dir()


@pytest.mark.parametrize(
    ("clause", "path", "crossed"),
    [
        (latency(0.5, 20, "GET /r"), "/slow", "headway_response"),
        (latency(0.95, 1000, "GET /r"), "/missing", "headway_response"),  # fast, and failed: slower than any
        (Clause(subject=Subject.ERROR_RATE, side=Side.CLIENT, comparison=Comparison.LT, limit=0.01), "/missing",
         "headway_failed"),
        (Clause(subject=Subject.THROUGHPUT, side=Side.CLIENT, comparison=Comparison.GE, limit=40), "/missing",
         "headway_good"),
    ],
    ids=["too slow", "failed fast", "too many errors", "too few answers"],
)  # fmt: skip
def test_a_broken_promise_breaks_k6_s_thresholds(tmp_path: Path, clause: Clause, path: str, crossed: str) -> None:
    """k6 ends with its exit code for thresholds, and names the metric that says why."""
    scenario = Scenario(
        name="one", file=None, parameters=(), routes=(Route(name="GET /r", method="GET", path=path),),
        default_phase=Phase(
            name="scenario", model=LoadModel.CLOSED, users=2, duration_s=1, warmup_s=0, max_connections=4, timeout_s=0.2
        ),
    )  # fmt: skip
    with target(shop) as server:
        code, _, said = run(k6_script.write(scenario, promise=promise(clause)), tmp_path, server.url)
    assert code == 99, said
    assert crossed in said.split("thresholds on metrics")[1]


def test_a_dead_service_and_an_unasked_route_pass_nothing(tmp_path: Path) -> None:
    """Where k6 alone would pass p(95) on nothing, the script fails: by its count, and by its failed requests."""
    scenario = Scenario(
        name="one", file=None, parameters=(),
        routes=(
            Route(name="GET /r", method="GET", path="/", weight=1e9),
            Route(name="GET /never", method="GET", path="/n", weight=1e-9),
        ),
        default_phase=Phase(
            name="scenario", model=LoadModel.OPEN, rate_per_s=20, duration_s=1, warmup_s=0, max_connections=4,
            timeout_s=0.2,
        ),
    )  # fmt: skip
    script = k6_script.write(scenario, promise=promise(latency(0.95, 100), latency(0.95, 100, "GET /never")))
    code, metrics, said = run(script, tmp_path, "http://127.0.0.1:9")
    assert code == 99, said
    never = "{scenario:scenario,name:GET /never}"
    assert metrics[f"headway_response{never}"]["thresholds"] == {"p(95)<100": False}  # k6 lets nothing pass
    assert metrics[f"http_reqs{never}"]["thresholds"] == {"count>0": True}
    assert metrics["headway_response{scenario:scenario}"]["thresholds"] == {"p(95)<100": True}


def test_every_shape_is_one_that_k6_accepts(tmp_path: Path) -> None:
    """Ramps, iterations, users and rates that are no whole numbers become executors that k6 itself takes for valid."""
    base = Phase(name="scenario", model=LoadModel.OPEN, rate_per_s=33.4, duration_s=9, warmup_s=0.25, max_connections=4)
    closed = Phase(name="scenario", model=LoadModel.CLOSED, users=3, duration_s=9, warmup_s=0, max_connections=4)
    stages = (Stage(duration_s=4, target=20), Stage(duration_s=0, target=50), Stage(duration_s=5, target=1.5))
    shapes = {
        "constant-arrival-rate": base,
        "ramping-arrival-rate": Phase(**{**vars(base), "stages": stages, "arrivals": Arrivals.BURSTS, "burst_size": 5}),
        "constant-vus": closed,
        "ramping-vus": Phase(**{**vars(closed), "stages": stages}),
        "shared-iterations": Phase(**{**vars(closed), "iterations": 7}),
        "per-vu-iterations": Phase(**{**vars(closed), "iterations": 7, "iterations_each": True}),
        "externally-controlled": Phase(**{**vars(closed), "control_file": Path("users")}),
    }
    route = Route(name="GET /", method="GET", path="/")
    for executor, phase in shapes.items():
        script = k6_script.write(Scenario(name="x", file=None, routes=(route,), parameters=(), default_phase=phase))
        (tmp_path / "s.js").write_text(script.text)
        done = subprocess.run(
            [str(K6), "inspect", "--execution-requirements", "-e", "TARGET=http://127.0.0.1:9", "s.js"],
            cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{executor}: {done.stderr}"
        seen = json.loads(done.stdout)["scenarios"]["scenario"]
        assert seen["executor"] == executor
    rate = json.loads(k6_script.write(Scenario(
        name="x", file=None, routes=(route,), parameters=(), default_phase=base
    )).text.split("options = ")[1].split(";\n\nconst DRAWS")[0])["scenarios"]["scenario"]  # fmt: skip
    assert rate["rate"] / float(rate["timeUnit"][:-1]) == pytest.approx(33.4)


def test_what_k6_cannot_do_is_said_or_refused(tmp_path: Path) -> None:
    """Recorded arrivals and wild paths are refused; criteria k6 cannot see and commands are said, in the script too."""
    route = Route(name="GET /", method="GET", path="/")
    replayed = Phase(**{**vars(PHASE), "replay": Replay(file=tmp_path / "r.jsonl")})
    with pytest.raises(BadInput, match="recorded arrivals"):
        k6_script.write(Scenario(name="x", file=None, routes=(route,), parameters=(), default_phase=replayed))
    for parameter, said_of in (
        (
            Parameter(name="a", distribution="hot", low=1, high=9, hot=Hot(keys_ratio=0.1, requests_ratio=0.9)),
            "hot sets",
        ),
        (Parameter(name="a", distribution="values", values=("x",), order=Order.ONCE), "in order 'once'"),
        (Parameter(name="a.b", distribution="csv", csv_file=tmp_path / "a.csv", feed="a"), "rows of a feed"),
    ):
        with pytest.raises(BadInput, match=f"the k6 export cannot draw {said_of}"):
            asked = Scenario(name="x", file=None, routes=(route,), parameters=(parameter,), default_phase=PHASE)
            k6_script.write(asked)
    basic = Route(name="GET /", method="GET", path="/", headers=(("Authorization", "Basic me:${PW}"),))
    with pytest.raises(BadInput, match="into base64"):
        k6_script.write(Scenario(name="x", file=None, routes=(basic,), parameters=(), default_phase=PHASE))
    with pytest.raises(BadInput, match="cannot follow"):
        k6_script.keys_of("$..id", route)
    folder = tmp_path / "0007-x"
    folder.mkdir()
    (folder / "spec.md").write_text(
        "---\nincrement: 0007-x\n---\n"
        "- [ ] **AC-US1-01**: Cache hit rate >80% (P1)\n- [ ] **AC-US1-02**: be nice (P1)\n"
    )
    scenario = Scenario(
        name="x\n};alert(1)//", file=None, routes=(route,), parameters=(), default_phase=PHASE, setup=("seed.sh",)
    )
    script = k6_script.write(scenario, promise=increment.read(folder))
    said = " ".join(script.notes)
    for words in ("Poisson", "AC-US1-01 is no threshold: k6 sees the service from outside only", "AC-US1-02", "setup"):
        assert words in said
    assert "\n};alert" not in script.text
    assert script.text.count("// Not as in Headway:") == len(script.notes)


if shutil.which(str(K6)) is None:
    raise RuntimeError("the dev dependency k6 is missing: run scripts/setup")
