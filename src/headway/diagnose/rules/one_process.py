"""
A service that has come to the end of one core while others idle: one process, and one lock of its interpreter.

For: another process is a setting away, and the machine is paid for. Against: every process has its own pool of
connections and its own memory; what it keeps in memory for itself is kept once each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.diagnose.windows import within
from headway.diagnose.words import fingerprint, one_line
from headway.model import Confidence, Finding, Remedy, RemedyKind, Subject
from headway.thresholds.rules import IDLE_CORES_MIN, ONE_CORE_MAX_RATIO, ONE_CORE_MIN_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import Evidence, PhaseHits

RULE = "one-process"
ONE_BY_DESIGN = ("postgres", "valkey", "redis", "nginx", "haproxy", "pgbouncer")
"""Watched processes to which more processes of the same are no remedy, or one they set themselves."""


def find(evidence: Evidence) -> Iterator[Finding]:
    """A finding for each watched service at one core, by phase."""
    for hits in evidence.phases:
        host = [each.cpu_ratio for each in evidence.host if within(hits, each.at_s)]
        if not host:
            continue
        idle = evidence.machine.cores * (1 - sum(host) / len(host))
        for name in dict.fromkeys(each.name for each in evidence.processes):
            rows = [each for each in evidence.processes if each.name == name and within(hits, each.at_s)]
            used = sum(each.cpu_cores for each in rows) / len(rows) if rows else 0.0
            serves = not any(sign in name.lower() for sign in ONE_BY_DESIGN)
            if serves and idle >= IDLE_CORES_MIN and ONE_CORE_MIN_RATIO <= used <= ONE_CORE_MAX_RATIO:
                yield _finding(hits, name, used, idle, max(each.resident_bytes for each in rows), len(rows))


def _finding(hits: PhaseHits, name: str, used: float, idle: float, resident: int, seconds: int) -> Finding:
    shown, more = one_line(name, 30), 1 + int(idle)
    return Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=f"{shown} used {used:.2f} cores while {idle:.1f} cores were idle: it can't use more than one",
        explains=(Subject.LATENCY, Subject.THROUGHPUT),
        share_ratio=min(1.0, used),
        share_of="one core",
        fingerprint=fingerprint(RULE, name),
        confidence=Confidence.LIKELY,
        reasons_for=(
            f"measured over {seconds} seconds, its children included; nothing but its own core was full",
            f"up to {more} processes have a core each on this machine",
        ),
        reasons_against=(
            f"each process takes up to {resident / 2**20:,.0f} MiB more, and opens its own connections:"
            " the database must allow them all",
            "a cache or counter in the process's memory is then kept once for each",
            "scale up (more processes) when quick; scale out (more machines) when one may be lost",
        ),
        remedies=(
            Remedy(
                kind=RemedyKind.PROCESSES,
                title=f"run {more} processes of {shown}",
                act=f"start {more} workers: granian --workers {more}, uvicorn --workers {more}, gunicorn -w {more}",
                parameters={"process": name, "processes": more},
            ),
        ),
    )
