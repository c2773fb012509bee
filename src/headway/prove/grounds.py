"""What a remedy is tried with: the run that found it, where the real system is, and what may be spent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headway.model import Evidence, Sources


@dataclass(frozen=True, kw_only=True)
class Grounds:
    """
    Handed to every remedy.

    `sources` are the real system's addresses, read from unless `apply`: the one word that lets a remedy change
    anything there. `staging_url` is a database that may be changed at will, None when nobody gave one. `work` is a
    scratch folder that the caller removes. `budget_s` bounds one proof; `say` takes a line of progress. `seed` makes
    what is drawn repeatable.
    """

    evidence: Evidence
    sources: Sources
    work: Path
    budget_s: float
    say: Callable[[str], None]
    apply: bool = False
    staging_url: str | None = None
    seed: int = 0
