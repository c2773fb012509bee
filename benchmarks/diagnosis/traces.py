"""
How well the N+1 rule tells N+1 from what looks like it: precision and recall on labelled traces, beside a naive rule.

    python benchmarks/diagnosis/traces.py [--quick] [--verbose]

The cases were labelled before there was a rule; the third that is held out was not looked at in tuning it. The naive
rule is what trace viewers have: five or more similar statements one after another below one request.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import trace_cases
import trace_cases_held_out
import trace_decoys
from made_traces import CLIENT, CONSUMER, SERVER, START_NS

from headway.conventions import SPANS_FILE
from headway.diagnose.rules import n_plus_one
from headway.diagnose.traced_repeats import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from labelled import Case, Label
    from made_traces import Book

    Rule = Callable[[Book], set[Label]]

NAIVE_LEAST = 5
SETS = {"tuned on": [*trace_cases.CASES, *trace_decoys.CASES], "held out": list(trace_cases_held_out.CASES)}
WINDOW = Window(name="made", begin_ns=START_NS, end_ns=START_NS + 10**15)


@dataclass
class Score:
    """Labels found, missed, and made up."""

    right: int = 0
    missed: int = 0
    wrong: int = 0

    def add(self, labels: Iterable[Label], said: set[Label]) -> None:
        """Count one case."""
        labels = set(labels)
        self.right += len(labels & said)
        self.missed += len(labels - said)
        self.wrong += len(said - labels)

    def __str__(self) -> str:
        precision = self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0
        recall = self.right / (self.right + self.missed) if self.right + self.missed else 1.0
        found = f"{self.right} of {self.right + self.missed} found, {self.wrong} wrong"
        return f"precision {precision:.3f}  recall {recall:.3f}  ({found})"


def headway_says(book: Book) -> set[Label]:
    """What the rule says of a case, from its spans on disk."""
    with tempfile.TemporaryDirectory() as room:
        pq.write_table(book.table(), Path(room) / SPANS_FILE)
        told = n_plus_one.told(Path(room), [WINDOW])
    return {(each.repeated.route, each.repeated.statement) for each in told if each.speaks}


def naive_says(book: Book) -> set[Label]:
    """At least five spans of one statement with nothing between them, below one parent or request."""
    spans = {row["span_id"]: row for row in book.rows}
    said: set[Label] = set()
    runs: Counter[tuple[bytes, str]] = Counter()
    before: dict[bytes, str] = {}
    for row in sorted(book.rows, key=lambda each: each["start_ns"]):
        entry = _request(row, spans)
        if row["kind"] != CLIENT or entry is None or row["statement"] is None:
            continue
        at, text = entry["span_id"], row["statement"]
        runs[at, text] = runs[at, text] + 1 if before.get(at) == text else 1
        before[at] = text
        if runs[at, text] >= NAIVE_LEAST and row["operation"] in {"SELECT", "GET"}:
            said.add((entry["route"] or entry["name"], text))
    return said


def _request(row: dict[str, Any], spans: dict[bytes, dict[str, Any]]) -> dict[str, Any] | None:
    for _ in range(50):
        if row["kind"] in {SERVER, CONSUMER}:
            return row
        if row["parent_id"] not in spans:
            return None
        row = spans[row["parent_id"]]
    return None


def scored(cases: list[Case], rule: Rule, *, verbose: bool) -> Score:
    """One rule over cases."""
    score = Score()
    for case in cases:
        said = rule(case.book())
        score.add(case.labels, said)
        if verbose and said != case.labels:
            print(f"  {case.name}: missed {sorted(case.labels - said)}, wrong {sorted(said - case.labels)}")
    return score


def main() -> None:
    """Print both rules' scores on both sets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="every fourth case")
    parser.add_argument("--verbose", action="store_true", help="name the cases that went wrong")
    parser.add_argument("--only", choices=sorted(SETS), help="one of the two sets")
    given = parser.parse_args()
    for name, cases in SETS.items():
        if given.only not in {None, name}:
            continue
        chosen = cases[:: 4 if given.quick else 1]
        began = time.perf_counter()
        print(f"{name}: {len(chosen)} cases, {sum(len(each.labels) for each in chosen)} N+1 in them")
        print(f"  headway  {scored(chosen, headway_says, verbose=given.verbose)}")
        print(f"  naive    {scored(chosen, naive_says, verbose=False)}")
        print(f"  {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
