"""How long a value is good, what may be served instead, and who may load it: one frozen value a call or a cache."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

LONGEST_S = 30 * 86_400.0
"""No entry is kept longer than this, stale time included: a tag's barrier lives as long, and outlives every entry."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """
    What a cache promises about one kind of value.

    Args:
        ttl_s: a value is fresh for so long, counted from its storing.
        jitter_ratio: each ttl is shortened by a random share up to this, so that entries stored together don't
            expire together. Never lengthened.
        sliding: each read begins ttl_s anew, up to max_age_s.
        max_age_s: a sliding entry's whole life; needed when `sliding`.
        stale_s: for so long after its expiry a value is still served while one caller refreshes it behind the scenes.
        fail_safe_s: for so long after its expiry a value is served when the source fails, or is slower than
            soft_timeout_s. It is not served while the source is well.
        throttle_s: after a failure that was covered so, the source is not asked again for so long.
        soft_timeout_s: wait for the source no longer than this when there is something stale to serve.
        hard_timeout_s: wait no longer than this in any case; then SourceTimeout.
        absent_ttl_s: the ttl of None ("there is no such thing"). None: as ttl_s; 0: None is not kept.
        early_beta: XFetch: refresh before expiry, the earlier the longer the source takes. 0: not.
            Source: Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015.
        lease_wait_s: wait for another process's load no longer than this, then load as well.
        tags: what `invalidate_tags` may name.
        local: keep a copy in this process. local_ttl_s: look at the remote level again after so long.
        kind: the type that stored bytes are decoded into: a msgspec.Struct, a dataclass, list[int] ... Any: plain data.
        compress_over_bytes: encoded values larger than this are compressed (zlib); None: never.

    Raises:
        ValueError: a time is negative, or the parts contradict each other.
    """

    ttl_s: float = 60.0
    jitter_ratio: float = 0.1
    sliding: bool = False
    max_age_s: float | None = None
    stale_s: float = 0.0
    fail_safe_s: float = 0.0
    throttle_s: float = 1.0
    soft_timeout_s: float | None = None
    hard_timeout_s: float | None = None
    absent_ttl_s: float | None = None
    early_beta: float = 1.0
    lease_wait_s: float = 10.0
    tags: tuple[str, ...] = ()
    local: bool = True
    local_ttl_s: float | None = None
    kind: Any = Any
    compress_over_bytes: int | None = 4096

    def __post_init__(self) -> None:
        if not self.ttl_s > 0:
            raise ValueError(f"ttl_s is {self.ttl_s}; a value has to be good for some time, so give more than 0")
        if not 0 <= self.jitter_ratio < 1:
            raise ValueError(f"jitter_ratio is {self.jitter_ratio}; give a share in [0, 1)")
        for name in ("stale_s", "fail_safe_s", "throttle_s", "early_beta", "lease_wait_s", "absent_ttl_s"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give 0 or more")
        for name in ("soft_timeout_s", "hard_timeout_s", "local_ttl_s", "max_age_s"):
            if getattr(self, name) is not None and getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give more than 0, or None")
        if self.sliding and self.max_age_s is None:
            raise ValueError("a sliding ttl without max_age_s is stale for ever on a busy key; give max_age_s")
        if self.sliding and self.max_age_s is not None and self.max_age_s < self.ttl_s:
            raise ValueError(f"max_age_s {self.max_age_s} is below ttl_s {self.ttl_s}; the whole life contains the ttl")
        if (self.max_age_s or self.ttl_s) + self.grace_s > LONGEST_S:
            raise ValueError(f"ttl and stale time are together more than {LONGEST_S:.0f} s; shorten them")

    @property
    def grace_s(self) -> float:
        """How long after its expiry an entry may still be of use."""
        return max(self.stale_s, self.fail_safe_s)

    def ttl_of(self, value: object) -> float:
        """The ttl before jitter, s; 0: not to be kept."""
        return self.ttl_s if value is not None or self.absent_ttl_s is None else self.absent_ttl_s

    def but(self, **changes: Any) -> Policy:
        """The same with some parts changed."""
        return replace(self, **changes)
