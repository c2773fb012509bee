"""
Reads on a replica: what they would take off the primary, and how many of them would be stale at a given lag.

A streaming replica of Headway's own copy is held back by `recovery_min_apply_delay`. Writers and readers keep the run's
rates over as many keys as it had, and each read is compared with what was committed on the primary before it was sent.
How much faster the service gets is not measured: copy and replica share this machine.

Source: PostgreSQL manual, recovery_min_apply_delay; Clopper and Pearson 1934 for the interval.
"""

from __future__ import annotations

import random
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import conninfo, sql
from scipy import special

from headway.conventions import SQL_TAG
from headway.errors import LabFailed
from headway.evidence.collector import in_words
from headway.model import Effect, Price, ProofState
from headway.prove.outcome import NO_PLACE, proof, unproven
from headway.prove.values import NoValues, is_write, parsed
from headway.servers import ports, postgres, process
from headway.thresholds import CONFIDENCE_RATIO, PROVE_MATTERS_RATIO
from headway.thresholds.rules import STALE_TOLERABLE_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import Evidence, Finding, Proof, Remedy
    from headway.prove.clone import Clone
    from headway.prove.grounds import Grounds

TABLE = "headway_stale_probe"
LAG_MS = 100.0
KEYS = 1_000
MOST_PER_S = 400.0
LONGEST_S = 20.0
TAIL = (1 - CONFIDENCE_RATIO) / 2


@dataclass(frozen=True, kw_only=True)
class Mix:
    """What the run asked of the database: statements a second, and the reads' share of its time."""

    reads_per_s: float
    writes_per_s: float
    reads_ratio: float


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What became of the reads."""

    reads: int
    stale: int
    lag_s: float
    seconds: float

    @property
    def interval(self) -> tuple[float, float]:
        """95% Clopper-Pearson interval of the share that was stale."""
        low = 0.0 if not self.stale else float(special.betaincinv(self.stale, self.reads - self.stale + 1, TAIL))
        all_stale = self.stale == self.reads
        high = 1.0 if all_stale else float(special.betaincinv(self.stale + 1, self.reads - self.stale, 1 - TAIL))
        return low, high


def prove(finding: Finding, remedy: Remedy, grounds: Grounds) -> Proof:
    """Count stale reads on a replica of the copy, held back by the lag the remedy names (`lag_ms`)."""
    clone, mix = grounds.clone, mixed(grounds.evidence)
    if clone is None or not clone.private or mix is None:
        why = "the run has no statements: how much is read isn't known"
        if mix is not None:
            why = "a replica is made of Headway's own copy only: say --copy backup" if grounds.staging_url else NO_PLACE
        return unproven(finding, remedy, grounds, why)
    lag_s = float(remedy.parameters.get("lag_ms") or LAG_MS) / 1e3
    keys = int(remedy.parameters.get("keys") or KEYS)
    try:
        with _replica(clone, lag_s) as url:
            grounds.say(f"reads on a replica that is {lag_s * 1e3:,.0f} ms behind")
            seen = _probed(clone.url, url, mix, keys, lag_s, min(LONGEST_S, grounds.budget_s / 2), grounds.seed)
    except LabFailed as exc:
        return unproven(finding, remedy, grounds, f"no replica: {exc.what}")
    except psycopg.Error as exc:
        return unproven(finding, remedy, grounds, f"the replica refused: {in_words(exc)}")
    if not seen.reads:
        return unproven(finding, remedy, grounds, "no read was answered in the time there was")
    return _judged(finding, remedy, grounds, mix, seen, keys)


def mixed(evidence: Evidence) -> Mix | None:
    """The run's reads and writes; None when it has no statements."""
    seconds = sum(each.seconds for each in evidence.phases)
    reads = writes = 0
    read_ns = whole_ns = 0.0
    for each in evidence.statements:
        if each.is_utility or each.nested:
            continue
        try:
            write = is_write(parsed(each.text))
        except NoValues:
            write = not each.text.lstrip().lower().startswith("select")
        whole_ns += each.total_ns
        if write:
            writes += each.calls
        else:
            reads, read_ns = reads + each.calls, read_ns + each.total_ns
    if not seconds or not whole_ns:
        return None
    return Mix(reads_per_s=reads / seconds, writes_per_s=writes / seconds, reads_ratio=read_ns / whole_ns)


def _judged(finding: Finding, remedy: Remedy, grounds: Grounds, mix: Mix, seen: Seen, keys: int) -> Proof:
    low, high = seen.interval
    share = seen.stale / seen.reads
    tolerable = float(remedy.parameters.get("tolerable_stale_ratio") or STALE_TOLERABLE_RATIO)
    text = (
        f"{mix.reads_ratio:.0%} of statement time are reads; {share:.2%} of reads were stale ({low:.2%} to {high:.2%})"
    )
    if mix.reads_ratio < PROVE_MATTERS_RATIO:
        state, text = ProofState.NOT_WORTH_IT, f"{text}: too little to move"
    elif high <= tolerable:
        state, text = ProofState.WORTH_IT, f"{text}, {tolerable:.2%} tolerable"
    elif low > tolerable:
        state, text = ProofState.NOT_WORTH_IT, f"{text}, {tolerable:.2%} tolerable"
    else:
        state, text = ProofState.UNPROVEN, f"{text}, {tolerable:.2%} tolerable: too few reads to tell"
    stale = Effect(
        metric=f"reads that were stale at {seen.lag_s * 1e3:,.0f} ms of lag", unit="ratio", samples=seen.reads,
        before=0.0, before_low=0.0, before_high=0.0, after=share, after_low=low, after_high=high, decides=True,
    )  # fmt: skip
    moved = Effect(
        metric="the primary's share of statement time", unit="ratio", samples=seen.reads, before=1.0, before_low=1.0,
        before_high=1.0, after=1 - mix.reads_ratio, after_low=1 - mix.reads_ratio, after_high=1 - mix.reads_ratio,
    )  # fmt: skip
    notes = (
        f"{keys:,} keys, all alike; the run's {mix.reads_per_s:,.0f} reads and {mix.writes_per_s:,.0f} writes a second,"
        f" {MOST_PER_S:,.0f} of each at most",
        "how much faster the service gets was not measured: copy and replica share this machine",
        "a read that must see its own user's write belongs on the primary",
    )
    price = Price(what="stale reads", unit="ratio", before=0.0, after=share)
    return proof(finding, remedy, grounds, state, text, effects=(stale, moved), prices=(price,), notes=notes)


@contextmanager
def _replica(clone: Clone, lag_s: float) -> Iterator[str]:
    """A streaming replica of the copy that is so far behind; ended and removed with the block."""
    if clone.programs is None or clone.room is None or clone.server is None:
        raise LabFailed("the copy has no programs", next_act="say --copy backup")
    account = process.unprivileged()
    data, log = clone.room / "replica", clone.room / "replica.log"
    keywords = {key: str(value) for key, value in conninfo.conninfo_to_dict(clone.url).items() if key != "dbname"}
    password = keywords.pop("password", "")
    # fmt: off
    process.run(
        [str(clone.programs / "pg_basebackup"), "-d", conninfo.make_conninfo("", **keywords), "-D", str(data),
         "-R", "-X", "stream", "-c", "fast", "--no-sync"],
        cwd=clone.room, log=log, doing="pg_basebackup", account=account,
        env={"LC_ALL": "C", "HOME": str(clone.room), "PGPASSWORD": password},
    )
    # fmt: on
    settings = {
        "config_file": str(data / "postgresql.conf"),
        "hba_file": str(data / "pg_hba.conf"),
        "autovacuum": "off",
        "unix_socket_directories": "",
        "recovery_min_apply_delay": f"{lag_s * 1e3:.0f}ms",
        "hot_standby": "on",
        **_as_large_as(clone.url),
    }  # fmt: skip
    server = postgres.start_unwatched(
        clone.programs, data, port=ports.choose(), password=password, log=log, account=account, settings=settings
    )
    try:
        if clone.life is not None:
            clone.life.process(server.identity)
        url = conninfo.make_conninfo(clone.url, port=server.port)
        postgres.wait_for(server, log, url)
        yield url
    finally:
        postgres.stop(server.identity)
        shutil.rmtree(data, ignore_errors=True)


def _as_large_as(url: str) -> dict[str, str]:
    """A standby refuses to start with less of these than its primary has."""
    names = ["max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions",
             "max_locks_per_transaction"]  # fmt: skip
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "/* headway */ SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY(%s)", (names,)
        )
        return {str(name): str(value) for name, value in rows}


def _probed(primary_url: str, replica_url: str, mix: Mix, keys: int, lag_s: float, lasts_s: float, seed: int) -> Seen:
    """Writes and reads at the run's rates; each read is held against what was committed before it was sent."""
    chance = random.Random(seed)  # noqa: S311 - keys, not secrets
    table = sql.Identifier(TABLE)
    tag = sql.SQL(SQL_TAG + " ")
    write = tag + sql.SQL("UPDATE {} SET version = version + 1 WHERE key = %s RETURNING version").format(table)
    read = tag + sql.SQL("SELECT version FROM {} WHERE key = %s").format(table)
    with psycopg.connect(primary_url, autocommit=True) as primary:
        primary.execute(tag + sql.SQL("CREATE TABLE {} (key int PRIMARY KEY, version bigint NOT NULL)").format(table))
        try:
            primary.execute(
                tag + sql.SQL("INSERT INTO {} SELECT n, 0 FROM generate_series(0, %s) n").format(table), (keys - 1,)
            )
            with psycopg.connect(replica_url, autocommit=True) as replica:
                _wait_for_table(replica, lag_s)
                return _loop(primary, replica, write, read, mix, keys, lag_s, lasts_s, chance)
        finally:
            primary.execute(tag + sql.SQL("DROP TABLE {}").format(table))


def _loop(
    primary: psycopg.Connection[tuple[object, ...]], replica: psycopg.Connection[tuple[object, ...]],
    write: sql.Composed, read: sql.Composed, mix: Mix, keys: int, lag_s: float, lasts_s: float, chance: random.Random,
) -> Seen:  # fmt: skip
    committed = [0] * keys
    reads = stale = 0
    began = time.monotonic()
    rates = [min(each, MOST_PER_S) for each in (mix.reads_per_s, mix.writes_per_s)]
    # Each at its own Poisson times; what is late is sent at once.
    due = [began + chance.expovariate(rate) if rate > 0 else float("inf") for rate in rates]
    while (at := min(due)) < began + lasts_s:
        time.sleep(max(0.0, at - time.monotonic()))
        place = due.index(at)
        due[place] = at + chance.expovariate(rates[place])
        key = chance.randrange(keys)
        if place == 1:
            row = primary.execute(write, (key,)).fetchone()
            committed[key] = int(str(row[0])) if row else committed[key]
            continue
        expected = committed[key]
        row = replica.execute(read, (key,)).fetchone()
        reads += 1
        stale += row is None or int(str(row[0])) < expected
    return Seen(reads=reads, stale=stale, lag_s=lag_s, seconds=time.monotonic() - began)


def _wait_for_table(replica: psycopg.Connection[tuple[object, ...]], lag_s: float) -> None:
    until = time.monotonic() + 20 + lag_s
    query = sql.SQL("/* headway */ SELECT count(*) FROM {}").format(sql.Identifier(TABLE))
    while time.monotonic() < until:
        try:
            row = replica.execute(query).fetchone()
            if row and row[0]:
                return
        except psycopg.errors.UndefinedTable:
            pass
        time.sleep(0.05)
    raise LabFailed("the replica does not follow the copy", next_act="prove again")
