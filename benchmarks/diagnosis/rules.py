"""
Precision and recall of each rule on small labelled runs (rule_cases.py), with every miss and every false alarm.

    PYTHONPATH=tests .venv/bin/python benchmarks/diagnosis/rules.py

Rules with corpora of their own are not in it: missing indexes (indexes.py, on a real PostgreSQL), N+1 (traces.py and
n_plus_one in tests), predicted hit rates (hit_rates.py). `hot-code` and `blocking-call` need a profile and are held by
integration tests on a service with planted faults; they have no corpus.
"""

from __future__ import annotations

import sys
from unittest.mock import patch

from rule_cases import CASES, Case

from headway.diagnose import catalogue, route_keys
from headway.diagnose.rules import RULES
from headway.model import Finding

ELSEWHERE = frozenset({
    "missing-index", "n-plus-one", "n-plus-one-by-counts", "hot-code", "blocking-call",
    "cache-evictions", "slow-cache-command", "big-cache-key", "hot-cache-key", "lock-contention", "pool-size",
    "replica-opportunity",
})  # fmt: skip


def said(case: Case) -> list[str]:
    """What the case's rule says, each finding in the words of the labels."""
    (find,) = (each for each in RULES if case.rule == sys.modules[each.__module__].RULE)
    with patch.object(route_keys, "of_phase", lambda _evidence, _hits: case.keys):
        return [named(each, case) for each in find(case.evidence)]


def named(finding: Finding, case: Case) -> str:
    """The one of the expected names that the finding is about; else its line."""
    places = finding.location
    texts = {finding.share_of.rpartition(" ")[2], places.route or "", places.statement or "", ""}
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


def main() -> None:
    """One line for each miss and false alarm, then one a rule."""
    counts: dict[str, list[int]] = {}
    for case in CASES:
        found = said(case)
        missed, false = differing(case, found)
        row = counts.setdefault(case.rule, [0, 0, 0, 0, 0])
        row[0] += len(case.expected) - len(missed)
        row[1] += len(false)
        row[2] += len(missed)
        row[3] += not case.expected
        row[4] += not case.expected and not found
        for text in missed:
            print(f"missed: {case.rule}: {case.name} {text}")
        for text in false:
            print(f"false alarm: {case.rule}: {case.name}: {text}")
    for rule, (hit, false_, missed_, decoys, silent) in counts.items():
        precision = f"{hit / (hit + false_):.3f}" if hit + false_ else "–"
        print(f"{rule:<24} precision {precision} ({hit} of {hit + false_}), recall {hit / (hit + missed_):.3f}"
              f" ({hit} of {hit + missed_}), silent in {silent} of {decoys} where nothing is wrong")  # fmt: skip
    without = {each.rule for each in catalogue.entries()} - counts.keys()
    print(f"not here: {', '.join(sorted(without))}")
    if without - ELSEWHERE:
        raise SystemExit(f"rules with no corpus at all: {', '.join(sorted(without - ELSEWHERE))}")


if __name__ == "__main__":
    main()
