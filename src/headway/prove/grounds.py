"""What a remedy is tried with: the run that found it, where the real system is, and what may be spent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headway.model import Evidence, Sources
    from headway.prove.clone import Clone
    from headway.prove.service import ServiceCommand


@dataclass(frozen=True, kw_only=True)
class Grounds:
    """
    Handed to every remedy.

    `sources` are the real system's addresses, read from unless `apply`: the one word that lets a remedy change
    anything there. `staging_url` is a database that may be changed at will: the one that was named, or the copy that
    was made; None when there is neither. `where` says in words what it is. `service` starts the user's service
    against that database, so that its endpoints can be measured; None when nobody said how. `work` is a scratch folder
    that the caller removes. `budget_s` bounds one proof; `say` takes a line of progress. `seed` makes what is drawn
    repeatable. `private`: the database's server is Headway's own copy, nobody else's; `clone` then has its programs.
    """

    evidence: Evidence
    sources: Sources
    work: Path
    budget_s: float
    say: Callable[[str], None]
    apply: bool = False
    staging_url: str | None = None
    seed: int = 0
    where: str = ""
    service: ServiceCommand | None = None
    private: bool = False
    clone: Clone | None = None
