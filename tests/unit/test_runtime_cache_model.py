"""The cache beside a reference that is too simple to be wrong: any order of reads, writes, failures and time."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from headway.runtime.cache import Policy, SyncCache
from headway.runtime.cache.effects import Begin

KEYS = st.sampled_from(["a", "a", "b"])
TAGS = {"a": ("odd",), "b": ("even", "odd")}
THROTTLE_S = 1.0


class InPlace(SyncCache):
    """Refreshes run at once, in the caller's thread: what happens is decided by the test alone."""

    def _begin(self, effect: Begin) -> None:
        self._drive(effect.steps)


class Model(RuleBasedStateMachine):
    """
    The reference: of each key the source's versions and when each was loaded or written, and when all were forgotten.

    A version is the number of the source's change. What a read returns must have been the source's value within the
    bound that the policy gives, and never be older than an invalidation.
    """

    @initialize(
        ttl_s=st.sampled_from([5.0, 10.0]),
        stale_s=st.sampled_from([0.0, 7.0]),
        fail_safe_s=st.sampled_from([8.0, 0.0, 8.0]),
        jitter_ratio=st.sampled_from([0.0, 0.5]),
        beta=st.sampled_from([0.0, 1.0]),
    )
    def begin(self, ttl_s: float, stale_s: float, fail_safe_s: float, jitter_ratio: float, beta: float) -> None:
        """A cache with one policy, and a clock that only the test moves."""
        self.policy = Policy(
            ttl_s=ttl_s,
            stale_s=stale_s,
            fail_safe_s=fail_safe_s,
            jitter_ratio=jitter_ratio,
            early_beta=beta,
            throttle_s=THROTTLE_S,
        )
        self.cache = InPlace(None)
        self.now = 1000.0
        self.cache._core.now = lambda: self.now
        self.version = dict.fromkeys(TAGS, 0)
        self.taken: dict[tuple[str, int], float] = {}  # when a version last was what the source said, or was written
        self.least = dict.fromkeys(TAGS, 0)  # older versions have been invalidated
        self.failed_at = dict.fromkeys(TAGS, 0.0)
        self.fails = False
        self.asked = 0

    def source(self, key: str) -> Any:
        """The source of one key."""

        def load() -> int:
            self.asked += 1
            if self.fails:
                self.failed_at[key] = self.now
                raise ConnectionError
            self.now += 0.01
            self.version[key] += 1  # it has changed since, and nobody told
            self.taken[key, self.version[key]] = self.now
            return self.version[key]

        return load

    @rule(fails=st.booleans())
    def trouble(self, fails: bool) -> None:
        """The source goes down, or comes back."""
        self.fails = fails

    @rule(key=KEYS, seconds=st.sampled_from([0.0, 0.5, 3.0, 6.0, 11.0, 25.0]))
    def read(self, key: str, seconds: float) -> None:
        """After some time: a value within its bound; an error only when the source fails and nothing may stand in."""
        self.now += seconds
        began, asked = self.now, self.asked
        policy = self.policy.but(tags=TAGS[key])
        try:
            value = self.cache.get_or_set(key, self.source(key), policy)
        except ConnectionError:
            assert self.fails
            known = [at for (name, version), at in self.taken.items() if name == key and version >= self.least[key]]
            fresh_for = policy.ttl_s * (1 - policy.jitter_ratio)
            assert all(at + fresh_for <= began for at in known)
            return
        assert value >= self.least[key], "older than an invalidation"
        age_s = began - self.taken[key, value]
        covered = began - self.failed_at[key] < THROTTLE_S  # the source has just failed, and is left in peace
        limit_s = policy.ttl_s + (policy.grace_s if covered or self.failed_at[key] >= began else policy.stale_s)
        assert age_s < limit_s, f"{age_s} s old, past its bound of {limit_s} s"
        assert self.asked - asked <= 1, "asked more than once for one read"

    @rule(key=KEYS)
    def write(self, key: str) -> None:
        """Written through: from now on nothing older."""
        self.version[key] += 1
        self.taken[key, self.version[key]] = self.now
        self.least[key] = self.version[key]
        assert self.cache.set(key, self.version[key], self.policy.but(tags=TAGS[key]))

    @rule(key=KEYS, how=st.sampled_from(["key", "tag", "all"]))
    def forget(self, key: str, how: str) -> None:
        """Nothing older than the source's value of now: of this key, of all with its tag, of all."""
        if how == "key":
            self.cache.invalidate(key)
            keys = [key]
        elif how == "tag":
            self.cache.invalidate_tags(TAGS[key][0])
            keys = [each for each, tags in TAGS.items() if TAGS[key][0] in tags]
        else:
            self.cache.clear()
            keys = list(TAGS)
        for each in keys:
            # A value that did not change since is not "older": only a load after this moment may bring it again.
            self.version[each] += 1
            self.least[each] = self.version[each]

    @invariant()
    def nothing_is_left_on_its_way(self) -> None:
        """Every flight has landed and every lease is given back."""
        if hasattr(self, "cache"):
            assert not self.cache._core.flights
            assert not self.cache._core.leases


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
