"""Lock contention, pool size, replicas: made runs with a label each, and decoys on which the rules are silent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from headway.diagnose.rules import connection_per_request, lock_contention, pool_size, replica_opportunity
from headway.model import (
    Blocking,
    Column,
    Connections,
    Evidence,
    Finding,
    PoolUse,
    RemedyKind,
    ReplicaLag,
    Statement,
    Wait,
)
from made import report_run

PHASE = "ordinary"
LOOKS = 600
HOLDER = "UPDATE accounts SET balance = balance - $1 WHERE id = $2"


def run(*, middle_ms: float = 38.0, sessions: int = 10) -> Evidence:
    """The made run (200 req/s for 60 s on two cores) with a pool, no waits, and quiet processes."""
    whole = report_run.full(middle_ms=middle_ms, fails=False, slow_from=10**9)
    quiet = tuple(replace(each, sessions=sessions) for each in whole.databases)
    idle = tuple(replace(each, cpu_cores=0.3) for each in whole.processes)
    return replace(whole, waits=(), databases=quiet, processes=idle, statements=())


def wait(seen: int, *, kind: str | None = None, event: str | None = None, state: str = "active") -> Wait:
    """Sessions seen over all looks."""
    return Wait(
        phase=PHASE, client="shop", statement_id="7", text=HOLDER, state=state, event_type=kind, event=event, seen=seen,
        looks=LOOKS, longest_ns=400_000_000,
    )  # fmt: skip


def blocking(seen: int, *, state: str = "idle in transaction", text: str = HOLDER, lock: str = "transactionid",
             table: str | None = "accounts") -> Blocking:  # fmt: skip
    return Blocking(
        phase=PHASE, waiting_id="8", waiting_text="SELECT 1 FROM accounts FOR UPDATE", holding_id="7",
        holding_text=text, holding_state=state, table=table, lock=lock, mode="ShareLock", seen=seen, looks=LOOKS // 2,
        most=5, longest_ns=400_000_000,
    )  # fmt: skip


def client(open_most: int, *, busy_mean: float, busy_most: int, spare_looks: int, name: str = "shop") -> Connections:
    return Connections(
        phase=PHASE, client=name, looks=LOOKS, open_mean=float(open_most), open_most=open_most, busy_mean=busy_mean,
        busy_most=busy_most, spare_looks=spare_looks,
    )  # fmt: skip


def pool(*, waiting_looks: int, waited_ms: float, size: int = 4) -> PoolUse:
    return PoolUse(
        phase=PHASE, database="shop", user="app", mode="transaction", size=size, looks=60, clients_active_mean=4.0,
        clients_waiting_mean=6.0, clients_waiting_most=12, waiting_looks=waiting_looks, servers_active_mean=3.9,
        servers_idle_mean=0.1, servers_most=size, longest_wait_ns=90_000_000, transactions=10_000,
        waited_ns=round(waited_ms * 1e6 * 10_000),
    )  # fmt: skip


def statement(text: str, total_ms: float, calls: int = 10_000) -> Statement:
    return Statement(
        phase=PHASE, id=str(hash(text)), text=text, calls=calls, rows=calls, total_ns=total_ms * 1e6,
        mean_ns=total_ms * 1e6 / calls, stddev_ns=0, share_ratio=0.5, is_utility=text == "BEGIN",
    )  # fmt: skip


def reading(busy: float = 2.0, *more: Statement) -> Evidence:
    """Nine tenths of the database's time are reads, and so many sessions were at work."""
    texts = (statement("SELECT title FROM posts WHERE user_id = $1", 90_000),
             statement("UPDATE orders SET quantity = $1 WHERE id = $2", 10_000))  # fmt: skip
    waits = (wait(round(busy * LOOKS)),) if busy else ()
    return replace(run(), statements=(*texts, *more), waits=waits)


CONVOY = replace(run(), waits=(wait(900, kind="Lock", event="transactionid"), wait(300)), blockings=(blocking(450),))
POOL_OF_ONE = replace(
    run(middle_ms=80), waits=(wait(500),), connections=(client(1, busy_mean=1.0, busy_most=1, spare_looks=0),)
)
CROWDED = replace(
    run(), waits=(wait(7 * LOOKS), wait(2 * LOOKS, kind="LWLock", event="BufferMapping")),
    connections=(client(40, busy_mean=10, busy_most=30, spare_looks=300),),
)  # fmt: skip
MOSTLY_IDLE = replace(run(), connections=(client(80, busy_mean=1.0, busy_most=6, spare_looks=LOOKS),))
QUEUED = replace(run(), pools=(pool(waiting_looks=50, waited_ms=30),))

LABELLED: dict[str, tuple[Evidence, Callable[[Evidence], object], int]] = {
    "a convoy": (CONVOY, lock_contention.find, 1),
    "a wait now and then": (
        replace(run(), waits=(wait(12, kind="Lock"), wait(600)), blockings=(blocking(6),)), lock_contention.find, 0),
    "nine waiters in all": (
        replace(run(), waits=(wait(9, kind="Lock"),), blockings=(blocking(5),)), lock_contention.find, 0),
    "short locks are not locks": (
        replace(run(), waits=(wait(900, kind="LWLock"), wait(300))), lock_contention.find, 0),
    "nobody looked": (run(), lock_contention.find, 0),
    "a pool of one": (POOL_OF_ONE, pool_size.find, 1),
    "a pool of one that is often free": (
        replace(POOL_OF_ONE, connections=(client(1, busy_mean=0.8, busy_most=1, spare_looks=120),)), pool_size.find, 0),
    "a pool of one, few requests": (replace(POOL_OF_ONE, phases=run(middle_ms=4).phases), pool_size.find, 0),
    "a pool of one before a full database": (
        replace(POOL_OF_ONE, waits=(wait(2 * LOOKS),)), pool_size.find, 0),
    "a pool of one, held up by a lock": (
        replace(POOL_OF_ONE, waits=(wait(500, kind="Lock"),)), pool_size.find, 0),
    "a pool of one before a service at its core": (
        replace(POOL_OF_ONE, processes=tuple(
            replace(each, cpu_cores=0.98 if each.name == "app" else 0.1) for each in run().processes)),
        pool_size.find, 0),
    "no pool at all": (
        replace(POOL_OF_ONE, databases=run(sessions=11_900).databases), pool_size.find, 0),
    "more at work than cores": (CROWDED, pool_size.find, 1),
    "as many at work as cores": (
        replace(CROWDED, waits=(wait(2 * LOOKS),)), pool_size.find, 0),
    "many that wait for the disk": (
        replace(CROWDED, waits=(wait(9 * LOOKS, kind="IO", event="DataFileRead"),)), pool_size.find, 0),
    "most connections idle": (MOSTLY_IDLE, pool_size.find, 1),
    "a small pool, idle": (
        replace(run(), connections=(client(10, busy_mean=0, busy_most=0, spare_looks=LOOKS),)), pool_size.find, 0),
    "a queue at PgBouncer": (QUEUED, pool_size.find, 1),
    "PgBouncer with a client waiting now and then": (
        replace(run(), pools=(pool(waiting_looks=3, waited_ms=0.4),)), pool_size.find, 0),
    "PgBouncer that was started anew": (
        replace(run(), pools=(replace(pool(waiting_looks=50, waited_ms=30), waited_ns=None),)), pool_size.find, 0),
    "reads on a busy primary": (reading(), replica_opportunity.find, 1),
    "reads on an idle primary": (reading(0.3), replica_opportunity.find, 0),
    "reads that lock": (
        replace(reading(), statements=(statement("SELECT title FROM posts WHERE id = $1 FOR UPDATE", 90_000),)),
        replica_opportunity.find, 0),
    "reads that change a sequence": (
        replace(reading(), statements=(statement("SELECT nextval($1), title FROM posts", 90_000),)),
        replica_opportunity.find, 0),
    "reads that want an index first": (
        replace(reading(), columns=(
            Column(table="posts", name="user_id", type="bigint", not_null=True, null_ratio=0.0, distinct=20_000.0),
            Column(table="posts", name="title", type="text", not_null=True, null_ratio=0.0, distinct=-1.0),
        )), replica_opportunity.find, 0),
    "reads, and nobody looked": (replace(reading(), waits=()), replica_opportunity.find, 0),
    "writes": (
        reading(2.0, statement("INSERT INTO posts (title) VALUES ($1)", 90_000)), replica_opportunity.find, 0),
    "busy with waiting for locks": (
        replace(reading(), waits=(wait(2 * LOOKS, kind="Lock"),)), replica_opportunity.find, 0),
}  # fmt: skip


def found(name: str) -> list[Finding]:
    evidence, rule, _ = LABELLED[name]
    return list(rule(evidence))  # type: ignore[call-overload,no-any-return]  # a generator of findings


@pytest.mark.parametrize("name", LABELLED)
def test_each_labelled_run_has_the_findings_of_its_label(name: str) -> None:
    """One finding where there is something, none on the decoys that look like it."""
    assert len(found(name)) == LABELLED[name][2], found(name)


def test_a_convoy_names_holder_table_and_cost() -> None:
    """1.5 sessions waited over 60 s for 12,000 requests: 7.5 ms each; the holder's statement is the place."""
    (one,) = found("a convoy")
    assert one.location.statement == HOLDER
    assert one.location.table == "accounts"
    assert one.cost_ns == pytest.approx(7.5e6, rel=0.01)
    assert one.share_ratio == pytest.approx(0.75)
    assert "1.50 sessions on average waited for a row on accounts" in one.line
    assert "a transaction that was doing nothing" in one.line
    assert "idle_in_transaction_session_timeout" in one.remedies[0].act


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": "active"}, "just before COMMIT"),
        ({"state": "active", "lock": "relation"}, "lock_timeout"),
        ({"state": "active", "lock": "advisory", "table": None}, "advisory"),
        ({"state": "prepared transaction, or gone", "text": ""}, "just before COMMIT"),
    ],
)
def test_each_kind_of_lock_has_its_own_advice(change: dict[str, str], words: str) -> None:
    """A row, a table, an advisory lock; and a holder of whom nothing is known is said to be unknown."""
    (one,) = lock_contention.find(replace(CONVOY, blockings=(blocking(450, **change),)))
    assert words in one.remedies[0].act
    assert ("a statement not known" in one.line) == ("text" in change)


def test_two_holders_are_two_findings_and_a_rare_one_is_none() -> None:
    """The waiting is shared out by what was seen of each."""
    several = (blocking(300), blocking(140, text="DELETE FROM accounts"), blocking(10, text="SELECT 1"))
    both = list(lock_contention.find(replace(CONVOY, blockings=several)))
    assert [round(each.share_ratio / 0.75, 2) for each in both] == [0.67, 0.31]
    (unknown,) = lock_contention.find(replace(CONVOY, blockings=()))
    assert "was not caught" in unknown.line


def test_a_pools_remedy_has_what_the_sweep_needs() -> None:
    """The size it has, as many users as shared it, and a proposal where the rule has one."""
    for name, parameters in {
        "a pool of one": {"size": 1, "users": 20},
        "more at work than cores": {"size": 40, "users": 30, "proposed": 5},
        "a queue at PgBouncer": {"size": 4, "users": 16},
    }.items():
        (one,) = found(name)
        (remedy,) = one.remedies
        assert remedy.kind is RemedyKind.POOL
        assert {key: remedy.parameters[key] for key in parameters if key != "users"} == {
            key: value for key, value in parameters.items() if key != "users"
        }
        assert abs(remedy.parameters["users"] - parameters["users"]) <= 4
    (none,) = connection_per_request.find(run(sessions=11_900))
    assert none.remedies[0].parameters == {"size": 0, "users": 38}


def test_a_replica_that_is_there_is_said_with_its_lag() -> None:
    """The remedy's lag is the one that was measured; its keys are the rows of what is written."""
    lag = ReplicaLag(
        phase=PHASE, name="standby", state="streaming", sync="async", looks=60, write_lag_most_ns=1,
        flush_lag_most_ns=2, replay_lag_mean_ns=4e6, replay_lag_most_ns=37_000_000, replay_bytes_mean=10.0,
        replay_bytes_most=90,
    )  # fmt: skip
    begun = statement("BEGIN", 1.0, calls=500)
    (one,) = replica_opportunity.find(replace(reading(2.0, begun), replicas=(lag,)))
    assert "1 replica of it streams already" in one.line
    assert one.remedies[0].parameters == {"lag_ms": 37, "keys": 100, "tolerable_stale_ratio": 0.01}
    assert any("100% of that time asks tables that nothing wrote" in each for each in one.reasons_for)
    assert any(each.startswith("500 transactions were begun") for each in one.reasons_against)


def test_no_text_of_others_reaches_a_terminal() -> None:
    """Statements, tables, clients and pools with escapes in their names are said on one printable line."""
    nasty = report_run.NASTY.replace("\ud800", "")  # PostgreSQL has no lone surrogates
    runs = (
        replace(CONVOY, blockings=(blocking(450, text=nasty, table=nasty, lock=nasty, state=nasty),)),
        replace(POOL_OF_ONE, connections=(client(1, busy_mean=1.0, busy_most=1, spare_looks=0, name=nasty),)),
        replace(CROWDED, connections=(client(40, busy_mean=9, busy_most=30, spare_looks=0, name=nasty),)),
        replace(MOSTLY_IDLE, connections=(client(80, busy_mean=1, busy_most=1, spare_looks=LOOKS, name=nasty),)),
        replace(QUEUED, pools=(replace(pool(waiting_looks=50, waited_ms=30), database=nasty, user=nasty),)),
    )
    found = [each for run_ in runs for rule in (lock_contention, pool_size) for each in rule.find(run_)]
    assert len(found) == 5
    for each in found:
        said = (each.line, *each.reasons_for, *each.reasons_against, *(one.title for one in each.remedies))
        assert all(text.isprintable() for text in said)
