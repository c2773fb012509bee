"""
The machine's processors are busy, and with what. USE: utilisation first.

Against: on a laptop the generator is one of the processes; the line names it like any other.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from headway.diagnose.windows import within
from headway.diagnose.words import fingerprint, one_line
from headway.model import Finding, Subject
from headway.thresholds import SATURATED_CPU_RATIO, SYMPTOM_WEIGHT_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.model import Evidence, PhaseHits

RULE = "saturated-host"
NAMED = 3


def find(evidence: Evidence) -> Iterator[Finding]:
    """One finding a phase in which the processors were busy on average."""
    for hits in evidence.phases:
        seconds = [each.cpu_ratio for each in evidence.host if within(hits, each.at_s)]
        if seconds and sum(seconds) / len(seconds) >= SATURATED_CPU_RATIO:
            yield _finding(evidence, hits, sum(seconds) / len(seconds))


def _finding(evidence: Evidence, hits: PhaseHits, busy: float) -> Finding:
    cores: dict[str, list[float]] = defaultdict(list)
    for each in evidence.processes:
        if within(hits, each.at_s):
            cores[each.name].append(each.cpu_cores)
    means = sorted(((sum(used) / len(used), name) for name, used in cores.items()), reverse=True)
    busiest = ", ".join(f"{one_line(name, 30)} {used:.2f} cores" for used, name in means[:NAMED])
    return Finding(
        rule=RULE,
        phase=hits.phase.name,
        line=f"the machine's {evidence.machine.cores} cores were {busy:.0%} busy" + (f": {busiest}" if busiest else ""),
        explains=(Subject.LATENCY, Subject.THROUGHPUT, Subject.ERROR_RATE, Subject.AVAILABILITY),
        # Saturation is a symptom: it ranks below the statement that causes it, above what is small.
        share_ratio=busy,
        weight_ratio=busy * SYMPTOM_WEIGHT_RATIO,
        share_of="the machine's CPU",
        fingerprint=fingerprint(RULE),
    )
