"""How far a real streaming replica is behind, as the evidence has it, while it replays late on purpose."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg

from headway.evidence import columns
from headway.evidence.database import DatabaseUse
from headway.evidence.replicas import Replicas
from headway.evidence.session import Session
from headway.model import LoadModel, Phase, Presence, ReplicaLag
from replicated import Replicated, until

if TYPE_CHECKING:
    from pathlib import Path

LAG_MS = 250
SENT_WITHIN_MS = 50
"""The delay counts from the commit, the lag from when its WAL is sent: so much later at most."""
LATE = Phase(name="late", model=LoadModel.OPEN, duration_s=1, warmup_s=0, rate_per_s=1)
QUIET = Phase(name="quiet", model=LoadModel.OPEN, duration_s=1, warmup_s=0, rate_per_s=1)


def test_lag_and_replay_position_of_a_streaming_replica(service_room: Path, tmp_path: Path) -> None:
    """
    A replica that replays 250 ms late is said to be so far behind, and by no more than was written; transactions that
    wrote are counted, those that only read are not. When all is replayed nothing is behind.
    """
    room = service_room / "followed"
    room.mkdir(mode=0o711)
    servers = Replicated.make(room)
    try:
        before = Session(servers.primary.url)
        assert "nothing streams" in Replicas(before).check().detail
        before.close()
        late = servers.add_replica(LAG_MS + SENT_WITHIN_MS)
        session = Session(servers.primary.url)
        replicas, database = Replicas(session), DatabaseUse(session)
        source = replicas.check()
        assert (source.presence, source.detail.startswith("1 stream")) == (Presence.PRESENT, True)
        written = watched(servers, replicas, database)
        until(lambda: replayed(late) == 40)
        replicas.begin(QUIET, time.time())
        replicas.end(QUIET, time.time())
        session.close()
    finally:
        servers.stop()
    replicas.write(tmp_path)
    behind, caught_up = columns.read(tmp_path / "replicas.parquet", ReplicaLag)
    assert (behind.phase, behind.state, behind.sync) == ("late", "streaming", "async")
    assert behind.replay_lag_most_ns is not None
    assert behind.write_lag_most_ns is not None
    assert behind.replay_lag_most_ns >= LAG_MS * 1e6
    assert behind.write_lag_most_ns < behind.replay_lag_most_ns
    assert 0 < (behind.replay_bytes_most or 0) <= written
    assert caught_up.replay_bytes_most == 0
    (use,) = database.databases
    assert use.replicas == 1
    assert use.written_transactions == 40
    assert use.commits >= 120


def watched(servers: Replicated, replicas: Replicas, database: DatabaseUse) -> int:
    """One phase of 40 writes and 80 reads over twice the lag; the bytes of write-ahead log since the table was made."""
    with psycopg.connect(servers.primary.url, autocommit=True) as service:
        begun = service.execute("SELECT pg_current_wal_lsn()").fetchone()
        service.execute("CREATE TABLE marks (id int)")
        for each in (replicas, database):
            each.begin(LATE, time.time())
        for number in range(40):
            service.execute("INSERT INTO marks VALUES (%s)", (number,))
            for _ in range(2):
                service.execute("SELECT count(*) FROM marks")
            replicas.sample(time.time())
            time.sleep(2 * LAG_MS / 1e3 / 40)
        replicas.end(LATE, time.time())
        row = service.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), %s)::bigint", begun).fetchone()
    until(lambda: seen(servers) >= 120)  # a closed session reports at once, from its own process
    database.end(LATE, time.time())
    assert row is not None
    return int(row[0])


def seen(servers: Replicated) -> int:
    """Commits that the primary has counted."""
    with psycopg.connect(servers.primary.url, autocommit=True) as connection:
        row = connection.execute("SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'").fetchone()
    assert row is not None
    return int(row[0])


def replayed(url: str) -> int:
    """Rows that the replica shows."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM marks").fetchone()
    assert row is not None
    return int(row[0])
