"""What is gathered of one statement's executions, wherever their texts are seen: in the log, or while they run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from headway.evidence.explained import fixed
from headway.thresholds import FIXED_MIN_SEEN

if TYPE_CHECKING:
    import random

One = TypeVar("One")


@dataclass(kw_only=True)
class Executions:
    """How many executions were seen, and the parts of expressions that the texts of all of them had."""

    seen: int = 0
    shared: frozenset[str] | None = None

    def note(self, text: str) -> None:
        """One execution more."""
        self.seen += 1
        if self.shared is None:
            self.shared = fixed(text)
        elif self.shared:
            self.shared &= fixed(text)

    def fixed(self) -> list[str]:
        """Those parts, once enough executions had them to call them the statement's own."""
        return sorted(self.shared or ()) if self.seen >= FIXED_MIN_SEEN else []

    def keep(self, kept: list[One], one: One, most: int, chance: random.Random) -> None:
        """Keep so many at most of what executions had: this one, the last noted, as likely as each before it."""
        if len(kept) < most:
            kept.append(one)
        elif (place := chance.randrange(self.seen)) < most:
            kept[place] = one
