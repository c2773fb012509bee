"""Pools and replicas tried on real servers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

import proving
from headway.diagnose.rules import pool_size
from headway.evidence import columns
from headway.evidence.pooler import Pooler
from headway.model import LoadModel, Phase, PoolUse, ProofState, Remedy, RemedyKind
from headway.prove import pooler
from headway.prove.clone import CopyBy, clone
from headway.prove.lifeline import PREFIX, lifeline
from headway.prove.remedies import pool, replica
from headway.thresholds import KNEE_RATIO
from pooled import pooled

PHASE = Phase(name="ordinary", model=LoadModel.OPEN, duration_s=1, warmup_s=0, rate_per_s=1)
SLEEPY = "SELECT title, pg_sleep(0.01) FROM posts WHERE id = $1"


@pytest.fixture
def posts_url(postgres_url: str) -> str:
    """5,000 posts of 250 users."""
    proving.fill(postgres_url, 5_000)
    return postgres_url


def remedy(kind: RemedyKind, **parameters: object) -> Remedy:
    """One without an estimate."""
    return Remedy(kind=kind, title=kind.value, act="a setting", parameters=parameters)


def test_a_connection_per_request_is_beaten_by_a_pool(
    posts_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening a connection for each statement costs more than the statement: the sweep finds a knee and says so."""
    run = proving.evidence(tmp_path, proving.statement("1", "SELECT title FROM posts WHERE id = $1", rows_per_call=1))
    monkeypatch.setattr(pool, "LEAST_TURN_S", 0.2)
    grounds = proving.grounds(run, posts_url, tmp_path, budget_s=4.0)
    found = pool.prove(proving.finding("user_id"), remedy(RemedyKind.POOL, size=0, users=4), grounds)
    assert found.state is ProofState.WORTH_IT, found.reason
    decides = next(each for each in found.effects if each.decides)
    assert decides.after < decides.before
    assert any("a connection per request:" in each and "a pool of 4:" in each for each in found.notes)


def test_a_pool_of_one_is_found_too_small_and_the_sweep_confirms_it(
    posts_url: str, service_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three clients share PgBouncer's one connection: the rule says so, and a larger pool is measured to be faster."""
    with pooled(posts_url, service_folder, size=1) as front:
        looked = Pooler(front.console)
        looked.check()
        looked.begin(PHASE, time.time())
        clients = [threading.Thread(target=use, args=(front.url, 0.5)) for _ in range(3)]
        for each in clients:
            each.start()
        for _ in range(8):
            time.sleep(0.05)
            looked.sample(time.time())
        for each in clients:
            each.join()
        looked.end(PHASE, time.time())
        looked.write(tmp_path)
        looked.close()
    run = proving.evidence(tmp_path, proving.statement("1", SLEEPY, rows_per_call=1))
    run = replace(run, pools=columns.read(tmp_path / "pools.parquet", PoolUse))
    (finding,) = pool_size.find(run)
    assert "one of PgBouncer's 1 connections" in finding.line
    (asked,) = finding.remedies
    assert asked.parameters["size"] == 1
    monkeypatch.setattr(pool, "LEAST_TURN_S", 0.05)
    found = pool.prove(finding, asked, proving.grounds(run, posts_url, tmp_path, budget_s=1.0))
    assert found.state is ProofState.WORTH_IT, found.reason
    decides = next(each for each in found.effects if each.decides)
    assert decides.after < 0.8 * decides.before  # three users by two connections: two thirds
    assert any("in front, transaction pooling: a pool of 1:" in each for each in found.notes), found.notes


def use(url: str, seconds: float) -> None:
    """One client that asks again and again for so long."""
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as one:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            one.execute(SLEEPY.replace("$1", "%s"), (3,))


def test_without_a_pgbouncer_the_sweep_says_so(posts_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is named and isn't there, and one that can't start: said, and the sweep goes on without."""
    monkeypatch.setenv("PGBOUNCER", str(tmp_path / "absent"))
    with pooler.before(posts_url, [1]) as front:
        assert not front.urls
        assert "no program at" in front.said
    monkeypatch.setenv("PGBOUNCER", "/bin/false")
    with pooler.before(posts_url, [1]) as front:
        assert front.said.startswith("PgBouncer was not tried in front")


@given(st.dictionaries(st.integers(1, 200), st.floats(1.0, 1e6), min_size=1))
def test_the_knee_is_the_smallest_size_near_the_best(rates: dict[int, float]) -> None:
    """Whatever the curve: it reaches the share of the best, and no smaller size does; no pool is never the knee."""
    found = pool.knee({**rates, pool.EACH: 1e9})
    assert rates[found] >= KNEE_RATIO * max(rates.values())
    assert all(rates[size] < KNEE_RATIO * max(rates.values()) for size in rates if size < found)


def test_stale_reads_of_a_replica_that_lags_are_counted(posts_url: str, tmp_path: Path, service_room: Path) -> None:
    """With few keys, many writes and half a second of lag most reads are stale; without writes none is."""
    busy = proving.evidence(
        tmp_path, proving.statement("1", "SELECT title FROM posts WHERE id = $1", calls=12_000),
        proving.statement("2", proving.RENAME, calls=12_000),
    )  # fmt: skip
    quiet = replace(busy, statements=busy.statements[:1])
    finding = proving.finding("user_id")
    with lifeline() as life, clone(
        posts_url, CopyBy.BACKUP, life, lambda _text: None, folder=service_room, fast=True
    ) as made:  # fmt: skip
        grounds = proving.grounds(busy, made.url, tmp_path, private=True, clone=made, budget_s=6.0)
        stale = replica.prove(finding, remedy(RemedyKind.REPLICA, lag_ms=500, keys=5), grounds)
        fresh = replica.prove(
            finding, remedy(RemedyKind.REPLICA, lag_ms=100, keys=5), replace(grounds, evidence=quiet, budget_s=4.0)
        )
        with psycopg.connect(made.url) as connection:
            assert connection.execute("SELECT to_regclass('headway_stale_probe')").fetchone() == (None,)
    assert stale.state is ProofState.NOT_WORTH_IT, stale.reason
    assert next(each for each in stale.effects if each.decides).after > 0.8
    assert fresh.state is ProofState.WORTH_IT, fresh.reason
    assert next(each for each in fresh.effects if each.decides).after == 0
    assert not any(service_room.glob(f"{PREFIX}*"))


def test_a_replica_is_never_made_of_somebody_elses_server(posts_url: str, tmp_path: Path) -> None:
    """A staging database that was named gets no replica: the reason says what would do."""
    run = proving.evidence(tmp_path, proving.statement("1", proving.READ))
    found = replica.prove(
        proving.finding("user_id"), remedy(RemedyKind.REPLICA), proving.grounds(run, posts_url, tmp_path)
    )
    assert found.state is ProofState.UNPROVEN
    assert "--copy backup" in found.reason
