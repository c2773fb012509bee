"""The shop's switches, read once from the environment. Each improvement is one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

POSTGRES_SCHEMES = ("postgresql://", "postgres://")
CACHE_SCHEMES = ("redis://", "rediss://", "unix://", "valkey://")


class SettingsError(ValueError):
    """A switch has a value the shop cannot use. The message names the switch, the value, and what is possible."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    How this shop runs.

    `pool` 0 is a connection per request. `batch` False is one query a user on the page of users. `gather_ms`
    0 is a statement for each request; else those of the routes asked most wait so long for others. `cache` None is no
    cache. `edge_ttl_s` 0 sends no Cache-Control. `edge_url` is a cache in front that is told of new names, `edge_key`
    what it knows the shop by. `indexes` makes no index: it says which form runs (`shop.indexes` makes them).
    """

    database_url: str
    replica_url: str | None = None
    pool: int = 0
    indexes: bool = False
    batch: bool = False
    gather_ms: int = 0
    cache: str | None = None
    cache_ttl_s: int = 300
    cache_local: bool = False
    edge_ttl_s: int = 0
    edge_url: str | None = None
    edge_key: str = ""
    metrics: bool = False


def read(environment: Mapping[str, str]) -> Settings:
    """
    The settings of an environment.

    Raises:
        SettingsError: a value is missing or cannot be used.
    """
    settings = Settings(
        database_url=_url(environment, "SHOP_DATABASE_URL", POSTGRES_SCHEMES) or _missing("SHOP_DATABASE_URL"),
        replica_url=_url(environment, "SHOP_REPLICA_URL", POSTGRES_SCHEMES),
        pool=_number(environment, "SHOP_POOL", default=0, low=0, high=1_000),
        indexes=_switch(environment, "SHOP_INDEXES"),
        batch=_switch(environment, "SHOP_BATCH"),
        gather_ms=_number(environment, "SHOP_GATHER_MS", default=0, low=0, high=1_000),
        cache=_url(environment, "SHOP_CACHE", CACHE_SCHEMES),
        cache_ttl_s=_number(environment, "SHOP_CACHE_TTL_S", default=300, low=1, high=86_400),
        cache_local=_switch(environment, "SHOP_CACHE_LOCAL"),
        edge_ttl_s=_number(environment, "SHOP_EDGE_TTL_S", default=0, low=0, high=86_400),
        edge_url=_url(environment, "SHOP_EDGE_URL", ("http://",)),
        edge_key=environment.get("SHOP_EDGE_KEY", "").strip(),
        metrics=_switch(environment, "SHOP_METRICS"),
    )
    if settings.replica_url and not settings.pool:
        raise SettingsError("SHOP_REPLICA_URL needs SHOP_POOL: how far a replica has come is known of kept connections")
    if settings.gather_ms and not (settings.pool and settings.batch):
        raise SettingsError("SHOP_GATHER_MS needs SHOP_POOL and SHOP_BATCH=1: it is one statement for many requests")
    if settings.edge_url and not settings.edge_key:
        raise SettingsError("SHOP_EDGE_URL needs SHOP_EDGE_KEY: the edge refreshes what it keeps for nobody else")
    return settings


def _missing(name: str) -> str:
    raise SettingsError(f"{name} is not set; say where the database is: postgresql://user@host:5432/name")


def _url(environment: Mapping[str, str], name: str, schemes: tuple[str, ...]) -> str | None:
    text = environment.get(name, "").strip()
    if text and not text.startswith(schemes):
        # The value may hold a password: it is not repeated.
        raise SettingsError(f"{name} must begin with {' or '.join(schemes)}")
    return text or None


def _number(environment: Mapping[str, str], name: str, *, default: int, low: int, high: int) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and low <= int(text[:9]) <= high and len(text) <= 9):
        raise SettingsError(f"{name}={text!r} must be a whole number from {low} to {high}")
    return int(text)


def _switch(environment: Mapping[str, str], name: str) -> bool:
    text = environment.get(name, "").strip()
    if text not in ("", "0", "1"):
        raise SettingsError(f"{name}={text!r} must be 0 or 1")
    return text == "1"
