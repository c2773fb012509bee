"""The stages of the reference shop's growth: what runs, and with which settings. Each adds to the one before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIRST, LAST = 1, 4

TRACES_SETTING = "SHOP_TRACES"
"""Where the shop's traces go: the lab's own, which starts the shop under OpenTelemetry; the shop doesn't read it."""

SETTINGS = (
    "SHOP_DATABASE_URL",
    "SHOP_REPLICA_URL",
    "SHOP_POOL",
    "SHOP_INDEXES",
    "SHOP_BATCH",
    "SHOP_GATHER_MS",
    "SHOP_CACHE",
    "SHOP_CACHE_TTL_S",
    "SHOP_CACHE_LOCAL",
    "SHOP_EDGE_TTL_S",
    "SHOP_EDGE_URL",
    "SHOP_EDGE_KEY",
    "SHOP_METRICS",
    TRACES_SETTING,
)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage. `settings` are the shop's switches; the URLs are filled in when the servers stand."""

    number: int
    what: str
    app_servers: int
    cache: bool
    edge: bool
    replica: bool
    settings: Mapping[str, str]


_SLOW = {
    "SHOP_POOL": "0",
    "SHOP_INDEXES": "0",
    "SHOP_BATCH": "0",
    "SHOP_GATHER_MS": "0",
    "SHOP_CACHE_TTL_S": "60",
    "SHOP_CACHE_LOCAL": "0",
    "SHOP_EDGE_TTL_S": "0",
    "SHOP_METRICS": "0",
}
_POOLED = {**_SLOW, "SHOP_POOL": "10", "SHOP_METRICS": "1"}
_CACHED = {**_POOLED, "SHOP_EDGE_TTL_S": "10"}
_TUNED = {**_CACHED, "SHOP_INDEXES": "1", "SHOP_BATCH": "1"}

# fmt: off
_STAGES = {
    1: Stage(number=1, what="PostgreSQL and one app server: a connection per request, no indexes, no cache",
             app_servers=1, cache=False, edge=False, replica=False, settings=_SLOW),
    2: Stage(number=2, what="and a connection pool, metrics",
             app_servers=1, cache=False, edge=False, replica=False, settings=_POOLED),
    3: Stage(number=3, what="and a Valkey cache, an nginx edge cache and balancer, three app servers",
             app_servers=3, cache=True, edge=True, replica=False, settings=_CACHED),
    4: Stage(number=4, what="and indexes, batched statements, a streaming replica",
             app_servers=3, cache=True, edge=True, replica=True, settings=_TUNED),
}
# fmt: on


TUNED_SETTINGS: Mapping[str, str] = {"SHOP_CACHE_LOCAL": "1", "SHOP_GATHER_MS": "20"}
TUNED_APP_SERVERS = 1
"""
With these, and an edge that is told of updates, stage 4 withstands most on one machine. They are no part of the stage:
Valkey's counters, by which a cache hit rate is judged, don't see what is answered before it.
"""


def stage(number: int) -> Stage:
    """
    The stage with that number.

    Raises:
        BadInput: there is none.
    """
    if number not in _STAGES:
        raise BadInput(f"there is no stage {number}", next_act=f"choose a stage from {FIRST} to {LAST}")
    return _STAGES[number]


def overrides(pairs: Sequence[str]) -> dict[str, str]:
    """
    `["SHOP_POOL=20"]` -> `{"SHOP_POOL": "20"}`.

    Raises:
        BadInput: not NAME=VALUE, or no setting of the shop.
    """
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or name not in SETTINGS:
            raise BadInput(
                f"--set {pair!r} is no setting of the shop",
                next_act=f"say NAME=VALUE, with one of {', '.join(SETTINGS)}",
            )
        found[name] = value
    return found
