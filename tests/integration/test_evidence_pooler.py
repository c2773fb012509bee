"""Evidence from a real PgBouncer's console."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from headway.errors import SourceRefused
from headway.evidence import columns
from headway.evidence.collector import Watch
from headway.evidence.pooler import Pooler
from headway.model import LoadModel, Phase, PoolUse, Presence
from pooled import pooled

PHASE = Phase(name="steady", model=LoadModel.OPEN, duration_s=1, warmup_s=0, rate_per_s=1)


def hold(url: str, seconds: float) -> None:
    """One client that has a server connection for so long."""
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as one:
        one.execute("SELECT pg_sleep(%s)", (seconds,))


def test_clients_that_wait_for_a_connection_are_counted(
    postgres_url: str, service_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """Three clients share a pool of one: two wait, by so much, and what they waited adds up."""
    with pooled(postgres_url, service_folder, size=1) as front:
        hold(front.url, 0.0)  # logs in before the phase
        pooler = Pooler(front.console)
        assert pooler.check().presence is Presence.PRESENT
        pooler.begin(PHASE, time.time())
        clients = [threading.Thread(target=hold, args=(front.url, 0.3)) for _ in range(3)]
        for each in clients:
            each.start()
        time.sleep(0.15)
        pooler.sample(time.time())
        for each in clients:
            each.join()
        pooler.end(PHASE, time.time())
        pooler.write(tmp_path)
        pooler.close()
    (found,) = columns.read(tmp_path / "pools.parquet", PoolUse)
    assert (found.database, found.user, found.mode, found.size) == ("shop", "postgres", "transaction", 1)
    assert (found.clients_waiting_most, found.servers_most, found.waiting_looks, found.looks) == (2, 1, 1, 3)
    assert found.longest_wait_ns > 5e7
    assert found.transactions == 3
    assert found.waited_ns is not None
    assert 0.7e9 < found.waited_ns < 1.3e9  # 0.3 s and 0.6 s


def test_a_pool_with_room_has_nobody_waiting(
    postgres_url: str, service_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """Enough connections: no client waits; a restart in the phase makes the totals unknown, not negative."""
    with pooled(postgres_url, service_folder, size=4) as front:
        pooler = Pooler(front.console)
        pooler.check()
        pooler.begin(PHASE, time.time())
        hold(front.url, 0.02)
        pooler.end(PHASE, time.time())
        pooler.windows[-1].before = {"shop": {"total_xact_count": 10**6, "total_wait_time": 10**12}}
        pooler.write(tmp_path)
        pooler.close()
    (found,) = columns.read(tmp_path / "pools.parquet", PoolUse)
    assert (found.clients_waiting_most, found.waiting_looks) == (0, 0)
    assert (found.transactions, found.waited_ns) == (None, None)


def test_what_is_no_console_is_refused_and_a_lost_one_keeps_what_it_had(
    postgres_url: str, service_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """PostgreSQL itself doesn't know SHOW POOLS; a PgBouncer that is stopped in the run fails the source alone."""
    with pytest.raises(SourceRefused, match="console"):
        Pooler(postgres_url).check()
    with pytest.raises(SourceRefused, match="cannot be read"):
        Pooler("postgresql://[").check()
    with pooled(postgres_url, service_folder, size=1) as front:
        pooler = Pooler(front.console)
        watch = Watch(pooler, pooler.check())
        watch.post(lambda: pooler.begin(PHASE, time.time()))
        hold(front.url, 0.0)
        watch.post(lambda: pooler.sample(time.time()))
        time.sleep(0.1)
    watch.post(lambda: pooler.end(PHASE, time.time()))
    watch.finish()
    watch.wait()
    assert watch.state.presence is Presence.FAILED
    pooler.write(tmp_path)
    assert [each.database for each in columns.read(tmp_path / "pools.parquet", PoolUse)] == ["shop"]
