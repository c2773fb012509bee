"""Two processes' caches over one Valkey, in any order of reads, writes, invalidations and lost channels."""

from __future__ import annotations

import itertools
import time

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from headway.runtime.cache import Policy, SyncCache

TAGS = {"a": ("odd",), "b": ("even", "odd")}
PLAIN = Policy(ttl_s=600, jitter_ratio=0, early_beta=0)
KEYS, SIDES = st.sampled_from(["a", "a", "b"]), st.sampled_from([0, 1])
HEARD_WITHIN_S = 5.0
"""The bound for a copy in another process: a message, or the flush after its channel was lost."""

number = itertools.count()


class Pair(RuleBasedStateMachine):
    """
    The reference: of each key the source's version, and the oldest that may still be read after what was forgotten.

    Who forgets or writes sees it at once, and so does who reads the remote level; a copy elsewhere goes within its
    bound. No process goes back to an older version than it has seen on the same level.
    """

    def __init__(self, sides: tuple[SyncCache, SyncCache], server: redis.Redis) -> None:
        super().__init__()
        self.sides, self.server = sides, server
        self.turn = next(number)
        self.version, self.least = dict.fromkeys(TAGS, 0), dict.fromkeys(TAGS, 0)
        self.seen: dict[tuple[int, str, bool], int] = {}
        self.told_by: dict[str, int | None] = dict.fromkeys(TAGS)

    def name(self, key: str) -> str:
        """Of this example alone."""
        return f"{self.turn}:{key}"

    def policy(self, key: str, *, local: bool = True) -> Policy:
        """With tags of this example alone."""
        return PLAIN.but(tags=tuple(map(self.name, TAGS[key])), local=local)

    @rule(key=KEYS)
    def change(self, key: str) -> None:
        """The source changes, and nobody is told."""
        self.version[key] += 1

    @rule(side=SIDES, key=KEYS, local=st.booleans())
    def read(self, side: int, key: str, local: bool) -> None:
        """Nothing older than what was forgotten, and nothing older than what this process has read already."""
        policy, end = self.policy(key, local=local), time.monotonic() + HEARD_WITHIN_S
        while True:
            value = self.sides[side].get_or_set(self.name(key), lambda: self.version[key], policy)
            assert self.seen.get((side, key, local), 0) <= value <= self.version[key]
            if value >= self.least[key]:
                break
            assert local, "the remote level itself has what was forgotten"
            assert self.told_by[key] != side, "who forgot it reads it again"
            assert time.monotonic() < end, "a copy has outlived its bound"
        self.seen[side, key, local] = value

    @rule(side=SIDES, key=KEYS)
    def write(self, side: int, key: str) -> None:
        """Written through."""
        self.version[key] += 1
        assert self.sides[side].set(self.name(key), self.version[key], self.policy(key))
        self._forgotten(side, [key])

    @rule(side=SIDES, key=KEYS, by_tag=st.booleans())
    def forget(self, side: int, key: str, by_tag: bool) -> None:
        """One key, or all with its first tag."""
        tag = TAGS[key][0]
        keys = [each for each, tags in TAGS.items() if tag in tags] if by_tag else [key]
        for each in keys:
            self.version[each] += 1
        cache = self.sides[side]
        assert cache.invalidate_tags(self.name(tag)) if by_tag else cache.invalidate(self.name(key))
        self._forgotten(side, keys)

    @rule()
    def cut(self) -> None:
        """Both processes lose their channel at once."""
        for each in self.server.client_list():
            if set(each["flags"]) & set("Pt"):
                self.server.client_kill_filter(_id=each["id"])

    def _forgotten(self, side: int, keys: list[str]) -> None:
        for each in keys:
            self.least[each], self.told_by[each] = self.version[each], side


@pytest.mark.parametrize("backplane", ["pubsub", "tracking"])
def test_nothing_forgotten_comes_back_in_either_of_two_processes(valkey_url: str, backplane: str) -> None:
    """Whatever the order, and by either way of hearing."""
    with (
        SyncCache(valkey_url, namespace="pair", backplane=backplane) as one,
        SyncCache(valkey_url, namespace="pair", backplane=backplane) as other,
        redis.Redis.from_url(valkey_url) as server,
    ):
        assert one.listening()
        assert other.listening()
        run_state_machine_as_test(
            lambda: Pair((one, other), server),  # type: ignore[arg-type]  # whatever makes one will do
            settings=settings(max_examples=20, stateful_step_count=30, deadline=None, database=None),
        )
        assert one.stats()["local_hits"] > 0
        assert other.stats()["remote_hits"] > 0
