"""
What looking at a database's sessions costs: processor time of both ends, beside reading pg_stat_activity as it is.

    .venv/bin/python benchmarks/diagnosis/looks_cost.py

Once with all of them idle, once with a tenth of them in a queue for one row, so that blockers are asked for as well.
Processor time, not wall time: a busy neighbour changes little.
"""

from __future__ import annotations

import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import psycopg

from headway.evidence.session import Session
from headway.evidence.waits import Waits
from headway.model import LoadModel, Phase
from headway.servers import binaries, ports, postgres, process
from headway.thresholds import WAITS_EVERY_NS

SECONDS = 5.0
CONNECTIONS = (20, 100, 250)
PHASE = Phase(name="steady", model=LoadModel.OPEN, duration_s=1, warmup_s=0, rate_per_s=1)


@contextmanager
def server() -> Iterator[str]:
    """A PostgreSQL as the lab has it; its URL."""
    with tempfile.TemporaryDirectory(prefix="headway-bench-", dir="/var/tmp") as name:
        room, account = Path(name), process.unprivileged()
        room.chmod(0o711)
        process.own(room, account)
        programs, password, log = binaries.postgres(room, account).path, secrets.token_hex(16), room / "log"
        postgres.initialise(programs, room / "data", password=password, log=log, account=account)
        found = postgres.start(
            programs, room / "data", port=ports.choose(), password=password, log=log, account=account
        )
        try:
            yield postgres.create_database(found, "looked_at")
        finally:
            postgres.stop(found.identity)


@contextmanager
def used(url: str, connections: int, queued: int) -> Iterator[None]:
    """So many connections, some of which wait for one row."""
    with ExitStack() as stack:
        opened = [stack.enter_context(psycopg.connect(url, autocommit=True)) for _ in range(connections)]
        opened[0].execute("CREATE TABLE IF NOT EXISTS one (n int)")
        opened[0].execute("INSERT INTO one VALUES (1)")
        opened[0].execute("BEGIN; UPDATE one SET n = 2")
        waiters = [
            threading.Thread(target=each.execute, args=("UPDATE one SET n = 3",)) for each in opened[1 : 1 + queued]
        ]
        for each in waiters:
            each.start()
        yield
        opened[0].execute("COMMIT; TRUNCATE one")
        for each in waiters:
            each.join()


def spent_s(pid: int, act: Callable[[], None]) -> tuple[float, float]:
    """Processor seconds of this process and of one backend while `act` runs."""
    backend, own = psutil.Process(pid), time.process_time()
    before = backend.cpu_times()
    act()
    after = backend.cpu_times()
    return time.process_time() - own, after.user + after.system - before.user - before.system


def looking(url: str) -> tuple[float, float]:
    """Headway's looks, for `SECONDS`."""
    session = Session(url)
    waits = Waits(session)
    waits.check()

    def act() -> None:
        waits.begin(PHASE, time.time())
        time.sleep(SECONDS)
        waits.end(PHASE, time.time())

    found = spent_s(session.connection.info.backend_pid, act)
    print(f"    {waits.remark}")
    waits.close()
    return found


def reading(url: str) -> tuple[float, float]:
    """The peer: every row and column of pg_stat_activity, as often."""
    with psycopg.connect(url, autocommit=True) as connection:

        def act() -> None:
            for _ in range(round(SECONDS * 1e9 / WAITS_EVERY_NS)):
                connection.execute("SELECT * FROM pg_stat_activity").fetchall()
                time.sleep(WAITS_EVERY_NS / 1e9)

        return spent_s(connection.info.backend_pid, act)


def main() -> None:
    """Print shares of a core, at the client and at the server."""
    with server() as url:
        for connections in CONNECTIONS:
            for queued in (0, connections // 10):
                with used(url, connections, queued):
                    print(f"{connections} connections, {queued} of them in a queue for a row", flush=True)
                    own, peer = looking(url), reading(url)
                for name, (client, backend) in {"headway": own, "SELECT *": peer}.items():
                    print(f"    {name:<9} {client / SECONDS:6.2%} of a core here, {backend / SECONDS:6.2%} there")
                print(f"    headway is {sum(own) / sum(peer):.2f} times the other", flush=True)


if __name__ == "__main__":
    main()
