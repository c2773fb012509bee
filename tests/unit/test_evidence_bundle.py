"""A run's folder is found again, says what is wrong with it, and keeps no secrets."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import BadInput, BundleDamaged, HeadwayError
from headway.evidence import bundle, columns, reading, redact, runfile
from headway.evidence.collector import Collector, Watch, present
from headway.evidence.machine import machine
from headway.evidence.runfile import RunFile
from headway.model import (
    Arrivals,
    CacheUse,
    EdgeUse,
    HostSecond,
    LoadModel,
    Parameter,
    Phase,
    Presence,
    Route,
    Scenario,
    SourceState,
    Statement,
)
from keyboard import HELD_TO_MODES

PHASE = Phase(name="steady", model=LoadModel.OPEN, duration_s=10, warmup_s=1, arrivals=Arrivals.POISSON, rate_per_s=50)
SCENARIO = Scenario(
    name="shop",
    file=Path("scenario.toml"),
    routes=(Route(name="GET /users/{id}", method="GET", path="/users/{id}", expect_status=(200, 404)),),
    parameters=(
        Parameter(name="id", distribution="zipf", low=1, high=9, exponent=1.1),
        Parameter(name="slug", distribution="csv", csv_file=Path("a.csv"), csv_column="slug"),
    ),
    default_phase=PHASE,
)


def run_file(**changes: object) -> RunFile:
    made = RunFile(
        id="x",
        started_at="2026-01-01T00:00:00.000+00:00",
        headway_version="0.1.0",
        versions={"postgresql": "18.6"},
        machine=machine(),
        target_url="http://127.0.0.1/",
        workers=None,
        scenario=SCENARIO,
        phases=(PHASE, Phase(name="users", model=LoadModel.CLOSED, duration_s=5, warmup_s=0, users=3)),
        sources=(SourceState(name="load", presence=Presence.FAILED, detail="x", next_act="y"),),
        lower_bound_phases={"statements": ("steady",)},
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # a test's own fields


def test_folders_sort_by_time_and_never_collide(tmp_path: Path) -> None:
    """Fifty runs in a row have fifty folders; the latest is found, and each by a part of its name."""
    folders = [bundle.create(tmp_path, "Shop: Größe/../../x") for _ in range(50)]
    assert len(set(folders)) == 50
    assert all(each.parent == tmp_path / ".headway/runs" for each in folders)
    for each in folders:
        runfile.write(each, run_file(id=each.name))
    assert bundle.find(tmp_path, None).name == max(each.name for each in folders)
    assert bundle.find(tmp_path, "latest") == bundle.find(tmp_path, None)
    assert bundle.find(tmp_path, folders[7].name) == folders[7]
    assert bundle.find(Path("/"), str(folders[7])) == folders[7]
    with pytest.raises(BadInput, match="50 runs fit 'shop'"):
        bundle.find(tmp_path, "shop")
    with pytest.raises(BadInput, match="no run fits"):
        bundle.find(tmp_path, "2020")


def test_no_runs_says_how_to_make_one(tmp_path: Path) -> None:
    """An empty folder is one error with the command to run."""
    with pytest.raises(BadInput, match="headway run"):
        bundle.find(tmp_path, None)


def test_a_file_in_the_way_and_a_full_disk_are_one_error_each(tmp_path: Path) -> None:
    """The error names the path and what to do."""
    (tmp_path / ".headway").write_text("")
    with pytest.raises(HeadwayError, match="cannot write"):
        bundle.create(tmp_path, "x")
    if Path("/dev/full").exists():
        full = bundle.unwritable(Path("run.json"), _full())
        assert "No space left" in str(full)
        assert "free some space" in full.next_act


def _full() -> OSError:
    with pytest.raises(OSError, match="No space left") as caught:
        Path("/dev/full").write_bytes(b"x" * 10)
    return caught.value


def test_a_folder_of_someone_else_is_one_error(tmp_path: Path) -> None:
    """No right to write: the error says so."""
    tmp_path.chmod(0o500)
    code = f"from pathlib import Path; from headway.evidence import bundle; bundle.create(Path({str(tmp_path)!r}), 'x')"
    command = [*HELD_TO_MODES, sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "headway.errors.HeadwayError: cannot write" in done.stderr
    assert "you may write to" in done.stderr


def test_a_discarded_folder_leaves_nothing(tmp_path: Path) -> None:
    """Not even the empty folders above it; but other runs stay."""
    first = bundle.create(tmp_path, "x")
    runfile.write(first, run_file())
    bundle.discard(first)
    assert not list(tmp_path.iterdir())
    kept, gone = bundle.create(tmp_path, "kept"), bundle.create(tmp_path, "gone")
    bundle.discard(gone)
    assert [each.name for each in (tmp_path / ".headway/runs").iterdir()] == [kept.name]


def test_run_json_comes_back_whole(tmp_path: Path) -> None:
    """Scenario, phases, machine, sources: as they went in."""
    runfile.write(tmp_path, run_file())
    assert runfile.read(tmp_path) == run_file()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "missing"),
        ("", "cannot be read"),
        ('{"format": 1', "cannot be read"),
        ("[]", "format None"),
        ('{"format": 2}', "format 2"),
        ('{"format": 1}', "is damaged"),
        ('{"format": 1, "id": 5}', "is damaged"),
    ],
)
def test_a_damaged_run_json_is_named(tmp_path: Path, content: str | None, words: str) -> None:
    """Missing, cut short, from the future: BundleDamaged with the file."""
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(BundleDamaged, match=words) as caught:
        reading.read(tmp_path)
    assert "run.json" in str(caught.value)


def test_a_killed_run_is_read_and_says_what_is_missing(tmp_path: Path) -> None:
    """Only the first run.json is there: the run counts as interrupted, and each source says its file is missing."""
    sources = tuple(
        SourceState(name=name, presence=presence)
        for name, presence in [("statements", Presence.PRESENT), ("cache", Presence.ABSENT), ("host", Presence.PRESENT)]
    )
    runfile.write(tmp_path, run_file(sources=sources))
    evidence = reading.read(tmp_path)
    assert evidence.finished_at is None
    assert evidence.interrupted
    assert evidence.phases == ()
    assert {name: state.presence.value for name, state in evidence.sources.items()} == {
        "statements": "failed", "cache": "absent", "host": "failed", "load": "failed", "database": "failed",
        "tables": "failed", "indexes": "failed", "plans": "failed", "edge": "failed", "waits": "failed",
        "replicas": "failed", "pgbouncer": "failed", "logged plans": "failed",
    }  # fmt: skip
    assert "hits.hlog" in evidence.sources["load"].detail


def test_rows_come_back_from_parquet(tmp_path: Path) -> None:
    """Missing stays missing, tuples and mappings come back, an empty file keeps its columns."""
    cache = CacheUse(
        phase="a", hits=1, misses=2, evicted=3, expired=4, commands=5, used_memory_bytes=6, maxmemory_bytes=0,
        restarted=False, per_second=((0, 1, 2), (1, 3, 4)),
    )  # fmt: skip
    edge = EdgeUse(phase="a", by_status={"HIT": 3, "-": 1}, per_second=(), unread_lines=2)
    statement = Statement(
        phase="a", id="-5", text="SELECT 'ä'", calls=1, rows=2, total_ns=1.5, mean_ns=1.5, stddev_ns=0, share_ratio=1
    )
    columns.write(tmp_path / "c", CacheUse, [cache, replace(cache, per_second=())])
    columns.write(tmp_path / "e", EdgeUse, [edge])
    columns.write(tmp_path / "s", Statement, [statement], leave_out=frozenset({"plan", "plan_error", "logged", "live"}))
    columns.write(tmp_path / "h", HostSecond, [])
    assert columns.read(tmp_path / "c", CacheUse) == (cache, replace(cache, per_second=()))
    assert columns.read(tmp_path / "e", EdgeUse) == (edge,)
    assert columns.read(tmp_path / "s", Statement) == (statement,)
    assert columns.read(tmp_path / "h", HostSecond) == ()


@given(st.binary(max_size=200))
def test_a_damaged_parquet_file_is_named(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Any bytes are BundleDamaged with the file's name."""
    file = tmp_path_factory.getbasetemp() / "damaged.parquet"
    file.write_bytes(content)
    with pytest.raises(BundleDamaged, match=r"damaged\.parquet"):
        columns.read(file, HostSecond)


def test_a_file_of_other_columns_is_named(tmp_path: Path) -> None:
    """A Parquet file of something else is damage, not an accident later."""
    columns.write(tmp_path / "h", HostSecond, [])
    columns.write(tmp_path / "c", EdgeUse, [EdgeUse(phase="a", by_status={}, per_second=((1, 2, 3),), unread_lines=0)])
    with pytest.raises(BundleDamaged):
        columns.read(tmp_path / "c", HostSecond)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("postgresql://me:word@host:5432/db?sslmode=require", "postgresql://***@host:5432/db?sslmode=require"),
        ("redis://:word@[::1]:6379/0", "redis://***@[::1]:6379/0"),
        ("http://host/a?token=word&x=1", "http://host/a?token=***&x=1"),
        ("http://[bad", "***"),
        ("http://host/", "http://host/"),
    ],
)
def test_urls_lose_their_secrets_only(url: str, kept: str) -> None:
    """User and password go; what is needed to know the place stays."""
    assert redact.url(url) == kept


def test_a_scenario_keeps_no_secrets(tmp_path: Path) -> None:
    """What headers, bodies, query strings and commands carry of secrets is not in run.json; the rest is as written."""
    route = Route(
        name="POST /login",
        method="POST",
        path="/login?api_key=word1&page=2",
        headers=(("Authorization", "Bearer word2"), ("X-Api-Key", "word3"), ("Cookie", "s=word4"), ("Accept", "*/*")),
        body='{"user": "ann", "password": "wo\\"rd5", "newToken":"word6"}',
    )
    given = Parameter(name="$KEY", distribution="given", values=("word7",))
    commands = ("psql postgresql://ann:word8@db/shop", "env DB_PASSWORD=word9 seed --api-token word10 --users 5")
    scenario = replace(SCENARIO, routes=(route,), parameters=(given,), setup=commands, teardown=commands[:1])
    runfile.write(tmp_path, run_file(scenario=scenario))
    text = (tmp_path / "run.json").read_text()
    assert "word" not in text.lower().replace("password", "")
    kept = json.loads(text)["scenario"]
    assert kept["setup"] == ["psql postgresql://***@db/shop", "env DB_PASSWORD=*** seed --api-token *** --users 5"]
    found = kept["routes"][0]
    assert found["path"] == "/login?api_key=***&page=2"
    assert json.loads(found["body"]) == {"user": "ann", "password": "***", "newToken": "***"}
    assert found["headers"][3] == ["Accept", "*/*"]


class Stuck(Collector):
    """Never comes back from a reading."""

    name = "stuck"

    def sample(self, at_s: float) -> None:
        threading.Event().wait()


class Broken(Collector):
    """Fails with something nobody thought of, and has kept something before."""

    name = "broken"

    def sample(self, at_s: float) -> None:
        raise KeyError("surprise")


def test_a_source_that_hangs_or_breaks_is_said_and_waited_for_a_little() -> None:
    """A frozen server costs its patience, not the run; an unexpected error becomes the reason."""
    stuck, broken = (Watch(each, present(each.name, "")) for each in (Stuck(), Broken()))
    begun = time.monotonic()
    for watch in (stuck, broken):
        watch.sample(0)
        watch.finish()
        watch.wait(0.3)
    assert time.monotonic() - begun < 2
    assert "no answer within" in stuck.state.detail
    assert "surprise" in broken.state.detail
    assert {stuck.state.presence, broken.state.presence} == {Presence.FAILED}
