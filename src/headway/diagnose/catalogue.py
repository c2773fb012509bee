"""What each rule looks for and when its advice is right, in the rule's own words: the docstring of its file."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass

from headway.diagnose.rules import RULES


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One rule: what it looks for in a sentence or two, and when its remedies are right and when they aren't."""

    rule: str
    title: str
    advice: str


def entries() -> tuple[Entry, ...]:
    """Every rule there is, in the order they are asked. A rule without words, as under `python -OO`, has its name."""
    found: list[Entry] = []
    for find in RULES:
        module = sys.modules[find.__module__]
        title, _, advice = inspect.cleandoc(module.__doc__ or module.RULE).partition("\n\n")
        found.append(Entry(rule=module.RULE, title=" ".join(title.split()), advice=" ".join(advice.split())))
    return tuple(found)
