"""`headway init` from what real programs wrote: nginx's logs, and a HAR that Chromium saves now."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

import browsed_site
from headway.load import scenario as scenarios
from headway.load.drafts import access_log
from headway.promises import increment
from keyboard import HEADWAY

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from conftest import StartNginx

CHROMIUM = os.environ.get("HEADWAY_CHROMIUM", "/usr/bin/chromium")
COMBINED = "access_log {file};"  # combined is nginx's own default
TIMED = """log_format timed escape=json '{{"time_iso8601":"$time_iso8601","msec":$msec,"request":"$request",'
    '"status":$status,"request_time":$request_time,"agent":"$http_user_agent"}}'; access_log {file} timed;"""
SERVER = """location / { return 200 ok; } location /gone/ { return 404; } location = /slow { limit_rate 2k;
    limit_rate_after 1; return 200 "SLOW"; }"""
MIX = {"/users/{}": 60, "/users/{}/orders?limit=20": 20, "/search?q=caf%C3%A9+{}": 15, "/feed": 5}


@pytest.fixture
def logged(nginx: StartNginx, service_folder: Callable[[str], Path]) -> Callable[[str], Path]:
    """Sends the mix through an nginx that logs in a format; its log."""

    def make(form: str) -> Path:
        file = service_folder("log") / "access.log"
        url = urlsplit(nginx(SERVER.replace("SLOW", "x" * 200), http=form.format(file=file)))
        connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=10)
        asked = [path.format(number % 7) for path, count in MIX.items() for number in range(count)]
        odd = ["/wp-login.php/../x", '/a"b\\c', "/gone/1"]
        for path in (*asked, *odd):
            connection.putrequest("GET", path, skip_accept_encoding=True)
            connection.putheader("user-agent", 'odd "agent" \\ é'.encode())
            connection.endheaders()
            connection.getresponse().read()
        connection.request("POST", "/users", body=b"{}")
        connection.getresponse().read()
        connection.sock.sendall(b"\x16\x03\x01 not http at all\r\n\r\n")
        connection.close()
        until = time.monotonic() + 10
        wanted = len(asked) + len(odd) + 2
        while file.read_bytes().count(b"\n") < wanted and time.monotonic() < until:
            time.sleep(0.02)
        return file

    return make


def init(folder: Path, *words: str) -> dict[str, Any]:
    """`headway init` as a program would call it."""
    command = [*HEADWAY, "init", *words, "--format", "json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def json_lines(file: Path) -> list[dict[str, Any]]:
    """One object a line."""
    return [json.loads(each) for each in file.read_text().splitlines()]


@pytest.mark.parametrize("form", [COMBINED, TIMED], ids=["combined", "json"])
def test_nginx_logs_give_the_mix_that_was_sent(logged: Callable[[str], Path], tmp_path: Path, form: str) -> None:
    """Exact weights, exact frequencies of keys, every arrival; odd agents, quotes and garbage cost nothing."""
    log = logged(form)
    found = init(tmp_path, "--access-log", str(log), "--name", "tried")
    scenario = scenarios.read(tmp_path / found["scenario"])
    weights = {each.name: each.weight for each in scenario.routes}
    assert weights["GET /users/{id}"] == 60
    assert weights["GET /users/{id}/orders"] == 20
    assert weights["GET /search"] == 15
    assert weights["GET /feed"] == 5
    (users,) = (each for each in scenario.parameters if each.name == "user_id")
    keys = Path(str(users.csv_file)).read_text().splitlines()[1:]
    assert Counter(keys) == Counter(str(number % 7) for number in range(60))
    arrivals = json_lines((tmp_path / found["scenario"]).with_name("arrivals.jsonl"))
    assert sum(each["path"].startswith("/users/") for each in arrivals) == 80
    assert [each["at_s"] for each in arrivals] == sorted(each["at_s"] for each in arrivals)
    assert any("1 request that write" in note for note in found["notes"])
    assert any("1 line of" in note and "not an HTTP request" in note for note in found["notes"])
    measured = any("request_time: without" in each["why"] for each in found["proposals"])
    assert measured == (form is TIMED)  # a combined log has no times, and none is invented
    for criterion in increment.read(tmp_path / found["increment"]).criteria:
        assert criterion.clauses, criterion.not_understood


def test_the_replay_of_a_log_asks_a_service_for_the_same(
    logged: Callable[[str], Path], nginx: StartNginx, service_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """What is replayed against another nginx is in its log as it is in the first one's: same paths, same counts."""
    first = logged(COMBINED)
    found = init(tmp_path, "--access-log", str(first), "--scenario", "again.toml", "--replay", "4")
    second = service_folder("log") / "access.log"
    url = nginx(SERVER, http=COMBINED.format(file=second))
    command = [
        *HEADWAY,
        "run",
        found["scenario"],
        "--against",
        url,
        "--no-calibration",
        "--no-answers",
        "--workers",
        "1",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    asked = [each["path"] for each in json_lines(tmp_path / "again-arrivals.jsonl")]
    lines = [access_log.parse(each) for each in second.read_bytes().splitlines()]
    served = [each.target for each in lines if isinstance(each, access_log.Line)]
    assert Counter(served[-len(asked) :]) == Counter(asked)
    assert len(served) <= len(asked) + 1  # one request asks whether anybody is there


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium. HEADWAY_CHROMIUM names another one."""
    from playwright.sync_api import sync_playwright

    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


def test_a_recording_of_chromium_is_driven_against_its_site(browser: Browser, tmp_path: Path) -> None:
    """
    Recorded now, made a scenario, and driven: every visitor logs in, gets a cart of its own and buys, none fails.

    The site hands out a new token and a new cart each time: what was recorded would be of no use.
    """
    with browsed_site.served() as url:
        browsed_site.record(browser, url, tmp_path / "visit.har")
        found = init(tmp_path, "--har", "visit.har", "--writes", "--scenario", "visit.toml")
        assert found["next"] == f"headway run visit.toml --against {url}"
        assert browsed_site.PASSWORD not in (tmp_path / "visit.toml").read_text()
        whole = (tmp_path / "visit.toml").read_text().replace("warmup_s = 5", "warmup_s = 0")
        (tmp_path / "visit.toml").write_text(whole)
        words = ("run", "visit.toml", "--against", url, "--duration", "4", "--no-calibration", "--format", "json")
        command = [*HEADWAY, *words]
        environment = {**os.environ, "PASSWORD": browsed_site.PASSWORD}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        said = {each["route"]: each for each in json.loads(done.stdout)["routes"]}
        assert said["POST /api/carts/{id}/items"]["good"] > 0
        assert sum(each["failed"] for each in said.values()) == 0
