"""
Predicted hit rates beside those of a real Valkey and of libcachesim, on streams of known kinds.

    .venv/bin/python benchmarks/diagnosis/hit_rates.py [--quick] [--stream zipf] [--seed 1]

Streams: Zipf, uniform, Zipf with a scan of all keys through it, Zipf whose popular keys change. Each at three sizes and
three TTLs. libcachesim's LRU is exact: "LRU" should be the same to the last hit. Valkey's allkeys-lru is not LRU: it
takes the oldest of a few keys by a clock of seconds, which "as Valkey" follows (sampled_lru.py); the stream is replayed
faster than it was, and that clock is coarser by as much. The model was made from Valkey's source and looked at on seeds
11 and 12: the seed here, and the full form, were held out. Hoped for is an error below 0.02; what it is, is printed.
"sampled" is SHARDS with a quarter of the keys, against the whole stream.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

import libcachesim
import numpy as np
import redis

from headway.diagnose.hit_rates import che, curves, shards, simulate
from headway.diagnose.hit_rates.stream import KeyStream, made
from headway.prove.borrowed import own_valkey
from headway.prove.replaying import replay

LASTS_S = 20.0
EXPECTED = 0.02
VALUE_BYTES = 4_000
"""So large that what else the server counts to its memory is little beside the entries."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One stream at one limit. Hit rates in [0, 1]; None: not asked."""

    stream: str
    limit: str
    predicted: float
    as_valkey: float
    che: float | None
    sampled: float | None
    libcachesim: float | None
    valkey: float | None

    def errors(self) -> dict[str, float]:
        """How far the prediction is off, by whom it is held to."""
        found = {"libcachesim": (self.predicted, self.libcachesim), "valkey": (self.as_valkey, self.valkey)}
        return {name: abs(one - other) for name, (one, other) in found.items() if other is not None}


def streams(n: int, keys: int, seed: int = 1) -> dict[str, KeyStream]:
    """n reads of about so many keys in LASTS_S, of each kind."""
    rng = np.random.default_rng(seed)
    odds = np.arange(1, keys + 1) ** -0.9
    zipf = rng.choice(keys, size=n, p=odds / odds.sum())
    at_ns = np.sort(rng.integers(0, int(LASTS_S * 1e9), n))
    scanned = zipf.copy()
    begins = n // 2
    scanned[begins : begins + keys] = np.arange(keys)[: max(0, n - begins)]
    drift = (np.arange(n) * 5 // n) * (keys // 5)
    return {
        "zipf": made(zipf, at_ns),
        "uniform": made(rng.integers(0, keys, n), at_ns),
        "scan+zipf": made(scanned, at_ns),
        "shifting": made((zipf + drift) % keys, at_ns),
    }


def by_libcachesim(stream: KeyStream, entries: int) -> float:
    """The hit rate of libcachesim's LRU."""
    cache = libcachesim.LRU(cache_size=entries)
    hits = sum(
        cache.get(libcachesim.Request(obj_size=1, obj_id=key + 1, clock_time=number))
        for number, key in enumerate(stream.key.tolist())
    )
    return float(hits) / stream.reads


def by_valkey(
    client: redis.Redis, stream: KeyStream, entries: int, ttl_s: float, budget_s: float
) -> tuple[float, float]:
    """The hit rate of a real Valkey, asked at the stream's moments, and the one predicted of it."""
    found = replay(
        client, stream, ttl_s=ttl_s, entries=entries, value_bytes=VALUE_BYTES, forget_on_write=False, budget_s=budget_s
    )
    outcome = simulate.run(
        stream, capacity=entries, ttl_s=ttl_s, sampled_clock_s=found.speed if entries < stream.distinct else None,
        clock_began_s=found.clock_began_s,
    )  # fmt: skip
    return float(found.hits.sum() / found.reads.sum()), outcome.hit_ratio


def compared(chosen: dict[str, KeyStream], *, budget_s: float, valkey: redis.Redis, quick: bool = False) -> list[Row]:
    """Every stream by size, by TTL and by both."""
    rows = []
    for name, stream in chosen.items():
        whole = shards.fixed_rate(stream, 1.0)
        part = shards.fixed_size(stream, max(500, stream.distinct // 4))
        counts = np.bincount(stream.key).astype(np.float64)
        distinct = stream.distinct
        for entries in (distinct // 5,) if quick else (distinct // 20, distinct // 5, distinct // 2):
            seen, as_valkey = by_valkey(valkey, stream, entries, 3600.0, budget_s)
            rows.append(Row(
                stream=name, limit=f"{entries:,} entries", predicted=float(curves.lru(whole, [entries])[0]),
                che=float(che.lru(counts, [entries])[0]), sampled=float(curves.lru(part, [entries])[0]),
                libcachesim=by_libcachesim(stream, entries), valkey=seen, as_valkey=as_valkey,
            ))  # fmt: skip
        for ttl_s in (5.0,) if quick else (1.0, 5.0, 15.0):
            seen, as_valkey = by_valkey(valkey, stream, distinct, ttl_s, budget_s)
            rows.append(Row(
                stream=name, limit=f"TTL {ttl_s:.0f} s", predicted=float(curves.ttl(whole, [ttl_s])[0]),
                che=float(che.ttl(counts, stream.lasts_s, [ttl_s])[0]), sampled=float(curves.ttl(part, [ttl_s])[0]),
                libcachesim=None, valkey=seen, as_valkey=as_valkey,
            ))  # fmt: skip
        entries, ttl_s = distinct // 5, 5.0
        seen, as_valkey = by_valkey(valkey, stream, entries, ttl_s, budget_s)
        rows.append(Row(
            stream=name, limit=f"{entries:,} entries, TTL {ttl_s:.0f} s", che=None, sampled=None, libcachesim=None,
            predicted=simulate.run(stream, capacity=entries, ttl_s=ttl_s).hit_ratio, valkey=seen, as_valkey=as_valkey,
        ))  # fmt: skip
    return rows


def main() -> int:
    """Print the table; 1 when an error is larger than expected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer reads, one size and one TTL")
    parser.add_argument("--stream", choices=list(streams(10, 10)), help="this one alone")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    n, keys, budget_s = (30_000, 4_000, 4.0) if given.quick else (200_000, 20_000, 14.0)
    began = time.monotonic()
    with own_valkey() as url, redis.Redis.from_url(url, socket_timeout=20) as client:
        version = dict(client.info("server"))["valkey_version"]
        chosen = streams(n, keys, given.seed)
        if given.stream:
            chosen = {given.stream: chosen[given.stream]}
        rows = compared(chosen, budget_s=budget_s, valkey=client, quick=given.quick)
    print(f"{n:,} reads, {keys:,} keys; Valkey {version} (allkeys-lru), libcachesim {libcachesim.__version__} (LRU)\n")
    heads = ("Valkey", "LRU", "libcachesim", "sampled", "Che")
    print(f"{'stream':<10} {'limit':<24} {'as Valkey':>9}", *(f"{each:>{max(8, len(each))}}" for each in heads))
    for row in rows:
        told = (row.valkey, row.predicted, row.libcachesim, row.sampled, row.che)
        cells = ["-" if each is None or np.isnan(each) else f"{each:.4f}" for each in told]
        print(f"{row.stream:<10} {row.limit:<24} {row.as_valkey:>9.4f}", *(f"{each:>{width}}" for each, width in zip(
            cells, (8, 8, 11, 8, 8), strict=True
        )))  # fmt: skip
    failed = False
    for name in ("libcachesim", "valkey"):
        errors = [row.errors()[name] for row in rows if name in row.errors()]
        failed |= max(errors) >= EXPECTED
        within = sum(each < EXPECTED for each in errors)
        print(
            f"\nerror against {name}: {max(errors):.4f} at most, {np.mean(errors):.4f} on average;"
            f" {within} of {len(errors)} below {EXPECTED}"
        )
    both = [(row.predicted, row.sampled) for row in rows if row.sampled is not None and not np.isnan(row.sampled)]
    print(f"\nerror of the sample against the whole: {max(abs(a - b) for a, b in both):.4f} at most")
    print(f"took {time.monotonic() - began:.0f} s")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
