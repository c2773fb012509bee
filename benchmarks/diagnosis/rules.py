"""
Precision and recall of each rule on small labelled runs (rule_cases.py and its neighbours), with every miss and every
false alarm.

    PYTHONPATH=tests .venv/bin/python benchmarks/diagnosis/rules.py

Rules with corpora of their own are not in it: missing indexes (indexes.py, on a real PostgreSQL), N+1 (traces.py and
n_plus_one in tests), predicted hit rates (hit_rates.py). `hot-code` and `blocking-call` are held by integration tests
on a service with planted faults as well.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest.mock import patch

import rule_cases
import rule_cases_code
import rule_cases_servers
from rule_cases import Case

from headway.diagnose import catalogue, profiled, route_keys
from headway.diagnose.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headway.model import Finding

CASES = (*rule_cases.CASES, *rule_cases_servers.CASES, *rule_cases_code.CASES)
HELD_OUT = (*rule_cases_servers.HELD_OUT, *rule_cases_code.HELD_OUT)
ELSEWHERE = frozenset({"missing-index", "n-plus-one", "n-plus-one-by-counts"})


def said(case: Case) -> list[str]:
    """What the case's rule says, each finding in the words of the labels."""
    (find,) = (each for each in RULES if case.rule == sys.modules[each.__module__].RULE)
    with (
        patch.object(route_keys, "of_phase", lambda _evidence, _hits: case.keys),
        patch.object(profiled, "load", lambda _folder: case.profile),
    ):
        return [named(each, case) for each in find(case.evidence)]


def named(finding: Finding, case: Case) -> str:
    """The one of the expected names that the finding is about; else its line."""
    places = finding.location
    texts = {finding.share_of.rpartition(" ")[2], finding.line.partition(" ")[0], ""}
    texts |= {each for each in (places.route, places.statement, places.key, places.code) if each}
    if finding.rule == "pool-size":
        texts.add("too small" if "larger" in finding.remedies[0].title else "too large")
    texts |= {str(value) for remedy in finding.remedies for value in remedy.parameters.values()}
    return next((each for each in case.expected if each in texts), finding.line)


def differing(case: Case, found: list[str]) -> tuple[list[str], list[str]]:
    """What should have been said and was not, and what was said and should not have been."""
    missed = [each for each in case.expected if each not in found]
    false = list(found)
    for each in case.expected:
        if each in false:
            false.remove(each)
    return missed, false


@dataclass
class Count:
    """Of one rule, over cases."""

    hit: int = 0
    false: int = 0
    missed: int = 0
    decoys: int = 0
    silent: int = 0

    def __str__(self) -> str:
        said_, wanted = self.hit + self.false, self.hit + self.missed
        precision = f"{self.hit / said_:.3f}" if said_ else "–"
        return (
            f"precision {precision} ({self.hit} of {said_}), recall {self.hit / wanted:.3f} ({self.hit} of {wanted}),"
            f" silent in {self.silent} of {self.decoys} where nothing is wrong"
        )


def counted(cases: Iterable[Case], *, quiet: bool = False) -> dict[str, Count]:
    """By rule; each miss and false alarm is printed unless `quiet`."""
    counts: dict[str, Count] = defaultdict(Count)
    for case in cases:
        found, row = said(case), counts[case.rule]
        missed, false = differing(case, found)
        row.hit += len(case.expected) - len(missed)
        row.false += len(false)
        row.missed += len(missed)
        row.decoys += not case.expected
        row.silent += not case.expected and not found
        if quiet:
            continue
        for text in missed:
            print(f"missed: {case.rule}: {case.name} {text}")
        for text in false:
            print(f"false alarm: {case.rule}: {case.name}: {text}")
    return counts


def main() -> None:
    """One line for each miss and false alarm, then one a rule, and one more for the cases held out of it."""
    counts, held_out = counted(CASES), counted(HELD_OUT)
    for rule, count in counts.items():
        print(f"{rule:<24} {count}")
        if rule in held_out:
            print(f"{'  held out':<24} {held_out[rule]}")
    without = {each.rule for each in catalogue.entries()} - counts.keys()
    print(f"not here: {', '.join(sorted(without))}")
    if without - ELSEWHERE:
        raise SystemExit(f"rules with no corpus at all: {', '.join(sorted(without - ELSEWHERE))}")


if __name__ == "__main__":
    main()
