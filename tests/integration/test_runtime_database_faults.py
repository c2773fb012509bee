"""What `headway.runtime.database` does when servers restart, die, freeze, lag and are promoted. Real processes."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg
import pytest

from headway.runtime.database import CommitUnknown, Database, DatabaseUnavailable, Reason, Settings
from replicated import Replicated, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

QUICK = Settings(pool_max=4, wait_s=1.0, probe_every_s=0.05, probe_timeout_s=0.3, cut_off_s=0.6, max_lag_s=1.0)
BOUND_S = 2.5
"""What one read or write may take in the worst case here: waiting for a connection, and being cut off."""


@pytest.fixture(scope="module")
def servers(service_room: Path) -> Iterator[Replicated]:
    """A primary and two replicas. Tests leave them as they were, but for the last, which promotes."""
    room = service_room / "faulty"
    room.mkdir(mode=0o711)
    made = Replicated.make(room)
    try:
        made.add_replica()
        made.add_replica()
        with psycopg.connect(made.primary.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE written (client int, value int, PRIMARY KEY (client, value))")
        yield made
    finally:
        made.stop()


@pytest.fixture
def database(servers: Replicated) -> Iterator[Database]:
    """A database whose replicas all get reads."""
    with Database(servers.primary.url, replicas=[each.url for each in servers.replicas], settings=QUICK) as made:
        until(lambda: fit(made) == 2)
        yield made


def fit(database: Database) -> int:
    """How many replicas get reads."""
    return sum(each.unfit is None for each in database.standings()[1:])


@dataclass
class Load:
    """What came of what some threads did over and over."""

    done: Counter[str] = field(default_factory=Counter)
    failures: list[BaseException] = field(default_factory=list)
    slowest_s: float = 0.0
    running: bool = True
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, *acts: Callable[[Load], None]) -> None:
        """Begin."""
        self.threads = [threading.Thread(target=self._repeat, args=(act,), daemon=True) for act in acts]
        for each in self.threads:
            each.start()

    def end(self) -> None:
        """Wait for all to stop; one that hangs fails the test."""
        self.running = False
        for each in self.threads:
            each.join(10)
            assert not each.is_alive()

    def _repeat(self, act: Callable[[Load], None]) -> None:
        while self.running:
            began_s = time.monotonic()
            try:
                act(self)
            except psycopg.OperationalError as exc:
                self.failures.append(exc)
                time.sleep(0.01)
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)


def reading(database: Database) -> Callable[[Load], None]:
    """Read over and over."""

    def act(load: Load) -> None:
        database.fetch("SELECT count(*) FROM written")
        load.done["read"] += 1

    return act


class Writing:
    """Write the numbers from 0 on, each once, and remember which were acknowledged and which may have been."""

    def __init__(self, database: Database, client: int) -> None:
        self.database, self.client = database, client
        self.acknowledged: list[int] = []
        self.unknown: list[int] = []
        self.refused: list[int] = []
        self.next = 0

    def __call__(self, load: Load) -> None:
        """One write."""
        value, self.next = self.next, self.next + 1
        try:
            with self.database.session(), self.database.write() as connection:
                connection.execute("INSERT INTO written VALUES (%s, %s)", (self.client, value))
        except CommitUnknown:
            self.unknown.append(value)
            raise
        except psycopg.OperationalError:
            self.refused.append(value)
            raise
        self.acknowledged.append(value)
        load.done["write"] += 1

    def assert_none_lost(self, found: set[int]) -> None:
        """What was acknowledged is there, what was refused is not; the unknown may be either."""
        assert set(self.acknowledged) <= found
        assert not found & set(self.refused)
        assert found <= set(self.acknowledged) | set(self.unknown)


def test_a_replica_that_is_killed_fails_no_read_and_comes_back(servers: Replicated, database: Database) -> None:
    """Reads under way are done again elsewhere; the replica gets none until it lives again, and then it does."""
    load = Load()
    load.start(reading(database), reading(database), reading(database))
    until(lambda: load.done["read"] > 50)
    servers.kill(0)
    until(lambda: fit(database) == 1)
    read = load.done["read"]
    until(lambda: load.done["read"] > read + 50)
    servers.revive(0)
    until(lambda: fit(database) == 2)
    load.end()
    assert load.failures == []
    assert load.slowest_s < BOUND_S


def test_with_all_replicas_gone_the_primary_answers(servers: Replicated, database: Database) -> None:
    """Fallback, and the reason is counted."""
    for number in (0, 1):
        servers.kill(number)
    before = database.reads().get(Reason.NO_REPLICA, 0)
    for _ in range(20):
        database.fetch("SELECT 1")
    assert database.reads()[Reason.NO_REPLICA] >= before + 18
    for number in (0, 1):
        servers.revive(number)
    until(lambda: fit(database) == 2)


def test_a_replica_that_freezes_holds_nobody_beyond_the_bound(servers: Replicated, database: Database) -> None:
    """No FIN, no error, no answer: who waits for it is cut off, reads it elsewhere, and nobody is sent there."""
    load = Load()
    load.start(reading(database), reading(database))
    until(lambda: load.done["read"] > 20)
    servers.signal_all(servers.replicas[0], signal.SIGSTOP)
    try:
        until(lambda: fit(database) == 1)
        read = load.done["read"]
        time.sleep(QUICK.cut_off_s + QUICK.probe_timeout_s)
        until(lambda: load.done["read"] > read + 50)
    finally:
        servers.signal_all(servers.replicas[0], signal.SIGCONT)
    until(lambda: fit(database) == 2)
    load.end()
    assert load.failures == []
    assert load.slowest_s < BOUND_S


def test_a_replica_too_far_behind_gets_no_reads_until_it_has_caught_up(servers: Replicated, database: Database) -> None:
    """One that is more than max_lag_s behind is left out, and taken back."""
    servers.set_lag(0, 60_000)
    write = Writing(database, 50)
    load = Load()
    load.start(write)
    until(lambda: fit(database) == 1)
    assert "s behind" in str(database.standings()[1].unfit)
    servers.set_lag(0, 0)
    until(lambda: fit(database) == 2)
    load.end()
    assert load.failures == []


def test_a_primary_that_restarts_loses_no_write_and_is_used_again(servers: Replicated, database: Database) -> None:
    """
    Crashed under four writers and down for a second: each write is acknowledged and there, or failed and not there,
    or said to be unknown; none takes longer than its bound; writing goes on by itself. Reads go on meanwhile.
    """
    writers = [Writing(database, 100 + number) for number in range(4)]
    load = Load()
    load.start(*writers, reading(database))
    until(lambda: load.done["write"] > 100)
    servers.restart_primary(outage_s=1.0)
    written = load.done["write"]
    until(lambda: load.done["write"] > written + 100)
    load.end()
    assert load.slowest_s < BOUND_S
    assert any(each.refused or each.unknown for each in writers)  # the crash was felt
    with database.primary():
        rows = database.fetch("SELECT client, value FROM written WHERE client >= 100")
    for each in writers:
        each.assert_none_lost({value for client, value in rows if client == each.client})


def test_a_primary_that_freezes_holds_no_write_beyond_the_bound(servers: Replicated, database: Database) -> None:
    """The statement under way ends in an error, and when the primary goes on, so do writes."""
    began_s = time.monotonic()
    try:
        with pytest.raises(psycopg.OperationalError), database.write() as connection:
            servers.signal_all(servers.primary, signal.SIGSTOP)
            connection.execute("SELECT 1")
    finally:
        servers.signal_all(servers.primary, signal.SIGCONT)
    assert time.monotonic() - began_s < BOUND_S
    until(lambda: database.standings()[0].unfit is None)
    Writing(database, 150)(Load())
    until(lambda: fit(database) == 2)


def test_reads_go_on_while_the_primary_is_down(servers: Replicated, database: Database) -> None:
    """Replicas are not called late for what a dead primary does not write; a session's own write is still seen."""
    with database.session():
        with database.write() as connection:
            connection.execute("INSERT INTO written VALUES (200, 1)")
        until(lambda: database.fetch("SELECT 1 FROM written WHERE client = 200") == [(1,)])
        servers.kill_primary()
        try:
            time.sleep(QUICK.max_lag_s + 0.5)
            for _ in range(20):
                assert database.fetch("SELECT 1 FROM written WHERE client = 200") == [(1,)]
            began_s = time.monotonic()
            with pytest.raises(DatabaseUnavailable, match="nothing was done"), database.write():
                pass
            assert time.monotonic() - began_s < BOUND_S
        finally:
            servers.restart_primary()
    until(lambda: fit(database) == 2)


def test_a_promoted_replica_is_not_read_from_and_can_be_followed(servers: Replicated, database: Database) -> None:
    """
    Promoted beside a living primary it is a database of its own: it gets no reads. When the primary then dies, writes
    follow to it through a connection string that names both, without a restart.
    """
    until(lambda: fit(database) == 2)
    first, second = servers.primary, servers.replicas[1]
    both = (
        f"postgresql://postgres:{first.password}@127.0.0.1:{first.port},127.0.0.1:{second.port}/postgres"
        "?target_session_attrs=read-write"
    )
    with Database(both, replicas=[each.url for each in servers.replicas], settings=QUICK) as following:
        until(lambda: fit(following) == 2)
        write = Writing(following, 300)
        load = Load()
        write(load)
        servers.kill_primary()
        with pytest.raises(DatabaseUnavailable), following.write():
            pass
        servers.promote(1)
        load.start(write)
        until(lambda: load.done["write"] > 20)
        load.end()
        until(lambda: following.standings()[2].unfit == "it is no standby (promoted?)")
        with following.primary():
            found = following.fetch("SELECT value FROM written WHERE client = 300")
        write.assert_none_lost({value for (value,) in found})
    until(lambda: database.standings()[2].unfit == "it is no standby (promoted?)")
    assert fit(database) == 1
