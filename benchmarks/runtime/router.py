"""
Stale reads and offload: reads routed by LSN against the usual rule, "the primary for 2 s after a write".

    .venv/bin/python benchmarks/runtime/router.py

One primary and one streaming replica, held back by recovery_min_apply_delay. Two hundred users read their own row nine
times out of ten and write it else, at a constant rate, the same ones in the same order under both rules. A read is
stale when it returns less than what its user had got acknowledged before he asked. The 2 s are Rails' default
(DatabaseSelector's `delay`); the rule is carried out by the same pools, so that only the choice of the server differs.
"""

from __future__ import annotations

import argparse
import random
import secrets
import shutil
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from headway.runtime.database import Database, Settings
from replicated import Replicated

USERS = 200
RATE_PER_S = 300.0
DELAY_S = 2.0
CREW = 8
LAGS_MS = (0, 50, 500, 5000)
SETTINGS = Settings(pool_min=CREW, pool_max=CREW, max_lag_s=60.0)


@dataclass
class User:
    """What one user got acknowledged, and his token."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    value: int = 0
    wrote_at_s: float = -1e9
    token: str | None = None


@dataclass
class Outcome:
    """What came of one rule at one lag."""

    reads: int = 0
    stale: int = 0
    on_replica: int = 0
    took_s: list[float] = field(default_factory=list)


class Rule:
    """A way to choose where a user reads."""

    name = "LSN"

    def read(self, database: Database, user: User, number: int) -> tuple[int, bool]:
        """The user's value, and whether a replica said it."""
        with database.session(user.token):
            return self._read(database, number, stale_ok=False)

    def _read(self, database: Database, number: int, *, stale_ok: bool) -> tuple[int, bool]:
        with database.read(stale_ok=stale_ok) as connection:
            row = connection.execute(
                "SELECT value, pg_is_in_recovery() FROM visits WHERE id = %s", (number,)
            ).fetchone()
        assert row is not None
        return row[0], row[1]


class Delay(Rule):
    """The primary for two seconds after one's own write."""

    name = "2 s delay"

    def read(self, database: Database, user: User, number: int) -> tuple[int, bool]:
        """See `Rule.read`."""
        recent = time.monotonic() - user.wrote_at_s < DELAY_S
        with database.session(), database.primary() if recent else nullcontext():
            return self._read(database, number, stale_ok=True)


def visit(database: Database, rule: Rule, users: list[User], outcome: Outcome, act: tuple[float, int, bool]) -> None:
    """One act at its time: a write, or a read that is held against what its user had before."""
    due_s, number, writes = act
    time.sleep(max(0.0, due_s - time.monotonic()))
    user = users[number]
    with user.lock:  # one user does one thing at a time
        began_s = time.monotonic()
        if writes:
            with database.session() as session:
                with database.write() as connection:
                    connection.execute("UPDATE visits SET value = %s WHERE id = %s", (user.value + 1, number))
                user.token = database.token(session)
            user.value, user.wrote_at_s = user.value + 1, time.monotonic()
            return
        value, on_replica = rule.read(database, user, number)
        took_s = time.monotonic() - began_s
        stale = value < user.value
    outcome.reads += 1  # the GIL and one lock a user: a lost count here would only lose a read that was not stale
    outcome.stale += stale
    outcome.on_replica += on_replica
    outcome.took_s.append(took_s)


def measured(servers: Replicated, rule: Rule, seconds: float, warm_up_s: float, seed: int) -> Outcome:
    """One rule for so long, after a warm-up in which the replica falls as far behind as it will."""
    draw, users = random.Random(seed), [User() for _ in range(USERS)]
    with psycopg.connect(servers.primary.url, autocommit=True) as connection:
        connection.execute("UPDATE visits SET value = 0")
    with (
        Database(servers.primary.url, replicas=[servers.replicas[0].url], settings=SETTINGS) as database,
        ThreadPoolExecutor(CREW) as crew,
    ):
        for length_s, outcome in ((warm_up_s, Outcome()), (seconds, Outcome())):
            began_s = time.monotonic()
            acts = [
                (began_s + number / RATE_PER_S, draw.randrange(USERS), draw.random() < 0.1)
                for number in range(int(length_s * RATE_PER_S))
            ]
            list(crew.map(lambda act, outcome=outcome: visit(database, rule, users, outcome, act), acts))
    return outcome


def main() -> int:
    """Print one line for each lag and rule; 1 when a read routed by LSN was stale."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=12.0)
    seconds = parser.parse_args().seconds
    room = Path(tempfile.mkdtemp(prefix="headway-router-"))
    room.chmod(0o711)
    (room / "servers").mkdir(mode=0o711)
    servers = Replicated.make(room / "servers")
    failed = False
    try:
        servers.add_replica()
        with psycopg.connect(servers.primary.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE visits (id int PRIMARY KEY, value int NOT NULL)")
            connection.execute("INSERT INTO visits SELECT id, 0 FROM generate_series(0, %s) AS id", (USERS - 1,))
        print("lag ms       rule  reads  stale  stale %  replica %  P50 ms  P95 ms")
        for lag_ms in LAGS_MS:
            servers.set_lag(0, lag_ms)
            seed = secrets.randbits(32)
            for rule in (Rule(), Delay()):
                found = measured(servers, rule, seconds, 1.5 + lag_ms / 1e3, seed)
                cuts = statistics.quantiles(found.took_s, n=20)
                print(
                    f"{lag_ms:>6} {rule.name:>10} {found.reads:>6} {found.stale:>6} {found.stale / found.reads:>8.2%}"
                    f" {found.on_replica / found.reads:>10.1%} {cuts[9] * 1e3:>7.2f} {cuts[18] * 1e3:>7.2f}",
                    flush=True,
                )
                failed |= rule.name == "LSN" and found.stale > 0
    finally:
        servers.stop()
        shutil.rmtree(room)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
