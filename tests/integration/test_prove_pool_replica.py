"""Pools and replicas tried on real servers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

import proving
from headway.model import ProofState, Remedy, RemedyKind
from headway.prove.clone import CopyBy, clone
from headway.prove.lifeline import PREFIX, lifeline
from headway.prove.remedies import pool, replica
from headway.thresholds import KNEE_RATIO


@pytest.fixture
def posts_url(postgres_url: str) -> str:
    """5,000 posts of 250 users."""
    proving.fill(postgres_url, 5_000)
    return postgres_url


def remedy(kind: RemedyKind, **parameters: object) -> Remedy:
    """One without an estimate."""
    return Remedy(kind=kind, title=kind.value, act="a setting", parameters=parameters)


def test_a_connection_per_request_is_beaten_by_a_pool(posts_url: str, tmp_path: Path) -> None:
    """Opening a connection for each statement costs more than the statement: the sweep finds a knee and says so."""
    run = proving.evidence(tmp_path, proving.statement("1", "SELECT title FROM posts WHERE id = $1", rows_per_call=1))
    grounds = proving.grounds(run, posts_url, tmp_path, budget_s=4.0)
    found = pool.prove(proving.finding("user_id"), remedy(RemedyKind.POOL, size=0, users=4), grounds)
    assert found.state is ProofState.WORTH_IT, found.reason
    decides = next(each for each in found.effects if each.decides)
    assert decides.after < decides.before
    assert any("a connection per request:" in each and "a pool of 4:" in each for each in found.notes)


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
