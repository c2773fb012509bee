"""Caches, cache headers and compression proven on real servers: a service that is slow, a Valkey, an nginx in front."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest
import redis

from headway.diagnose.hit_rates import simulate
from headway.diagnose.hit_rates.stream import made
from headway.diagnose.rules import cacheable_reads, compression, http_cache_headers
from headway.evidence import reading
from headway.evidence.collect import collect
from headway.load.drive import Stop
from headway.model import (
    Arrivals,
    Evidence,
    Finding,
    LoadModel,
    Parameter,
    Phase,
    Proof,
    ProofState,
    Route,
    Scenario,
    Sources,
)
from headway.prove.borrowed import own_valkey
from headway.prove.grounds import Grounds
from headway.prove.remedies import cache, http_cache
from headway.prove.remedies import compression as compressing
from headway.prove.replaying import replay
from load_target import Target, target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PHASE = Phase(
    name="reads", model=LoadModel.OPEN, arrivals=Arrivals.POISSON, rate_per_s=120, duration_s=3, warmup_s=0.5, seed=3
)
SCENARIO = Scenario(
    name="slow", file=None, default_phase=PHASE,
    routes=(
        Route(name="GET /lists/{kind}", method="GET", path="/lists/{kind}", weight=5),
        Route(name="PUT /things/{id}", method="PUT", path="/things/{id}", weight=0.2),
    ),
    parameters=(
        Parameter(name="kind", distribution="uniform", low=1, high=8),
        Parameter(name="id", distribution="uniform", low=1, high=9),
    ),
)  # fmt: skip
BODY = b'{"name": "a name that comes again", "price": 12345}' * 80


@contextmanager
def slow_service() -> Iterator[Target]:
    """Answers JSON after 8 ms, whoever asks."""

    async def answer(_head: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.008)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
        writer.write(head + BODY)

    with target(answer) as running:
        yield running


@pytest.fixture(scope="module")
def service() -> Iterator[Target]:
    with slow_service() as running:
        yield running


@pytest.fixture(scope="module")
def evidence(service: Target, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """One run against it."""
    folder = collect(
        tmp_path_factory.mktemp("run"), scenario=SCENARIO, phases=(PHASE,),
        sources=Sources(target_url=service.url, answers=True),
        slug="slow", workers=1, on_second=lambda _progress: None, stop=Stop(),
    )  # fmt: skip
    return reading.read(folder)


def proven(
    evidence: Evidence,
    service: Target,
    work: Path,
    findings: list[Finding],
    prove: Callable[..., Proof],
    budget_s: float = 5.0,
) -> Proof:
    """The first finding's first remedy, tried."""
    grounds = Grounds(
        evidence=evidence, sources=Sources(target_url=service.url), work=work, budget_s=budget_s, say=lambda _text: None
    )
    return prove(findings[0], findings[0].remedies[0], grounds)


def test_a_cache_is_found_and_valkey_hits_as_was_estimated(evidence: Evidence, service: Target, tmp_path: Path) -> None:
    """Eight lists read 100 times a second: found, and a real Valkey hits within 0.02 of the estimate."""
    findings = [each for each in cacheable_reads.find(evidence) if each.location.route == "GET /lists/{kind}"]
    assert len(findings) == 1
    assert "the very requests" in findings[0].details[-1]
    proof = proven(evidence, service, tmp_path, findings, cache.prove, budget_s=2.0)
    (effect,) = proof.effects
    estimate = findings[0].remedies[0].estimate
    assert estimate is not None
    assert abs(effect.after - estimate.after) < 0.02
    assert proof.state is ProofState.WORTH_IT, proof.reason
    assert any("computed, not measured" in each for each in proof.notes)
    assert {each.what for each in proof.prices} >= {"memory of the cache", "stale reads"}


def test_a_cache_in_front_takes_the_service_s_time_away(
    evidence: Evidence, service: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8 ms each becomes next to nothing through nginx; no write reached the service while it was tried."""
    monkeypatch.setattr(http_cache, "SHORTEST_S", 1.0)
    findings = [each for each in http_cache_headers.find(evidence) if each.remedies]
    assert findings[0].remedies[0].parameters["public"]
    before = len(service.asked)
    proof = proven(evidence, service, tmp_path, findings, http_cache.prove)
    asked = service.asked[before:]
    assert asked
    assert not any(b"PUT " in each for each in asked)
    p95, _, hit = proof.effects
    assert p95.before > 8e6
    assert hit.after > 0.8
    assert p95.after < p95.before or proof.state is not ProofState.WORTH_IT


def test_compression_is_measured_in_bytes_and_processor_time(
    evidence: Evidence, service: Target, tmp_path: Path
) -> None:
    """Repeated JSON shrinks to a tenth, at a price in processor time that is said; the link's share is computed."""
    findings = list(compression.find(evidence))
    proof = proven(evidence, service, tmp_path, findings, compressing.prove)
    size = proof.effects[0]
    assert size.before == len(BODY)
    assert size.after < 0.2 * size.before
    assert proof.prices[0].what.startswith("processor time")
    assert "20 Mbit/s" in proof.reason


def test_a_service_that_is_gone_proves_nothing(evidence: Evidence, tmp_path: Path) -> None:
    """The service ended since: compression could not be proven, and the reason says so."""
    with slow_service() as gone:
        pass
    proof = proven(evidence, gone, tmp_path, list(compression.find(evidence)), compressing.prove)
    assert proof.state is ProofState.UNPROVEN
    assert "could not be asked" in proof.reason


def test_a_run_whose_log_is_gone_has_no_keys(evidence: Evidence, service: Target, tmp_path: Path) -> None:
    """Without the load's own log nothing can be drawn again: no finding, and the reason on request."""
    from dataclasses import replace

    elsewhere = replace(evidence, folder=tmp_path)
    assert list(cacheable_reads.find(elsewhere)) == []
    assert "not known" in str(cacheable_reads.why_not_route(elsewhere, "GET /lists/{kind}"))
    proof = proven(elsewhere, service, tmp_path, list(cacheable_reads.find(evidence)), cache.prove)
    assert proof.state is ProofState.UNPROVEN


def test_stale_reads_and_deletes_are_valkey_s_own() -> None:
    """A real Valkey has the stale reads that were predicted; with a delete at each write it has none."""
    rng = np.random.default_rng(2)
    n = 3_000
    stream = made(rng.integers(0, 40, n), np.sort(rng.integers(0, 3 * 10**9, n)), write=rng.random(n) < 0.1)
    with own_valkey() as url, redis.Redis.from_url(url) as client:
        for forget in (False, True):
            found = replay(client, stream, ttl_s=1.0, entries=40, value_bytes=50, forget_on_write=forget, budget_s=1.0)
            expected = simulate.run(stream, ttl_s=1.0, forget_on_write=forget)
            reads = float(found.reads.sum())
            assert abs(found.hits.sum() / reads - expected.hit_ratio) < 0.02
            assert abs(found.stale / reads - expected.stale_ratio) < 0.02
        assert found.stale == 0


def test_maxmemory_holds_as_many_entries_as_were_chosen() -> None:
    """The memory limit is moved until as many entries stay as should, within 5%; what it evicts is counted."""
    rng = np.random.default_rng(4)
    stream = made(rng.integers(0, 3_000, 12_000), np.sort(rng.integers(0, 3 * 10**9, 12_000)))
    with own_valkey() as url, redis.Redis.from_url(url) as client:
        found = replay(client, stream, ttl_s=600.0, entries=1_000, value_bytes=300, forget_on_write=False, budget_s=1.0)
    assert found.entries == pytest.approx(1_000, rel=0.05)
    assert found.evicted > 1_000
