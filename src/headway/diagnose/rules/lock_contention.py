"""
Sessions wait for locks that others hold: for a row, a table, an advisory lock; and who holds them up.

For: whoever waits does no work, and the queue grows with the load, so shortening what is done under the lock moves more
than making a statement fast. Against: a lock that guards something true (stock, a balance) has to be held by somebody;
without it the numbers are wrong, not slow. A standby that waits for an advisory lock to become the leader waits on
purpose, and holds nobody up.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from headway.diagnose import sessions
from headway.diagnose.windows import answered
from headway.diagnose.words import fingerprint, one_line
from headway.model import Confidence, Finding, Location, Remedy, RemedyKind, Subject
from headway.promises.spoken import duration_text
from headway.thresholds.rules import LOCK_HOLDER_MIN_RATIO, LOCK_MIN_SEEN, LOCK_MIN_SHARE_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headway.model import Blocking, Evidence, PhaseHits

RULE = "lock-contention"
COSTS = (Subject.LATENCY, Subject.THROUGHPUT, Subject.ERROR_RATE, Subject.AVAILABILITY)
IDLE = "idle in transaction"


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding a holder and table, for each phase in which waiting for locks was a share of the sessions' time."""
    for hits in evidence.phases:
        rows = sessions.active(evidence, hits.phase.name)
        blockings = [each for each in evidence.blockings if each.phase == hits.phase.name]
        standing_by = sum(each.seen / each.looks for each in blockings if _stands_by(each, hits))
        locked = sessions.locked(rows)
        waiting = max(0.0, locked - standing_by)
        whole = sum(each.sessions for each in rows) - (locked - waiting)
        seen = sum(each.seen for each in rows if each.event_type == "Lock") * (waiting / locked if locked else 0.0)
        if seen < LOCK_MIN_SEEN or waiting < LOCK_MIN_SHARE_RATIO * whole:
            continue
        blockings = [each for each in blockings if not _stands_by(each, hits)]
        caught = sum(each.seen for each in blockings)
        groups: dict[tuple[str, str | None], list[Blocking]] = defaultdict(list)
        for each in blockings:
            groups[each.holding_text or each.holding_state, each.table].append(each)
        named = [group for group in groups.values() if _seen(group) >= LOCK_HOLDER_MIN_RATIO * caught]
        for group in named or [[]]:
            part = _seen(group) / caught if group else 1.0
            yield _finding(evidence, hits, group, waiting * part, whole)


def _stands_by(waiting: Blocking, hits: PhaseHits) -> bool:
    """Whether the same sessions waited for an advisory lock at every look, and since before the phase."""
    steady = waiting.seen >= waiting.most * waiting.looks
    return waiting.lock == "advisory" and steady and waiting.longest_ns >= hits.seconds * 1e9


def _finding(evidence: Evidence, hits: PhaseHits, group: Sequence[Blocking], waiting: float, whole: float) -> Finding:
    requests, service_ns = answered(hits), sessions.mean_service_ns(hits)
    cost_ns = waiting * hits.seconds * 1e9 / requests if requests else None
    main = max(group, key=lambda each: each.seen) if group else None
    share = min(1.0, waiting / whole)
    return Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=_line(main, group, waiting),
        explains=COSTS,
        share_ratio=share,
        share_of="database time",
        weight_ratio=min(1.0, cost_ns / service_ns) if cost_ns is not None and service_ns else share,
        fingerprint=fingerprint(RULE, main.holding_text or main.holding_state, main.table or "") if main
        else fingerprint(RULE),
        location=Location(
            statement_id=main.holding_id, statement=main.holding_text or None, table=main.table
        ) if main else Location(),
        confidence=Confidence.CERTAIN if main and main.holding_text else Confidence.LIKELY,
        cost_ns=cost_ns,
        reasons_for=_reasons(evidence, hits, group, waiting),
        reasons_against=(
            "the holder's statement is the one it ran last: another of the same transaction may have taken the lock",
            "what must be counted right needs the lock; only the time it is held is there to be won",
        ),
        remedies=(_remedy(main),) if main else (),
    )  # fmt: skip


def _line(main: Blocking | None, group: Sequence[Blocking], waiting: float) -> str:
    if main is None:
        return f"{waiting:.2f} sessions on average waited for a lock; who held it was not caught"
    longest = max(each.longest_ns for each in group)
    held = {
        IDLE: "a transaction that was doing nothing, after",
        "active": "a transaction that was running",
    }.get(main.holding_state, f"a session ({one_line(main.holding_state, 40)}) that last ran")
    where = f" on {one_line(main.table, 60)}" if main.table else ""
    what = _what(main)
    return (
        f"{waiting:.2f} sessions on average waited for {what}{where}, up to {max(each.most for each in group)} at once"
        f" and {duration_text(longest)} long, held by {held}: {one_line(main.holding_text) or 'a statement not known'}"
    )


def _what(main: Blocking) -> str:
    if main.lock in {"transactionid", "tuple"}:
        return "a row"
    return {"relation": f"the whole table ({one_line(main.mode, 40)})", "advisory": "an advisory lock"}.get(
        main.lock, f"a lock ({one_line(main.lock, 30)})"
    )


def _reasons(evidence: Evidence, hits: PhaseHits, group: Sequence[Blocking], waiting: float) -> tuple[str, ...]:
    waiters = list(dict.fromkeys(each.waiting_text for each in group if each.waiting_text))
    idle = sum(
        each.sessions for each in evidence.waits if each.phase == hits.phase.name and each.state.startswith(IDLE)
    )
    looks = sessions.looks(evidence, hits.phase.name)
    return (
        f"seen in {looks:,} looks over {hits.seconds} s: {waiting * hits.seconds:.1f} s of waiting",
        *(f"waits: {one_line(each)}" for each in waiters[:2]),
        *((f"{idle:.2f} sessions on average sat in a transaction and did nothing",) if idle >= 0.05 else ()),
    )


def _remedy(main: Blocking) -> Remedy:
    if main.holding_state.startswith(IDLE):
        title = "end the transaction before anything else is waited for"
        act = (
            "between BEGIN and COMMIT do nothing but statements: call other services, render and sleep before or after;"
            " SET idle_in_transaction_session_timeout ends those that forget"
        )
    elif main.lock == "relation":
        title = "change tables without stopping those who use them"
        act = (
            "SET lock_timeout = '1s' before the ALTER or LOCK and try again when it gives up; CREATE INDEX"
            " CONCURRENTLY; ADD CONSTRAINT ... NOT VALID, then VALIDATE"
        )
    elif main.lock == "advisory":
        title = "hold the advisory lock for less, or for fewer"
        act = "take it by a key of what is changed, not one for all; pg_try_advisory_xact_lock where skipping will do"
    else:
        title = "touch the contended row last, and for as short as can be"
        act = (
            "order the statements so that the shared row's UPDATE comes just before COMMIT; insert rows and add them up"
            " later instead of counting in one; SELECT ... FOR UPDATE SKIP LOCKED where any free row will do"
        )
    return Remedy(kind=RemedyKind.CODE, title=title, act=act)


def _seen(group: Sequence[Blocking]) -> int:
    return sum(each.seen for each in group)
