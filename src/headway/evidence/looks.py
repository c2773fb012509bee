"""Looks at a database's sessions, added up over one phase."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from headway.evidence import redact
from headway.evidence.tables import qualified
from headway.model import Blocking, Connections, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_GROUPS = 5_000
MOST_CLIENTS = 50
OTHERS = "(other clients)"


class Doing(NamedTuple):
    """What sessions of one group have in common."""

    client: str
    query_id: int | None
    state: str
    event_type: str | None
    event: str | None


class Held(NamedTuple):
    """What waits for one lock have in common."""

    waiting_id: int | None
    holding_id: int | None
    holding_state: str
    table: str | None
    lock: str
    mode: str


@dataclass(kw_only=True)
class Client:
    """One client's connections so far: sums and the most at once."""

    opened: int = 0
    open_most: int = 0
    busy: int = 0
    busy_most: int = 0
    spare_looks: int = 0


@dataclass(kw_only=True)
class Queue:
    """One lock's waiters so far."""

    seen: int = 0
    most: int = 0
    longest_s: float = 0.0


@dataclass(kw_only=True)
class Looks:
    """One phase. `sampled` and `blocked` take what the two statements of `sql/waits.sql` gave at one look."""

    phase: str
    count: int = 0
    lock_looks: int = 0
    seen: Counter[Doing] = field(default_factory=Counter)
    longest_s: dict[Doing, float] = field(default_factory=lambda: defaultdict(float))
    clients: dict[str, Client] = field(default_factory=lambda: defaultdict(Client))
    queues: dict[Held, Queue] = field(default_factory=lambda: defaultdict(Queue))
    texts: dict[int, str] = field(default_factory=dict)
    own_texts: dict[int, str] = field(default_factory=dict)  # of blockers, without constants: the server has no other

    def sampled(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Add one look; whether somebody waited for a lock."""
        self.count += 1
        opened: Counter[str] = Counter()
        busy: Counter[str] = Counter()
        for row in rows:
            client = str(row["client"])
            if client not in self.clients and len(self.clients) >= MOST_CLIENTS:
                client = OTHERS
            opened[client] += row["seen"]
            busy[client] += row["seen"] - row["spare"]
            if row["state"] not in {"idle", None}:
                self._add(client, row)
        for name, number in opened.items():
            one = self.clients[name]
            one.opened += number
            one.open_most = max(one.open_most, number)
            one.busy += busy[name]
            one.busy_most = max(one.busy_most, busy[name])
            one.spare_looks += number > busy[name]
        return any(row["wait_event_type"] == "Lock" for row in rows)

    def blocked(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add one look at the locks: each waiter under the session at the end of its chain."""
        self.lock_looks += 1
        sessions = {row["pid"]: row for row in rows}
        now: Counter[Held] = Counter()
        for row in rows:
            if row["holders"] is None:
                continue
            holder = sessions.get(end_of_chain(row["pid"], sessions))
            held = Held(
                waiting_id=row["query_id"], holding_id=holder["query_id"] if holder else None,
                holding_state=_state(holder), lock=row["locktype"], mode=row["mode"],
                table=qualified(row["schema"], row["name"]) if row["name"] else None,
            )  # fmt: skip
            now[held] += 1
            queue = self.queues[held]
            queue.longest_s = max(queue.longest_s, row["waited_s"] or 0.0)
            for each in (row, holder):
                if each and each["query_id"] and each["query_id"] not in self.own_texts:
                    self.own_texts[each["query_id"]] = redact.constants(each["query"] or "")
        for held, number in now.items():
            self.queues[held].seen += number
            self.queues[held].most = max(self.queues[held].most, number)

    def ids(self) -> list[int]:
        """Every statement seen."""
        found = {each.query_id for each in self.seen}
        found |= {each for held in self.queues for each in (held.waiting_id, held.holding_id)}
        return sorted(each for each in found if each is not None)

    def text(self, query_id: int | None) -> str:
        """A statement's normalised text; empty when nobody has it."""
        return "" if query_id is None else self.texts.get(query_id) or self.own_texts.get(query_id, "")

    def waits(self) -> list[Wait]:
        """What was seen, the most first."""
        return [
            Wait(
                phase=self.phase, client=each.client, statement_id=_id(each.query_id), text=self.text(each.query_id),
                state=each.state, event_type=each.event_type, event=each.event, seen=seen, looks=self.count,
                longest_ns=round(self.longest_s[each] * 1e9),
            )
            for each, seen in self.seen.most_common()
        ]  # fmt: skip

    def blockings(self) -> list[Blocking]:
        """Who kept whom waiting, the most first."""
        return [
            Blocking(
                phase=self.phase, waiting_id=_id(held.waiting_id), waiting_text=self.text(held.waiting_id),
                holding_id=_id(held.holding_id), holding_text=self.text(held.holding_id),
                holding_state=held.holding_state, table=held.table, lock=held.lock, mode=held.mode, seen=queue.seen,
                looks=self.lock_looks, most=queue.most, longest_ns=round(queue.longest_s * 1e9),
            )
            for held, queue in sorted(self.queues.items(), key=lambda each: -each[1].seen)
        ]  # fmt: skip

    def connections(self) -> list[Connections]:
        """Each client's connections."""
        return [
            Connections(
                phase=self.phase, client=name, looks=self.count, open_mean=one.opened / self.count,
                open_most=one.open_most, busy_mean=one.busy / self.count, busy_most=one.busy_most,
                spare_looks=one.spare_looks,
            )
            for name, one in self.clients.items()
        ]  # fmt: skip

    def _add(self, client: str, row: Mapping[str, Any]) -> None:
        each = Doing(client, row["query_id"], row["state"], row["wait_event_type"], row["wait_event"])
        if each not in self.seen and len(self.seen) >= MOST_GROUPS:
            each = each._replace(client=OTHERS, query_id=None)
        self.seen[each] += row["seen"]
        self.longest_s[each] = max(self.longest_s[each], row["longest_s"])


def end_of_chain(pid: int, sessions: Mapping[int, Mapping[str, Any]]) -> int:
    """
    The session that `pid` waits for in the end: the first that waits for none; in a ring, one of the ring.

    Args:
        pid: who waits.
        sessions: pid -> its row, with `holders`: the pids it waits for, None when it waits for none.
    """
    seen = {pid}
    while holders := (sessions.get(pid) or {}).get("holders"):
        nearer = [each for each in holders if each not in seen]
        if not nearer:
            break
        # Of several a holder comes before those that only stand before it in the queue.
        pid = next((each for each in nearer if not (sessions.get(each) or {}).get("holders")), nearer[0])
        seen.add(pid)
    return pid


def _state(holder: Mapping[str, Any] | None) -> str:
    if holder is None:  # pg_blocking_pids gives 0 for a prepared transaction; a session may also have just ended
        return "prepared transaction, or gone"
    return str(holder["state"] or holder["backend_type"] or "unknown")


def _id(query_id: int | None) -> str | None:
    return None if query_id is None else str(query_id)
