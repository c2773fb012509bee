"""Hit rates predicted from a stream of keys, held to a cache simulated one access after another, and to libcachesim."""

from __future__ import annotations

from collections import OrderedDict

import libcachesim
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.diagnose.hit_rates import che, curves, distances, shards, simulate, stale
from headway.diagnose.hit_rates.stream import KeyStream, made

ACCESSES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5), st.booleans()), max_size=120)
"""(key, seconds since the access before, whether it is a write)"""


def stream_of(accesses: list[tuple[int, int, bool]], *, sizes: bool = False) -> KeyStream:
    """A stream; with sizes key k has a value of k + 1 bytes."""
    keys = np.array([key for key, _, _ in accesses], dtype=np.int64)
    at_ns = np.cumsum([gap for _, gap, _ in accesses], dtype=np.int64) * 10**9
    write = np.array([each for _, _, each in accesses], dtype=np.bool_)
    return made(keys, at_ns, write=write, size_bytes=keys + 1 if sizes else None)


def zipf(n: int, keys: int, exponent: float, seed: int = 1, per_s: float = 1000.0) -> KeyStream:
    """n reads of a Zipf stream, evenly in time."""
    rng = np.random.default_rng(seed)
    odds = np.arange(1, keys + 1) ** -exponent
    drawn = rng.choice(keys, size=n, p=odds / odds.sum())
    return made(drawn, (np.arange(n) / per_s * 1e9).astype(np.int64))


def brute_lru(stream: KeyStream, capacity: int, own: list[int]) -> float:
    """Share of the reads that an LRU cache hits, by doing it."""
    kept: OrderedDict[int, int] = OrderedDict()
    hits = 0
    keys = stream.read_only().key.tolist()
    for key in keys:
        if key in kept:
            hits += 1
            kept.move_to_end(key)
            continue
        while sum(kept.values()) + own[key] > capacity:
            kept.popitem(last=False)
        kept[key] = own[key]
    return hits / len(keys)


@given(ACCESSES)
def test_stack_distance_is_the_number_of_other_keys_since(accesses: list[tuple[int, int, bool]]) -> None:
    """A distance is the number of different keys used since the key's last use; never used before has none."""
    keys = stream_of(accesses).key
    for at, found in enumerate(distances.stack_distances(keys).tolist()):
        earlier = [j for j in range(at) if keys[j] == keys[at]]
        assert found == (len(set(keys[earlier[-1] + 1 : at].tolist())) if earlier else distances.NEVER)


@given(ACCESSES, st.integers(1, 14))
def test_the_curve_by_entries_is_what_an_lru_cache_does(accesses: list[tuple[int, int, bool]], size: int) -> None:
    """The curve at a size is the hit rate of an LRU cache of that many entries, to the last hit."""
    stream = stream_of(accesses)
    if stream.reads:
        found = curves.lru(shards.fixed_rate(stream, 1.0), [size])[0]
        assert found == pytest.approx(brute_lru(stream, size, [1] * stream.distinct))


@given(ACCESSES, st.integers(13, 100))
def test_the_curve_by_bytes_is_what_an_lru_cache_does(accesses: list[tuple[int, int, bool]], size: int) -> None:
    """The same in bytes, for values of different sizes none of which is larger than the cache."""
    stream = stream_of(accesses, sizes=True)
    if stream.reads and stream.size_bytes is not None:
        found = curves.lru(shards.fixed_rate(stream, 1.0), [size], in_bytes=True)[0]
        assert found == pytest.approx(brute_lru(stream, size, stream.size_bytes.tolist()))
        assert simulate.run(stream, capacity=size, in_bytes=True).hit_ratio == pytest.approx(found)


@given(ACCESSES, st.integers(1, 30))
def test_the_curve_by_ttl_is_what_a_cache_does(accesses: list[tuple[int, int, bool]], ttl_s: int) -> None:
    """The curve at a TTL, and its stale share, are those of a cache with room for all whose entries expire."""
    stream = stream_of(accesses)
    if not stream.reads:
        return
    filled: dict[int, int] = {}
    dirty: set[int] = set()
    hits = old = 0
    for key, at_ns, write in zip(stream.key.tolist(), stream.at_ns.tolist(), stream.write.tolist(), strict=True):
        if write:
            dirty.add(key)
        elif key in filled and at_ns - filled[key] < ttl_s * 10**9:
            hits += 1
            old += key in dirty
        else:
            filled[key] = at_ns
            dirty.discard(key)
    sample = shards.fixed_rate(stream, 1.0)
    assert curves.ttl(sample, [ttl_s])[0] == pytest.approx(hits / stream.reads)
    simulated = simulate.run(stream, ttl_s=ttl_s)
    assert (simulated.hits, simulated.stale) == (hits, old)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 5), st.booleans()), max_size=80), st.integers(1, 20))
def test_stale_reads_are_hits_written_since(accesses: list[tuple[int, int, bool]], ttl_s: int) -> None:
    """The stale share of the whole stream at once is that of the access-by-access simulation."""
    stream = stream_of(accesses)
    simulated = simulate.run(stream, ttl_s=ttl_s)
    assert stale.of_keys(stream, ttl_s) == pytest.approx(simulated.stale_ratio)
    assert simulate.run(stream, ttl_s=ttl_s, forget_on_write=True).stale == 0


@given(ACCESSES, st.integers(1, 13), st.integers(1, 20), st.booleans())
def test_size_and_ttl_together_are_bounded_by_each_alone(
    accesses: list[tuple[int, int, bool]], size: int, ttl_s: int, lazy: bool
) -> None:
    """A cache with both limits hits no more than one with either; with room for all it is the TTL's curve."""
    stream = stream_of(accesses).read_only()
    if not stream.reads:
        return
    sample = shards.fixed_rate(stream, 1.0)
    both = simulate.run(stream, capacity=size, ttl_s=ttl_s, lazy=lazy).hit_ratio
    assert both <= curves.ttl(sample, [ttl_s])[0] + 1e-9
    if lazy:
        assert both <= curves.lru(sample, [size])[0] + 1e-9
    assert simulate.run(stream, capacity=100, ttl_s=ttl_s, lazy=lazy).hit_ratio == pytest.approx(
        curves.ttl(sample, [ttl_s])[0]
    )


@pytest.mark.parametrize("size", [1, 10, 100, 900])
def test_libcachesim_agrees_on_lru(size: int) -> None:
    """libcachesim's LRU, another's code, has the same hits on a stream of 20,000 reads."""
    stream = zipf(20_000, 1_000, 0.9)
    cache = libcachesim.LRU(cache_size=size)
    hits = 0
    for number, key in enumerate(stream.key.tolist()):
        hits += cache.get(libcachesim.Request(obj_size=1, obj_id=key + 1, clock_time=number))
    assert curves.lru(shards.fixed_rate(stream, 1.0), [size])[0] == pytest.approx(hits / stream.reads)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_sample_of_the_keys_says_nearly_the_same(seed: int) -> None:
    """SHARDS with 4,000 of 70,000 keys is within 0.02 of the whole, and says nothing of sizes too small for it."""
    stream = zipf(300_000, 100_000, 0.8)
    sizes = [1_000, 2_000, 5_000, 20_000, 50_000]
    whole = curves.lru(shards.fixed_rate(stream, 1.0), sizes)
    sample = shards.fixed_size(stream, 4_000, seed=seed)
    assert len(np.unique(sample.stream.key)) <= 4_000
    assert np.abs(curves.lru(sample, sizes) - whole).max() < 0.02
    assert np.isnan(curves.lru(sample, [100])).all()
    rated = shards.fixed_rate(stream, sample.rate_ratio, seed=seed)
    assert np.array_equal(rated.stream.key, sample.stream.key)


def test_che_agrees_where_requests_are_independent() -> None:
    """On independent Zipf reads the approximation is within 0.02 of the truth by size and by TTL."""
    stream = zipf(200_000, 5_000, 0.9)
    counts = np.bincount(stream.key, minlength=stream.distinct).astype(np.float64)
    sample = shards.fixed_rate(stream, 1.0)
    sizes, ttls = [50, 500, 2_000], [1.0, 10.0, 60.0]
    assert np.abs(che.lru(counts, sizes) - curves.lru(sample, sizes)).max() < 0.02
    assert np.abs(che.ttl(counts, stream.lasts_s, ttls) - curves.ttl(sample, ttls)).max() < 0.02


def test_che_disagrees_where_something_reads_all_keys_in_turn() -> None:
    """A cyclic scan is hit never by an LRU smaller than it; popularities alone can't know: the two differ."""
    keys = np.tile(np.arange(1_000), 50)
    stream = made(keys, np.arange(len(keys), dtype=np.int64))
    counts = np.bincount(keys).astype(np.float64)
    assert curves.lru(shards.fixed_rate(stream, 1.0), [900])[0] == 0
    assert che.lru(counts, [900])[0] > 0.8


def test_writes_known_only_by_their_rate_bound_the_truth() -> None:
    """With writes at random in proportion to the reads the stale share is that of the writes themselves, within 10%."""
    rng = np.random.default_rng(3)
    reads, writes = zipf(60_000, 300, 0.9, per_s=1_000), zipf(3_000, 300, 0.9, seed=2, per_s=50)
    both = made(
        np.concatenate([reads.key, writes.key]),
        np.concatenate([reads.at_ns, np.sort(rng.integers(0, 60 * 10**9, 3_000))]),
        write=np.concatenate([np.zeros(60_000, dtype=np.bool_), np.ones(3_000, dtype=np.bool_)]),
    )
    truth = stale.of_keys(both, 10.0)
    assert stale.of_rate(both, 10.0, 50.0, spread=True) == pytest.approx(truth, rel=0.1)
    assert stale.of_rate(both, 10.0, 50.0, spread=False) > truth


def test_nothing_is_said_of_nothing() -> None:
    """An empty stream has no hit rate, which is not 0."""
    stream = stream_of([])
    sample = curves.sampled(stream)
    assert np.isnan(curves.lru(sample, [1.0])).all()
    assert np.isnan(curves.ttl(sample, [1.0])).all()
    assert stale.of_keys(stream, 1.0) == 0


def test_arguments_that_mean_nothing_are_refused() -> None:
    """A TTL of 0, a rate of 0, unknown sizes: each is one ValueError."""
    stream = zipf(10, 5, 1.0)
    for wrong in (
        lambda: curves.fills(stream, 0),
        lambda: shards.fixed_rate(stream, 0.0),
        lambda: shards.fixed_size(stream, 0),
        lambda: curves.lru(shards.fixed_rate(stream, 1.0), [1.0], in_bytes=True),
        lambda: simulate.run(stream, capacity=1, in_bytes=True),
        lambda: made(np.zeros(2, dtype=np.int64), np.zeros(1, dtype=np.int64)),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            wrong()


@given(ACCESSES, st.integers(1, 14))
def test_eviction_by_chance_holds_no_more_than_it_may(accesses: list[tuple[int, int, bool]], size: int) -> None:
    """Valkey's eviction keeps within the size, and with room for all hits as LRU does."""
    stream = stream_of(accesses)
    found = simulate.run(stream, capacity=size, sampled_clock_s=1.0)
    assert found.entries_peak <= size
    if size >= stream.distinct:
        assert found.hits == simulate.run(stream, capacity=size).hits


def test_eviction_by_chance_is_near_lru_where_the_cache_turns_over_slowly() -> None:
    """With keys that live for many of the clock's ticks five samples are nearly LRU; within one tick they are not."""
    stream = zipf(40_000, 2_000, 0.9, per_s=100.0)
    exact = simulate.run(stream, capacity=400).hit_ratio
    assert simulate.run(stream, capacity=400, sampled_clock_s=0.1).hit_ratio == pytest.approx(exact, abs=0.02)
    assert simulate.run(stream, capacity=400, sampled_clock_s=1000.0).hit_ratio < exact - 0.02
