"""Every rule on the labelled runs of benchmarks/diagnosis/rules.py: what it should say, and nothing else."""

from __future__ import annotations

import pytest
import rules
from rules import CASES, HELD_OUT

from headway.diagnose import catalogue

LEAST_HELD_OUT = 0.9


@pytest.mark.parametrize("rule", dict.fromkeys(each.rule for each in CASES))
def test_a_rule_says_what_is_wrong_and_is_silent_where_nothing_is(rule: str) -> None:
    """Its labelled faults and no others; at least two of each kind, so that neither silence nor alarm passes."""
    cases = [each for each in CASES if each.rule == rule]
    assert sum(bool(each.expected) for each in cases) >= 2
    assert sum(not each.expected for each in cases) >= 2
    wrong = {(case.rule, case.name) for case in cases if any(rules.differing(case, rules.said(case)))}
    assert not wrong


def test_what_was_held_out_is_told_apart_too() -> None:
    """Precision and recall over all rules, without the names of those that fail: nobody should mend a rule by them."""
    counts = rules.counted(HELD_OUT, quiet=True).values()
    hit = sum(each.hit for each in counts)
    assert hit >= 20
    assert hit / (hit + sum(each.false for each in counts)) >= LEAST_HELD_OUT
    assert hit / (hit + sum(each.missed for each in counts)) >= LEAST_HELD_OUT


def test_every_rule_has_a_corpus_or_is_known_to_have_another() -> None:
    """A new rule without labelled cases is seen."""
    known = {each.rule for each in catalogue.entries()}
    assert known == {each.rule for each in CASES} | rules.ELSEWHERE
