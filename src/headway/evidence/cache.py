"""How the Redis-compatible cache was used in each phase: differences of INFO, and the time of a PING."""

from __future__ import annotations

import statistics
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from headway.conventions import CACHE_FILE
from headway.evidence import columns
from headway.evidence.cache_session import NotAllowed
from headway.evidence.collector import Collector, absent, failed, present
from headway.model import CacheUse, SourceState

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping
    from pathlib import Path

    from headway.evidence.cache_session import CacheSession
    from headway.model import Phase

COUNTED = ("keyspace_hits", "keyspace_misses", "evicted_keys", "expired_keys", "total_commands_processed")
OWN_CLIENTS = 1
"""Headway's connection for all its questions; MONITOR's is open for moments only."""

Info = dict[str, Any]
Reading = tuple[Info, "Counter[str]", int]
"""INFO, Headway's own commands before it, and the connections it had opened by then."""


class Cache(Collector):
    """INFO of one server; in a cluster, of the node that was named."""

    name = "cache"

    def __init__(self, session: CacheSession | None) -> None:
        super().__init__()
        self._session = session
        self._before: Reading | None = None
        self._begun_s = 0.0
        self._last: tuple[int, Info] = (0, {})
        self._restarted = False
        self._per_second: list[tuple[int, int, int]] = []
        self._pings_ns: list[int] | None = []
        self._clients = self._blocked = 0
        self._keys: list[int] = []
        self.uses: list[CacheUse] = []

    def check(self) -> SourceState:
        if self._session is None:
            return absent(self.name, "--cache-url")
        import redis

        try:
            info, _, _ = self._session.info()
        except NotAllowed as exc:
            return failed(self.name, "its user may not send INFO", str(exc))
        except (redis.RedisError, OSError) as exc:
            raise self._session.refusal(exc) from exc
        try:
            self._session.ping_ns()
        except NotAllowed as exc:  # asked now, so that the refusal is none of a phase's errors
            self._pings_ns = None
            self._say(f"no round trips, as its user may not send PING ({exc})")
        product = "valkey" if "valkey_version" in info else "redis"
        self.versions[product] = str(info[f"{product}_version"])
        where = " (one node of a cluster: nothing is said of the others)" if info.get("cluster_enabled") else ""
        return present(self.name, f"{product.capitalize()} {self.versions[product]}, {self._session.place}{where}")

    def begin(self, phase: Phase, at_s: float) -> None:
        if self._session is None:
            return
        self._before = self._session.info()
        self._begun_s, self._last = at_s, (0, self._before[0])
        self._restarted, self._per_second = False, []
        self._pings_ns = None if self._pings_ns is None else []
        self._clients = self._blocked = 0
        self._keys = []
        self._look(self._before[0])

    def sample(self, at_s: float) -> None:
        if self._before is None or self._session is None:
            return
        if self._pings_ns is not None:
            self._pings_ns.append(self._session.ping_ns())
        self._advance(int(at_s - self._begun_s))

    def end(self, phase: Phase, at_s: float) -> None:
        if self._before is None:
            return
        after = self._advance(int(at_s - self._begun_s))
        self.uses.append(self._use(phase.name, self._before, after, at_s - self._begun_s))
        self._before = None
        if self._restarted:
            self.lower_bound_phases.add(phase.name)
            self._say(f"restarted or reset during {phase.name}")

    def write(self, folder: Path) -> None:
        if self._session is not None:
            columns.write(folder / CACHE_FILE, CacheUse, self.uses)

    def close(self) -> None:
        if self._session is not None:
            self._session.close()

    def _use(self, phase: str, reading: Reading, after: Reading, lasted_s: float) -> CacheUse:
        (before, own_before, opened_before), (now, own, opened) = reading, after
        since: Mapping[str, Any] = {} if self._restarted else before
        sent = 0 if self._restarted else own.total() - own_before.total()

        def added(name: str) -> int:
            return int(now[name]) - int(since.get(name, 0))

        def maybe(name: str, mine: int = 0) -> int | None:
            return max(0, added(name) - mine) if name in now and not self._restarted else None

        pings = self._pings_ns or []
        return CacheUse(
            phase=phase,
            hits=added("keyspace_hits"),
            misses=added("keyspace_misses"),
            evicted=added("evicted_keys"),
            expired=added("expired_keys"),
            commands=max(added("total_commands_processed") - sent, 0),
            used_memory_bytes=int(now["used_memory"]),
            maxmemory_bytes=int(now["maxmemory"]),
            restarted=self._restarted,
            per_second=tuple(self._per_second),
            policy=now.get("maxmemory_policy"),
            fragmentation_ratio=_fragmentation(now),
            connections_opened=maybe("total_connections_received", opened - opened_before),
            connections_rejected=maybe("rejected_connections"),
            clients_peak=self._clients,
            blocked_peak=self._blocked,
            cpu_ratio=None if self._restarted else _cpu_ratio(before, now, lasted_s),
            lasted_s=lasted_s,
            keys_by_database=_keys(now),
            keys_mean=statistics.fmean(self._keys),
            errors=_errors(since, now),
            pings=len(pings),
            ping_p50_ns=float(statistics.median(pings)) if pings else None,
            ping_maximum_ns=float(max(pings)) if pings else None,
        )

    def _say(self, remark: str) -> None:
        self.remark = "; ".join(each for each in (self.remark, remark) if each)

    def _advance(self, second: int) -> Reading:
        """Read, see whether the counters began again, and credit what was added to the second it was added in."""
        if self._session is None:
            raise RuntimeError("asked without a cache")
        reading = self._session.info()
        (_, last), now = self._last, reading[0]
        self._look(now)
        again = began_again(last, now)
        self._restarted |= again
        hits, misses = (
            int(now[name]) - (0 if again else int(last[name])) for name in ("keyspace_hits", "keyspace_misses")
        )
        if self._per_second and self._per_second[-1][0] == second:
            _, more_hits, more_misses = self._per_second.pop()
            hits, misses = hits + more_hits, misses + more_misses
        self._per_second.append((second, hits, misses))
        self._last = (second, now)
        return reading

    def _look(self, info: Mapping[str, Any]) -> None:
        self._clients = max(self._clients, int(info.get("connected_clients", 0)) - OWN_CLIENTS)
        self._blocked = max(self._blocked, int(info.get("blocked_clients", 0)))
        self._keys.append(sum(_keys(info).values()))


def began_again(last: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the server was restarted, or CONFIG RESETSTAT was sent, between two readings of INFO."""
    return last["run_id"] != now["run_id"] or any(int(now[name]) < int(last[name]) for name in COUNTED)


def _keys(info: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(each["keys"]) for name, each in info.items() if _is_database(name, each)}


def _is_database(name: str, told: object) -> bool:
    return name.startswith("db") and name[2:].isdigit() and isinstance(told, dict) and "keys" in told


def _fragmentation(info: Mapping[str, Any]) -> float | None:
    with suppress(KeyError, ZeroDivisionError):
        return float(info["used_memory_rss"]) / float(info["used_memory"])
    return None


def _cpu_ratio(before: Mapping[str, Any], now: Mapping[str, Any], lasted_s: float) -> float | None:
    names = ("used_cpu_sys_main_thread", "used_cpu_user_main_thread")
    if lasted_s <= 0 or any(name not in each for name in names for each in (before, now)):
        return None
    return max(0.0, sum(float(now[name]) - float(before[name]) for name in names) / lasted_s)


def _errors(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, int]:
    """INFO errorstats: "errorstat_WRONGTYPE" -> {"count": 3}."""
    found = {}
    for name, told in now.items():
        if name.startswith("errorstat_") and isinstance(told, dict):
            added = int(told["count"]) - int(before.get(name, {"count": 0})["count"])
            if added > 0:
                found[name.removeprefix("errorstat_")] = added
    return found
