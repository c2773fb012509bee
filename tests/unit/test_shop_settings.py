"""The shop's switches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.settings import Settings, SettingsError, read

SHOP = Path(__file__).parents[2] / "examples" / "shop"
DATABASE = {"SHOP_DATABASE_URL": "postgresql://me@db/shop"}


def test_without_switches_the_shop_is_in_its_slow_form() -> None:
    """Nothing is better by default: each remedy has to be switched on."""
    assert read(DATABASE) == Settings(
        database_url="postgresql://me@db/shop", replica_url=None, pool=0, indexes=False, batch=False, cache=None,
        cache_ttl_s=300, cache_local=False, edge_ttl_s=0, edge_url=None, edge_key="", metrics=False,
    )  # fmt: skip


def test_every_switch_is_read() -> None:
    """Each of the settings reaches its field."""
    given_all = {
        **DATABASE, "SHOP_REPLICA_URL": "postgres://r/shop", "SHOP_POOL": "7", "SHOP_INDEXES": "1", "SHOP_BATCH": "1",
        "SHOP_GATHER_MS": "5", "SHOP_CACHE": "redis://c/0", "SHOP_CACHE_TTL_S": "60", "SHOP_CACHE_LOCAL": "1",
        "SHOP_EDGE_TTL_S": "9", "SHOP_EDGE_URL": "http://e", "SHOP_EDGE_KEY": "k", "SHOP_METRICS": "1",
    }  # fmt: skip
    assert read(given_all) == Settings(
        database_url="postgresql://me@db/shop", replica_url="postgres://r/shop", pool=7, indexes=True, batch=True,
        gather_ms=5, cache="redis://c/0", cache_ttl_s=60, cache_local=True, edge_ttl_s=9, edge_url="http://e",
        edge_key="k", metrics=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SHOP_POOL", "-1"), ("SHOP_POOL", "ten"), ("SHOP_POOL", "1001"), ("SHOP_POOL", "1" * 5000), ("SHOP_POOL", "²"),
        ("SHOP_INDEXES", "yes"), ("SHOP_BATCH", "2"), ("SHOP_CACHE_TTL_S", "0"), ("SHOP_EDGE_TTL_S", "1.5"),
        ("SHOP_METRICS", "true"), ("SHOP_CACHE", "localhost:6379"), ("SHOP_REPLICA_URL", "mysql://x"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_named(name: str, value: str) -> None:
    """The message names the switch, so that it can be found and mended."""
    with pytest.raises(SettingsError, match=name):
        read({**DATABASE, name: value})


@pytest.mark.parametrize(
    "settings",
    [{"SHOP_REPLICA_URL": "postgres://r/shop"}, {"SHOP_EDGE_URL": "http://e"}, {"SHOP_GATHER_MS": "5"}],
)
def test_a_setting_that_needs_another_says_so(settings: dict[str, str]) -> None:
    """A replica without a pool and an edge without its key would silently do nothing: the start ends instead."""
    with pytest.raises(SettingsError, match=f"{next(iter(settings))} needs SHOP_"):
        read({**DATABASE, **settings})


@given(st.text())
def test_any_text_is_a_pool_size_or_a_settings_error(text: str) -> None:
    """No value of a switch ends in another error."""
    try:
        pool = read({**DATABASE, "SHOP_POOL": text}).pool
    except SettingsError:
        return
    assert 0 <= pool <= 1_000


def test_a_url_with_a_password_is_not_repeated() -> None:
    """A wrong URL is refused without showing its password."""
    with pytest.raises(SettingsError) as caught:
        read({"SHOP_DATABASE_URL": "postgres:/me:secret@db"})
    assert "secret" not in str(caught.value)


def test_a_wrong_setting_ends_the_start_with_one_line() -> None:
    """A server that loads the application gets one line that names the setting, and no stack trace."""
    ended = subprocess.run(
        [sys.executable, "-c", "from shop.app import app"],
        env={**os.environ, **DATABASE, "PYTHONPATH": str(SHOP), "PYTHONDONTWRITEBYTECODE": "1", "SHOP_POOL": "many"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr == "shop: SHOP_POOL='many' must be a whole number from 0 to 1000\n"
