"""The lab brought to its stages with real servers, and taken down again."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pytest
import redis

import small_shop
from headway.errors import LabFailed, SourceRefused
from headway.evidence.logged import LoggedPlans
from headway.evidence.session import Session
from headway.lab import Lab, LabStatus, sources
from headway.model import Presence, Sources
from headway.servers import process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.servers.postgres import Postgres


def get(url: str) -> tuple[str | None, Any]:
    """The edge's cache status and the JSON of an answer."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.headers["X-Cache"], json.load(answer)


def one(url: str, query: str) -> Any:
    """The first column of a query's one row."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def pids(status: LabStatus) -> dict[str, int | None]:
    """Which process is which service."""
    return {service.name: service.pid for service in status.services}


def family(status: LabStatus) -> list[psutil.Process]:
    """The services' processes and all below them."""
    roots = [psutil.Process(pid) for _, pid in status.processes]
    return [*roots, *(child for root in roots for child in root.children(recursive=True))]


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run (what only waits to be reaped does not)."""
    return [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def shop(service_room: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A small shop that loads at once."""
    yield small_shop.write(service_room / f"shop-{abs(hash(request.node.name))}")


def test_growth_and_return(lab_state: Path, shop: Path) -> None:
    """Stage 1, 4, 4 again and 1: each has what it must and no more; `down` leaves no process."""
    lab = Lab(lab_state)
    first = lab.up(1, 0.01, shop_dir=shop)
    assert set(pids(first)) == {"postgres", "app-1"}
    _, answer = get(f"{first.app_url}/x")
    assert answer["settings"]["SHOP_POOL"] == answer["settings"]["SHOP_INDEXES"] == "0"
    assert answer["settings"]["SHOP_CACHE"] == answer["settings"]["SHOP_REPLICA_URL"] == ""
    assert one(first.database_url or "", "SELECT count(*) FROM pg_indexes WHERE indexname = 'small'") == 0

    last = lab.up(4, shop_dir=shop)
    assert set(pids(last)) == {"postgres", "replica", "valkey", "app-1", "app-2", "app-3", "nginx"}
    assert pids(last)["postgres"] == pids(first)["postgres"]
    assert pids(last)["app-1"] != pids(first)["app-1"]
    check_edge(last)
    check_replica(last)
    _, answer = get(f"{last.metrics_url}")
    assert answer["settings"] == last.settings
    assert answer["settings"]["SHOP_INDEXES"] == "1"
    assert redis.Redis.from_url(answer["settings"]["SHOP_CACHE"]).ping()

    assert pids(lab.up(4, shop_dir=shop)) == pids(last)

    everyone = family(last)
    again = lab.up(1, shop_dir=shop)
    assert set(pids(again)) == {"postgres", "app-1"}
    assert one(again.database_url or "", "SELECT count(*) FROM pg_replication_slots") == 0
    everyone += family(again)
    assert lab.down().services == ()
    assert living(everyone) == []
    assert list(process.strays(lab_state)) == []
    assert not Lab(lab_state).status().running


def check_plans(url: str, those: Sources) -> None:
    """A slow statement's plan is in the log that the lab names, with the rows that it had; a fast one's is not."""
    logged = LoggedPlans(those.database_log, session := Session(url), show_values=False)
    assert logged.check().presence is Presence.PRESENT
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET auto_explain.sample_rate = 1")  # the lab's is one in ten
        connection.execute("SELECT id FROM posts WHERE id = -1")
        connection.execute("SELECT pg_sleep(0.06)")
    until = time.monotonic() + 5
    while not logged.statements and time.monotonic() < until:
        logged.sample(0.0)
        time.sleep(0.01)
    session.close()
    logged.close()
    (found,) = logged.statements.values()
    assert found.plan is not None
    assert (found.plan["Node Type"], found.plan["Actual Rows"]) == ("Result", 1.0)
    assert "Actual Total Time" not in found.plan


def check_edge(status: LabStatus) -> None:
    """The edge answers the second time from its cache, and logs both as JSON."""
    assert [get(f"{status.app_url}/page")[0] for _ in range(2)] == ["MISS", "HIT"]
    assert status.edge_log is not None
    until = time.monotonic() + 5
    lines: list[dict[str, Any]] = []
    while sum(line["uri"] == "/page" for line in lines) < 2 and time.monotonic() < until:
        # nginx logs a request when it has sent the answer, which may be after the client has it.
        lines = [json.loads(line) for line in status.edge_log.read_text().splitlines()]
    served = [line["upstream_cache_status"] for line in lines if line["uri"] == "/page"]
    assert served == ["MISS", "HIT"]
    assert abs(lines[-1]["msec"] - time.time()) < 60
    origins = {get(f"{status.app_url}/miss/{number}")[1]["pid"] for number in range(12)}
    assert len(origins) == 3, "the balancer uses all three app servers"


def check_replica(status: LabStatus) -> None:
    """What the source commits arrives at the replica, which takes no writes."""
    assert status.database_url is not None
    assert status.replica_url is not None
    with psycopg.connect(status.database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO posts VALUES (7)")
    until = time.monotonic() + 5
    while one(status.replica_url, "SELECT count(*) FROM posts") == 0 and time.monotonic() < until:
        time.sleep(0.02)
    assert one(status.replica_url, "SELECT id FROM posts") == 7
    assert one(status.replica_url, "SELECT pg_is_in_recovery()")
    assert one(status.database_url, "SELECT count(*) FROM pg_indexes WHERE indexname = 'small'") == 1


def test_servers_are_what_was_promised(used_state: Path, shop: Path) -> None:
    """
    PostgreSQL has both extensions and durable commits, nothing runs as root that another account may execute, all are
    niced, no password is on a command line, and what is printed for people to paste is what the JSON says.
    """
    lab = Lab(used_state)
    with pytest.raises(LabFailed, match="no lab is up"):
        sources(lab.status())
    assert "no lab" in lab.status().as_text()
    status = lab.up(1, 0.01, shop_dir=shop, settings={"SHOP_POOL": "3"})
    url = status.database_url or ""
    assert one(url, "SHOW shared_preload_libraries") == "pg_stat_statements,auto_explain"
    assert one(url, "SHOW fsync") == one(url, "SHOW track_io_timing") == "on"
    assert one(url, "SELECT count(*) FROM pg_stat_statements") > 0
    check_plans(url, sources(status))
    _, answer = get(f"{status.app_url}/")
    assert answer["settings"]["SHOP_POOL"] == "3"
    assert one(answer["settings"]["SHOP_DATABASE_URL"], "SHOW is_superuser") == "off"
    secret = url.split(":")[2].split("@")[0]
    for each in family(status):
        assert os.sched_getscheduler(each.pid) == process.POLICY
        assert not any(secret in word for word in each.cmdline()), "a command line is for everybody to read"
        assert each.uids().real != 0 or not process.permits(process.unprivileged(), "x", Path(each.exe()))
    assert psutil.Process(dict(status.processes)["postgres"]).uids().real != 0
    assert (used_state / "lab.json").stat().st_mode & 0o077 == 0
    check_printed(status)


def check_printed(status: LabStatus) -> None:
    """Text, JSON and the sources of evidence agree."""
    read = json.loads(status.as_json())
    assert read["environment"]["DATABASE_URL"] == read["database_url"] == status.database_url
    assert read["running"] is True
    for line in status.as_text().splitlines():
        assert line.startswith(("#", "export "))
    assert f"export TARGET={status.app_url}" in status.as_text()
    found = sources(status)
    assert found.target_url == status.app_url
    assert dict(found.processes) == pids(status)


def test_the_reference_shop(lab_state: Path) -> None:
    """
    The reference shop comes up at stage 4, with one app server whose statements gather, and answers through the edge
    from its database and both its caches.
    """
    status = Lab(lab_state).up(4, 0.002, tell_edge=True, app_servers=1, settings={"SHOP_GATHER_MS": "5"})
    assert set(pids(status)) == {"postgres", "replica", "valkey", "app-1", "nginx"}
    check_told_edge(status.app_url or "")
    check_own_writes(status.app_url or "")
    assert [get(f"{status.app_url}/feed")[0] for _ in range(2)] == ["MISS", "HIT"]
    _, health = get(f"{status.metrics_url}".replace("/metrics", "/health"))
    assert health["status"] == "ok"
    assert redis.Redis.from_url(status.cache_url or "").dbsize() > 0
    assert one(status.database_url or "", "SELECT count(*) FROM users") == 400
    with urllib.request.urlopen(status.metrics_url or "", timeout=10) as answer:
        assert b"http_request_duration_seconds_count" in answer.read()


def sent(request: str, body: object, **headers: str) -> Any:
    """The answer to `sent("PUT http://...", {...})`: its headers and its JSON."""
    method, url = request.split(" ", 1)
    given = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    asked = urllib.request.Request(url, json.dumps(body).encode(), given, method=method)
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return answer.headers, json.load(answer)


def check_told_edge(url: str) -> None:
    """A user that the edge keeps has the new name right after the update, and a stranger's key refreshes nothing."""
    assert [get(f"{url}/users/1")[0] for _ in range(2)] == ["MISS", "HIT"]
    assert sent(f"PUT {url}/users/1", {"name": "Grace Hopper"})[1]["name"] == "Grace Hopper"
    assert (get(f"{url}/users/1")[0], get(f"{url}/users/1")[1]["name"]) == ("HIT", "Grace Hopper")
    stranger = urllib.request.Request(f"{url}/users/1", headers={"x-headway-refresh": "0" * 32})
    with urllib.request.urlopen(stranger, timeout=10) as answer:
        assert answer.headers["X-Cache"] == "HIT"


def check_own_writes(url: str) -> None:
    """Who brings back the cookie of an order reads it next, however far the replica is."""
    for quantity in (1, 2, 3):
        headers, placed = sent(f"POST {url}/orders", {"user_id": 7, "product_id": 3, "quantity": quantity})
        asked = urllib.request.Request(f"{url}/users/7/orders?limit=1", headers={"cookie": headers["set-cookie"]})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            assert json.load(answer) == [placed]


def test_others_servers_are_used_and_never_stopped(
    used_state: Path, shop: Path, postgres_url: str, valkey_url: str, postgres_server: Postgres
) -> None:
    """With --database-url and --cache-url the lab starts neither, loads the shop, and leaves both running."""
    lab = Lab(used_state)
    status = lab.up(3, 0.01, shop_dir=shop, database_url=postgres_url, cache_url=valkey_url)
    assert {service.name for service in status.services if service.pid} == {"app-1", "app-2", "app-3", "nginx"}
    assert status.settings["SHOP_DATABASE_URL"] == status.database_url == postgres_url
    assert status.settings["SHOP_CACHE"] == status.cache_url == valkey_url
    lab.up(1, shop_dir=shop, database_url=postgres_url)
    lab.down()
    assert one(postgres_url, "SELECT count(*) FROM users") == 0
    assert redis.Redis.from_url(valkey_url).ping()
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE payroll (id int)")
    with pytest.raises(LabFailed, match="payroll"):
        lab.up(1, shop_dir=shop, database_url=postgres_url)
    wrong = postgres_url.replace(postgres_server.password, "wrong")
    with pytest.raises(SourceRefused, match="password authentication failed"):
        lab.up(1, shop_dir=shop, database_url=wrong)
