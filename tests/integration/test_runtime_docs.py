"""The examples of docs/runtime*.md run, and print what the pages say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import create_engine, event, text
from sqlalchemy.orm import Session

from headway.runtime.cache import SyncCache
from headway.runtime.cache.counts import Counts
from headway.runtime.cache.metrics import CacheCollector, observe

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["runtime-cache.md", "runtime-debounce.md"])
def test_the_example_prints_what_the_page_says(page: str, valkey_url: str) -> None:
    """Copied as it stands, with the address of a Valkey in CACHE_URL."""
    shown = (DOCS / page).read_text(encoding="utf-8")
    code, said = (re.findall(rf"```{kind}\n(.*?)```", shown, re.S)[0] for kind in ("python", "text"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "CACHE_URL": valkey_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.stdout, done.returncode) == (said, 0), done.stderr


def test_a_session_s_commit_invalidates_as_the_page_shows() -> None:
    """After the commit, and not after a rollback."""
    engine = create_engine("sqlite://")
    with SyncCache(None) as cache, Session(engine) as session:
        event.listen(session, "after_commit", lambda _: cache.invalidate("k"))
        cache.set("k", 1)
        session.execute(text("SELECT 1"))
        session.rollback()
        assert cache.get("k") == 1
        session.execute(text("SELECT 1"))
        session.commit()
        assert cache.get("k") is None
    engine.dispose()


def test_prometheus_sees_every_counter() -> None:
    """By the names the page shows, with the cache's name; what only counts is a counter."""
    with SyncCache(None) as cache:
        cache.get_or_set("k", lambda: 1)
        cache.get_or_set("k", lambda: 1)
        registry = CollectorRegistry()
        registry.register(CacheCollector(shop=cache))
        told = generate_latest(registry).decode()
    assert 'headway_cache_local_hits_total{cache="shop"} 1.0' in told
    assert 'headway_cache_local_entries{cache="shop"} 1.0' in told
    assert all(f"headway_cache_{name}_total{{" in told for name in Counts().as_dict())


def test_opentelemetry_sees_them_too() -> None:
    """Through an SDK's reader."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    with SyncCache(None) as cache:
        cache.get_or_set("k", lambda: 1)
        observe(MeterProvider([reader]).get_meter("test"), shop=cache)
        data = reader.get_metrics_data()
    assert data is not None
    (scope,) = data.resource_metrics[0].scope_metrics
    (loads,) = [each for each in scope.metrics if each.name == "headway_cache_loads"]
    assert [(point.value, dict(point.attributes or {})) for point in loads.data.data_points] == [(1, {"cache": "shop"})]  # type: ignore[union-attr]
