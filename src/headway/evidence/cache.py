"""How the Redis-compatible cache was used in each phase: differences of INFO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.conventions import CACHE_FILE
from headway.errors import SourceRefused
from headway.evidence import columns, redact
from headway.evidence.collector import Collector, absent, failed, in_words, present
from headway.model import CacheUse, SourceState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import redis

    from headway.model import Phase

TIMEOUT_S = 3.0
COUNTED = ("keyspace_hits", "keyspace_misses", "evicted_keys", "expired_keys", "total_commands_processed")

Info = dict[str, Any]


class Cache(Collector):
    """INFO of one server; in a cluster, of the node that was named."""

    name = "cache"

    def __init__(self, url: str | None) -> None:
        super().__init__()
        self._url = url
        self._client: redis.Redis | None = None
        self._own = 0  # INFO commands sent: they count themselves
        self._before: Info | None = None
        self._begun_s = 0.0
        self._last: tuple[int, Info] = (0, {})
        self._restarted = False
        self._per_second: list[tuple[int, int, int]] = []
        self.uses: list[CacheUse] = []

    def check(self) -> SourceState:
        if self._url is None:
            return absent(self.name, "--cache-url")
        import redis  # 20 MiB that a run without a cache need not have

        place = redact.url(self._url)
        try:
            self._client = redis.Redis.from_url(
                self._url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, client_name="headway"
            )
            info = self._info()
        except redis.exceptions.NoPermissionError as exc:
            return failed(self.name, in_words(exc), "allow it: ACL SETUSER <user> +info")
        except (redis.exceptions.AuthenticationError, redis.exceptions.AuthorizationError) as exc:
            raise SourceRefused(f"the cache {place} refuses: {in_words(exc)}", next_act="check its password") from exc
        except (redis.RedisError, ValueError, OSError) as exc:
            cure = "start it, or write redis://[user:password@]host:port/0"
            raise SourceRefused(f"the cache {place} doesn't answer: {in_words(exc)}", next_act=cure) from exc
        product = "valkey" if "valkey_version" in info else "redis"
        self.versions[product] = str(info[f"{product}_version"])
        return present(self.name, f"{product.capitalize()} {self.versions[product]}, {place}")

    def begin(self, phase: Phase, at_s: float) -> None:
        if self._client is None:
            return
        self._before = self._info()
        self._begun_s, self._last, self._own = at_s, (0, self._before), 0
        self._restarted, self._per_second = False, []

    def sample(self, at_s: float) -> None:
        if self._before is not None:
            self._advance(int(at_s - self._begun_s))

    def end(self, phase: Phase, at_s: float) -> None:
        before = self._before
        if before is None:
            return
        after = self._advance(int(at_s - self._begun_s))
        self._before = None
        added = {name: int(after[name]) - (0 if self._restarted else int(before[name])) for name in COUNTED}
        own = 0 if self._restarted else self._own
        self.uses.append(
            CacheUse(
                phase=phase.name,
                hits=added["keyspace_hits"],
                misses=added["keyspace_misses"],
                evicted=added["evicted_keys"],
                expired=added["expired_keys"],
                commands=max(added["total_commands_processed"] - own, 0),
                used_memory_bytes=int(after["used_memory"]),
                maxmemory_bytes=int(after["maxmemory"]),
                restarted=self._restarted,
                per_second=tuple(self._per_second),
            )
        )
        if self._restarted:
            self.lower_bound_phases.add(phase.name)
            self.remark = f"restarted or reset during {', '.join(sorted(self.lower_bound_phases))}"

    def write(self, folder: Path) -> None:
        if self._url is not None:
            columns.write(folder / CACHE_FILE, CacheUse, self.uses)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _advance(self, second: int) -> Info:
        """Read, see whether the counters began again, and credit what was added to the second it was added in."""
        (_, last), now = self._last, self._info()
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
        return now

    def _info(self) -> Info:
        if self._client is None:
            raise RuntimeError("asked without a cache")
        self._own += 1
        return dict(self._client.info())


def began_again(last: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the server was restarted, or CONFIG RESETSTAT was sent, between two readings of INFO."""
    return last["run_id"] != now["run_id"] or any(int(now[name]) < int(last[name]) for name in COUNTED)
