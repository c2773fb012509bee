"""
The machine's processors, memory, disk or network are used up, and by what. USE: utilisation and saturation of each.

For a larger machine: it is quick, and nothing in the service changes. For more machines: they also survive the loss of
one. Against both: what uses the machine may be mended for less. On a laptop the generator is one of the processes; the
line names it like any other.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headway.diagnose.windows import within
from headway.diagnose.words import fingerprint, one_line
from headway.model import Confidence, Finding, Remedy, RemedyKind, Subject
from headway.thresholds.rules import (
    SATURATED_CPU_RATIO,
    SATURATED_DISK_RATIO,
    SATURATED_DISK_WAIT_RATIO,
    SATURATED_MEMORY_PRESSURE_RATIO,
    SATURATED_MEMORY_RATIO,
    SATURATED_NETWORK_RATIO,
    SYMPTOM_WEIGHT_RATIO,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headway.model import Evidence, HostSecond, PhaseHits

RULE = "saturated-host"
NAMED = 3
COSTS = (Subject.LATENCY, Subject.THROUGHPUT, Subject.ERROR_RATE, Subject.AVAILABILITY)


@dataclass(frozen=True, kw_only=True)
class Used:
    """One resource that is used up: how much of it, in what words."""

    resource: str
    share_ratio: float
    line: str
    reasons_for: tuple[str, ...]
    up: str  # what a larger machine would have more of


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding a phase and resource that was used up on average."""
    for hits in evidence.phases:
        seconds = [each for each in evidence.host if within(hits, each.at_s)]
        if not seconds:
            continue
        for used in (_cpu(evidence, hits, seconds), _memory(evidence, seconds), _disk(seconds), _network(seconds)):
            if used is not None:
                yield _finding(evidence, hits, used)


def _finding(evidence: Evidence, hits: PhaseHits, used: Used) -> Finding:
    return Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=used.line,
        explains=COSTS,
        # Saturation is a symptom: it ranks below the statement that causes it, above what is small.
        share_ratio=used.share_ratio,
        weight_ratio=used.share_ratio * SYMPTOM_WEIGHT_RATIO,
        share_of=f"the machine's {used.resource}",
        fingerprint=fingerprint(RULE) if used.resource == "CPU" else fingerprint(RULE, used.resource),
        confidence=Confidence.CERTAIN,
        reasons_for=used.reasons_for,
        reasons_against=(
            "findings about the same phase may name what uses it: mending that is often cheaper than a machine",
            *(("generator and service share this machine: elsewhere the service has more",) * _shared(evidence)),
        ),
        remedies=(
            Remedy(
                kind=RemedyKind.CODE,
                title="a larger machine (scale up)",
                act=f"when it must be quick: {used.up}; the service stays as it is, and stays on one machine",
            ),
            Remedy(
                kind=RemedyKind.CODE,
                title="more machines (scale out)",
                act="when it must survive the loss of one: a second behind a balancer, and no state in the service",
            ),
        ),
    )


def _shared(evidence: Evidence) -> bool:
    return any(sign in evidence.target_url for sign in ("//127.", "//localhost", "//[::1]", "unix:"))


def _cpu(evidence: Evidence, hits: PhaseHits, seconds: Sequence[HostSecond]) -> Used | None:
    busy = _mean([each.cpu_ratio for each in seconds])
    if busy is None or busy < SATURATED_CPU_RATIO:
        return None
    cores: dict[str, list[float]] = defaultdict(list)
    for each in evidence.processes:
        if within(hits, each.at_s):
            cores[each.name].append(each.cpu_cores)
    means = sorted(((sum(used) / len(used), name) for name, used in cores.items()), reverse=True)
    busiest = ", ".join(f"{one_line(name, 30)} {used:.2f} cores" for used, name in means[:NAMED])
    waited = _mean([each.cpu_pressure_ratio for each in seconds])
    return Used(
        resource="CPU",
        share_ratio=busy,
        line=f"the machine's {evidence.machine.cores} cores were {busy:.0%} busy" + (f": {busiest}" if busiest else ""),
        reasons_for=(
            f"counted over {len(seconds)} seconds",
            *(() if waited is None else (f"some task waited for a core {waited:.0%} of the time",)),
        ),
        up="more or faster cores",
    )


def _memory(evidence: Evidence, seconds: Sequence[HostSecond]) -> Used | None:
    used = _mean([each.memory_used_ratio for each in seconds]) or 0.0
    waited = _mean([each.memory_pressure_ratio for each in seconds])
    if used < SATURATED_MEMORY_RATIO and (waited or 0.0) < SATURATED_MEMORY_PRESSURE_RATIO:
        return None
    size = f"{evidence.machine.memory_bytes / 2**30:.1f} GiB"
    return Used(
        resource="memory",
        share_ratio=max(used, waited or 0.0),
        line=f"{used:.0%} of the machine's {size} of memory was in use"
        + ("" if waited is None else f"; some task waited for memory {waited:.0%} of the time"),
        reasons_for=("used is what the kernel could not give to a new program without swapping",),
        up="more memory",
    )


def _disk(seconds: Sequence[HostSecond]) -> Used | None:
    busy = _mean([each.disk_busy_ratio for each in seconds])
    waits = [_mean([each.io_pressure_ratio for each in seconds]), _mean([each.iowait_ratio for each in seconds])]
    waited = max((each for each in waits if each is not None), default=0.0)
    if busy is None or busy < SATURATED_DISK_RATIO or waited < SATURATED_DISK_WAIT_RATIO:
        return None
    read = sum(each.disk_read_bytes for each in seconds) / len(seconds) / 1e6
    written = sum(each.disk_write_bytes for each in seconds) / len(seconds) / 1e6
    return Used(
        resource="disk",
        share_ratio=busy,
        line=f"the busiest disk was busy {busy:.0%} of the time and waited for {waited:.0%} of it:"
        f" {read:,.1f} MB/s read, {written:,.1f} MB/s written",
        reasons_for=("busy alone is no proof, since a disk may serve many at once: here tasks waited for it too",),
        up="a faster disk, or memory for what is read again",
    )


def _network(seconds: Sequence[HostSecond]) -> Used | None:
    used = _mean([each.network_used_ratio for each in seconds])
    if used is None or used < SATURATED_NETWORK_RATIO:
        return None
    dropped = sum(each.network_dropped or 0 for each in seconds)
    return Used(
        resource="network",
        share_ratio=min(used, 1.0),
        line=f"a network link carried {used:.0%} of its speed; {dropped:,} packets were dropped or in error",
        reasons_for=("measured against the speed the interface itself names, both ways together",),
        up="a faster link; or less to carry: compression, smaller answers, a cache nearer to the user",
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return sum(known) / len(known) if known else None
