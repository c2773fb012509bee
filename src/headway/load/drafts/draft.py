"""What a source gives: a scenario, the files beside it, and in words what the source could not say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headway.model import Parameter, Route, Scenario
    from headway.promises.proposals import Proposal

ORDINARY_RATE_PER_S = 50.0
"""The rate of a scenario whose source has none: the same as without a scenario."""

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
"""Methods that change something. A load test that does so by surprise is a fault: they are asked for by --writes."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """
    A first scenario, not written yet.

    `scenario` has no file; its CSV files and its replay file are named relative to it. `notes` are for the whole,
    `remarks` for one part: "load", "parameters.NAME", "feeds.NAME", or a route's name. `asleep` routes are written as
    comments, with the parameters that only they use. `files`: name -> lines, read once. `found`: what was read, in a
    line. `baselines`: what the source measured.
    """

    scenario: Scenario
    found: str
    notes: tuple[str, ...] = ()
    remarks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    asleep: tuple[Route, ...] = ()
    asleep_parameters: tuple[Parameter, ...] = ()
    files: Mapping[str, Iterable[str]] = field(default_factory=dict)
    proposals: tuple[Proposal, ...] = ()
    baselines: tuple[str, ...] = ()
    target_url: str | None = None


def several(count: int, noun: str) -> str:
    """ "1 line", "2,000 lines"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "es" if noun.endswith(("s", "sh", "ch", "x")) else "s")
