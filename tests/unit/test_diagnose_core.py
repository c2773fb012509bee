"""Diagnosis: each rule speaks when its evidence is there, is silent when it isn't, and obeys nobody's text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headway import diagnose
from headway.errors import BundleDamaged
from headway.model import (
    CacheUse,
    Database,
    Evidence,
    FailureKind,
    HostSecond,
    Plan,
    ProcessSecond,
    Side,
    Statement,
    Subject,
    TableScan,
)
from made.judged import HEALTHY, PHASE, made_evidence, made_hits

RNG = np.random.default_rng(3)
HITS = made_hits([list(50 + RNG.random(100)) for _ in range(20)])
SCAN = Plan(
    statement_id="a", json={}, scans=(TableScan(table="posts", rows=1e6, filter="user_id = $1", stops_early=False),)
)


def statement(share: float, *, calls: int = 4000, total_s: float = 40, plan: Plan | None = SCAN) -> Statement:
    """A statement that took `total_s` in 20 seconds."""
    return Statement(
        phase="scenario", id=f"s{share}", text="SELECT *\nFROM posts WHERE user_id = $1 \x1b[31m", calls=calls, rows=1,
        total_ns=total_s * 1e9, mean_ns=total_s * 1e9 / calls, stddev_ns=0.0, share_ratio=share, plan=plan,
    )  # fmt: skip


def rules(evidence: Evidence) -> list[str]:
    """Names of the rules that spoke, the weightiest first."""
    return [each.rule for each in diagnose.find(evidence)]


def test_a_clean_run_has_no_findings() -> None:
    """No evidence, no finding, and no exception either."""
    assert rules(made_evidence(HITS)) == []
    assert rules(made_evidence()) == []


def test_a_dominant_statement_is_named_with_its_scan_and_its_calls_a_request() -> None:
    """Share of database time, the table read from end to end, and how often a request calls it, on one clean line."""
    (found,) = diagnose.find(made_evidence(HITS, statements=(statement(0.71),)))
    assert found.line.startswith("71% of database time is one statement: SELECT * FROM posts WHERE user_id = $1")
    assert "sequential scan of 1,000,000 rows of posts" in found.line
    assert "2.0 a request" in found.line
    assert "\x1b" not in found.line
    assert Subject.INDEXED in found.explains


def test_a_small_share_or_an_idle_database_is_no_finding() -> None:
    """5% of the time, or 71% of next to nothing, would move nothing."""
    assert rules(made_evidence(HITS, statements=(statement(0.05),))) == []
    assert rules(made_evidence(HITS, statements=(statement(0.71, total_s=0.5, plan=None),))) == []


def test_fingerprints_do_not_change_with_numbers() -> None:
    """The same statement in another run is the same finding."""
    first, second = (diagnose.find(made_evidence(HITS, statements=(statement(s),)))[0] for s in (0.71, 0.4))
    assert first.fingerprint == second.fingerprint
    assert first.line != second.line


def test_failures_are_counted_by_kind() -> None:
    """The kind, how many, and the status; a failure below one in a thousand is no finding."""
    hits = made_hits([[10.0] * 90] * 20, failed=[10] * 20, statuses={200: 1800, 503: 200})
    (found,) = diagnose.find(made_evidence(hits))
    assert found.line == "10.000% of the planned requests failed: 200 unexpected status (200 x 503)"
    assert rules(made_evidence(made_hits([[10.0] * 1000] * 20, failed=[1]))) == []


def test_what_makes_a_service_slow_goes_before_what_slowness_looks_like() -> None:
    """Unsent requests and a busy machine are symptoms of the statement that keeps it busy."""
    hits = made_hits([[900.0] * 5] * 20, failed=[95] * 20, kind=FailureKind.UNSENT)
    seconds = tuple(HostSecond(
        at_s=1000.0 + second, cpu_ratio=0.99, iowait_ratio=0, steal_ratio=0, memory_used_ratio=0, disk_read_bytes=0,
        disk_write_bytes=0, network_sent_bytes=0, network_received_bytes=0,
    ) for second in range(20))  # fmt: skip
    used = tuple(
        ProcessSecond(at_s=1000.0 + s, name="postgres", cpu_cores=1.5, resident_bytes=0, open_files=None, threads=1)
        for s in range(20)
    )
    evidence = made_evidence(hits, statements=(statement(0.71),), host=seconds, processes=used)
    assert rules(evidence)[0] == "dominant-statement"
    assert set(rules(evidence)[1:]) == {"saturated-host", "failures"}
    saturated = next(each for each in diagnose.find(evidence) if each.rule == "saturated-host")
    assert "99% busy: postgres 1.50 cores" in saturated.line


def test_waiting_for_a_connection_is_told_from_being_served() -> None:
    """P95 of 500 ms from the intended send time and 10 ms from the actual one is a queue."""
    slow, fast = [[500.0] * 100] * 20, [[10.0] * 100] * 20
    busy = replace(HEALTHY, backlog_peak=40)
    assert rules(made_evidence(made_hits(slow, service=fast, health=busy))) == ["backlog"]
    assert rules(made_evidence(made_hits(slow, service=slow, health=busy))) == []


def test_a_connection_per_request_is_seen() -> None:
    """As many connections as requests is no pool; ten for two thousand is."""
    made = Database(
        phase="scenario", commits=1, rollbacks=0, blocks_hit=0, blocks_read=0, temp_bytes=0, deadlocks=0,
        sessions=2000, connections=90, max_connections=300, statements_reset=False,
    )  # fmt: skip
    assert rules(made_evidence(HITS, databases=(made,))) == ["connection-per-request"]
    assert rules(made_evidence(HITS, databases=(replace(made, sessions=10),))) == []


@pytest.mark.parametrize(("hits", "misses", "spoken"), [(0, 0, True), (10, 90, True), (90, 10, False)])
def test_a_cache_that_is_not_used_or_misses_is_said(hits: int, misses: int, spoken: bool) -> None:
    """Zero lookups and mostly misses of what had expired are findings; mostly hits are not."""
    use = CacheUse(
        phase="scenario", hits=hits, misses=misses, evicted=1, expired=misses, commands=0, used_memory_bytes=0,
        maxmemory_bytes=0, restarted=False,
    )  # fmt: skip
    assert bool(rules(made_evidence(HITS, caches=(use,)))) is spoken


def test_a_broken_clause_gets_the_line_of_its_own_phase_and_side() -> None:
    """Database latency is explained by statements only; another phase's line serves when there is none."""
    found = diagnose.find(
        made_evidence(made_hits([[10.0] * 90] * 20, failed=[10] * 20), statements=(statement(0.71, total_s=2),))
    )
    whole = diagnose.explain(found, Subject.LATENCY, PHASE.name)
    database = diagnose.explain(found, Subject.LATENCY, PHASE.name, side=Side.DATABASE)
    assert whole is not None
    assert database is not None
    assert database.rule == "dominant-statement"
    assert diagnose.explain(found, Subject.LATENCY, "elsewhere") is whole
    assert diagnose.explain(found, Subject.MONITORING, PHASE.name) is None


def test_findings_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    """And a damaged file is named."""
    found = diagnose.find(made_evidence(HITS, statements=(statement(0.71),)))
    diagnose.write(tmp_path, found)
    assert diagnose.read(tmp_path) == found
    (tmp_path / "findings.json").write_text("[{}]")
    with pytest.raises(BundleDamaged, match=r"findings\.json"):
        diagnose.read(tmp_path)


def test_milliseconds_are_what_they_say() -> None:
    """40 s in 4,000 calls is 10 ms."""
    (found,) = diagnose.find(made_evidence(HITS, statements=(statement(0.71),)))
    assert "10.0 ms on average" in found.line
