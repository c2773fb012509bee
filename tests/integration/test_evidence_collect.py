"""One run from its beginning to its folder, on real servers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import psycopg
import pytest

from conftest import StartNginx
from headway.errors import SourceRefused, TargetUnreachable
from headway.evidence import bundle, reading
from headway.evidence.collect import collect
from headway.evidence.edge import Edge
from headway.evidence.host import Host
from headway.load import histogram
from headway.load.drive import Stop
from headway.model import Evidence, LoadModel, Phase, Presence, Progress, Route, Scenario, Sources

PHASE = Phase(name="steady", model=LoadModel.OPEN, duration_s=2, warmup_s=0.5, rate_per_s=60, max_connections=8)
SCENARIO = Scenario(
    name="Small shop",
    file=None,
    routes=(
        Route(name="GET /cached", method="GET", path="/cached", weight=3, headers=(("authorization", "Bearer hush"),)),
        Route(name="GET /plain", method="GET", path="/plain"),
    ),
    parameters=(),
    default_phase=PHASE,
)
LOG = """log_format headway escape=json '{{"msec":$msec,"request_method":"$request_method","uri":"$uri",'
'"status":$status,'
'"upstream_cache_status":"$upstream_cache_status","request_time":$request_time,'
'"upstream_response_time":"$upstream_response_time"}}';
proxy_cache_path {folder}/cache keys_zone=edge:1m;
server {{ listen 127.0.0.1:{origin}; access_log off;
    location / {{ add_header Cache-Control max-age=60; return 200 ok; }} }}
access_log {folder}/access.jsonl headway;"""


@pytest.fixture
def edge_server(nginx: StartNginx, service_folder: Callable[[str], Path]) -> tuple[str, Path]:
    """An nginx that caches /cached from an origin, serves the rest itself, and logs JSON; its URL and its log."""
    from headway.servers import ports

    folder, origin = service_folder("edge"), ports.choose()
    url = nginx(
        f"location /cached {{ proxy_pass http://127.0.0.1:{origin}; proxy_cache edge; }} location / {{ return 200; }}",
        http=LOG.format(folder=folder, origin=origin),
    )
    return url, folder / "access.jsonl"


def documented_queries() -> list[str]:
    """The queries docs/evidence.md shows."""
    text = (Path(__file__).parents[2] / "docs/evidence.md").read_text()
    queries = text.split("```sql\n-- duckdb", 1)[1].split("\n", 1)[1].split("```", 1)[0].split(";\n")
    found = [query for query in queries if query.strip()]
    assert len(found) == 3
    return found


def run(
    root: Path, sources: Sources, *, stop: Stop | None = None, on_second: Callable[[Progress], None] = lambda _: None
) -> Evidence:
    folder = collect(
        root, scenario=SCENARIO, phases=(PHASE,), sources=sources, slug=SCENARIO.name, workers=1,
        on_second=on_second, stop=stop or Stop(),
    )  # fmt: skip
    return reading.read(folder)


def test_a_run_keeps_what_every_source_saw(
    edge_server: tuple[str, Path], postgres_url: str, valkey_url: str, tmp_path: Path
) -> None:
    """One folder has every source's file; what nobody named is absent; no password is in it."""
    url, log = edge_server
    rules = tmp_path / "rules.yml"
    rules.write_text("groups: [{name: a, rules: [{alert: Slow, expr: up}]}]")
    sources = Sources(
        target_url=url, database_url=postgres_url, cache_url=valkey_url, edge_log=log, rule_files=(rules,),
        processes=(("tests", os.getpid()),),
    )  # fmt: skip
    evidence = run(tmp_path, sources)
    assert {name: state.presence.value for name, state in evidence.sources.items()} == {
        "load": "present", "statements": "present", "database": "present", "tables": "present", "plans": "present",
        "cache": "present", "edge": "present", "host": "present", "metrics": "absent", "alerts": "present",
        "indexes": "present", "profile": "absent", "answers": "absent", "cache commands": "present",
        "cache slow log": "present", "cache keys": "present", "cache monitor": "absent", "waits": "present",
        "replicas": "present", "traces": "absent", "logged plans": "absent", "pgbouncer": "absent",
    }  # fmt: skip
    (phase,) = evidence.phases
    (edge,) = evidence.edges
    good = int(phase.good.sum())
    assert good > 100
    assert not evidence.interrupted
    assert evidence.finished_at is not None
    assert evidence.scenario.default_phase == PHASE
    assert edge.unread_lines == 0
    # A line counts where its answer ended, a request where it began, and who reads lines is told of a phase's edges
    # some time later: a tenth of a second on a busy machine.
    longest_s = histogram.quantile_ns(histogram.fold(phase.response), 1.0) / 1e9
    under_way = (PHASE.rate_per_s or 0) * (longest_s + 0.1)
    assert sum(edge.by_status.values()) == pytest.approx(good, abs=3 + 2 * under_way)
    assert edge.by_status["HIT"] == pytest.approx(good * 0.75, rel=0.3)
    assert len(evidence.host) >= 2
    assert all(0 <= each.cpu_ratio <= 1 for each in evidence.host)
    assert {each.name for each in evidence.processes} == {"tests"}
    assert evidence.databases[0].max_connections == 300
    assert evidence.caches[0].commands >= 0
    assert {"headway", "python", "postgresql", "valkey"} <= evidence.versions.keys()
    everything = b"".join(file.read_bytes() for file in evidence.folder.iterdir())
    for secret in (str(urlsplit(postgres_url).password), str(urlsplit(valkey_url).password), "hush"):
        assert secret.encode() not in everything
    with duckdb.connect() as query:
        for statement in documented_queries():
            query.execute(statement.replace("FROM '", f"FROM '{evidence.folder}/")).fetchall()
    assert bundle.find(tmp_path, None) == evidence.folder


def test_a_refusing_source_costs_no_load_and_leaves_no_folder(edge_server: tuple[str, Path], tmp_path: Path) -> None:
    """Wrong password, closed cache, missing log and rules: refused before a folder is made."""
    url, log = edge_server
    wrong = [
        Sources(target_url=url, database_url="postgresql://nobody:x@127.0.0.1:1/db"),
        Sources(target_url=url, cache_url="redis://127.0.0.1:1/0"),
        Sources(target_url=url, edge_log=tmp_path / "none"),
        Sources(target_url=url, rule_files=(tmp_path / "none.yml",)),
        Sources(target_url=url, metrics_url="localhost/metrics"),
    ]
    before = log.stat().st_size
    for sources in wrong:
        with pytest.raises(SourceRefused):
            run(tmp_path, sources)
    assert not list(tmp_path.iterdir())
    assert log.stat().st_size == before


def test_an_unreachable_target_leaves_no_folder(tmp_path: Path) -> None:
    """A run that never sent a request is no run."""
    with pytest.raises(TargetUnreachable):
        run(tmp_path, Sources(target_url="http://127.0.0.1:1/"))
    assert not list(tmp_path.iterdir())


def test_a_database_lost_in_the_middle_loses_only_itself(
    edge_server: tuple[str, Path], postgres_url: str, tmp_path: Path
) -> None:
    """The load goes on, the state says lost, and the rest is whole."""

    def kill() -> None:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'headway' AND datname = current_database()"
            )

    timer = threading.Timer(1.5, kill)
    timer.start()
    evidence = run(tmp_path, Sources(target_url=edge_server[0], database_url=postgres_url))
    timer.join()
    assert evidence.sources["database"].presence is Presence.FAILED
    assert "lost during the run" in evidence.sources["statements"].detail
    assert int(evidence.phases[0].good.sum()) > 100
    assert evidence.phases[0].finished
    assert evidence.finished_at is not None


def test_an_interrupted_run_is_kept_and_says_so(
    edge_server: tuple[str, Path], postgres_url: str, tmp_path: Path
) -> None:
    """Ctrl-C in the measured time drains: what was collected until then is in the folder."""
    stop = Stop()

    def press(progress: Progress) -> None:
        if not progress.warming_up:
            stop.drain()

    sources = Sources(target_url=edge_server[0], database_url=postgres_url)
    evidence = run(tmp_path, sources, stop=stop, on_second=press)
    assert evidence.interrupted
    assert evidence.finished_at is not None
    assert not evidence.phases[0].finished
    assert len(evidence.databases) == 1


def test_a_rotated_log_of_a_real_nginx_is_followed(edge_server: tuple[str, Path]) -> None:
    """Lines of a real nginx are all read, none passed over."""
    import urllib.request

    url, log = edge_server
    edge = Edge(log)
    edge.check()
    edge.begin(PHASE, time.time())
    for number in range(6):
        urllib.request.urlopen(f"{url}/{'cached' if number % 2 else 'plain'}?a=%22%5C%00%ff", timeout=5).close()
    time.sleep(0.1)
    edge.end(PHASE, time.time())
    edge.close()
    assert edge.windows[0].by_status == {"-": 3, "MISS": 1, "HIT": 2}
    assert edge.windows[0].unread == 0


def test_a_watched_process_that_ends_is_data() -> None:
    """CPU of a busy child is seen; after its end its rows have no threads, and the remark names it."""
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    parent = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    time.sleep(0.5)
    host = Host((("busy", parent.pid), ("gone", 2**22 + 1)))
    try:
        assert "not running: gone" in host.check().detail
        host.sample(time.time())
        time.sleep(1.0)
        host.sample(time.time())
    finally:
        os.killpg(parent.pid, 9)
        parent.wait()
    host.sample(time.time() + 1)
    first, last = host.processes
    assert 0.2 < first.cpu_cores < 1.2
    assert first.threads >= 2
    assert (last.threads, last.resident_bytes) == (0, 0)
    assert "busy" in host.remark
