"""What each command cost the cache in each phase: differences of INFO commandstats and of LATENCY HISTOGRAM."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from headway.conventions import CACHE_COMMANDS_FILE
from headway.evidence import columns
from headway.evidence.cache_session import NotAllowed
from headway.evidence.collector import Collector, failed, in_words, present
from headway.model import CacheCommand, SourceState

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping
    from pathlib import Path

    from headway.evidence.cache_session import CacheSession
    from headway.model import Phase

Classes = dict[int, int]
"""Upper end in microseconds -> how many calls took no longer."""


class CacheCommands(Collector):
    """The commands by name. Execution time only: what a client waits besides is not in it."""

    name = "cache commands"

    def __init__(self, session: CacheSession) -> None:
        super().__init__()
        self._session = session
        self._histograms = True
        self._before: tuple[dict[str, Any], Counter[str], dict[str, Classes]] | None = None
        self.commands: list[CacheCommand] = []

    def check(self) -> SourceState:
        try:
            self._read()
        except NotAllowed as exc:
            return failed(self.name, "its user may not send INFO", str(exc))
        return present(self.name, "INFO commandstats, LATENCY HISTOGRAM" if self._histograms else "INFO commandstats")

    def begin(self, phase: Phase, at_s: float) -> None:
        self._before = self._read()

    def end(self, phase: Phase, at_s: float) -> None:
        if self._before is None:
            return
        (before, own_before, classes_before), (after, own, classes) = self._before, self._read()
        self._before = None
        if any(_calls(after.get(name, {})) < _calls(told) for name, told in before.items()):
            self.lower_bound_phases.add(phase.name)
            before, own_before, classes_before = {}, own, {}
        sent = own - own_before
        for name, told in after.items():
            found = _command(phase.name, name.removeprefix("cmdstat_"), told, before.get(name, {}), sent)
            if found is not None:
                self.commands.append(_timed(found, classes_before.get(found.name, {}), classes.get(found.name)))

    def write(self, folder: Path) -> None:
        columns.write(folder / CACHE_COMMANDS_FILE, CacheCommand, self.commands)

    def _read(self) -> tuple[dict[str, Any], Counter[str], dict[str, Classes]]:
        told, own, _ = self._session.info("commandstats")
        return told, own, self._classes()

    def _classes(self) -> dict[str, Classes]:
        """Redis 7 and Valkey have them; with `latency-tracking no` they are empty."""
        import redis

        if not self._histograms:
            return {}
        try:
            answer = pairs(self._session.ask("LATENCY", "HISTOGRAM"))
        except NotAllowed as exc:
            self._histograms, self.remark = False, f"without percentiles: {exc}"
            return {}
        except redis.ResponseError as exc:
            self._histograms, self.remark = False, f"without percentiles: this server says: {in_words(exc)}"
            return {}
        return {
            _text(name): {int(end): int(count) for end, count in pairs(pairs(told)[b"histogram_usec"]).items()}
            for name, told in answer.items()
        }


def pairs(answer: Any) -> dict[Any, Any]:
    """A map as RESP3 has it, or as RESP2 has it: a flat list."""
    return dict(answer) if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=True))


def _text(name: object) -> str:
    return name.decode("ascii", "backslashreplace") if isinstance(name, bytes) else str(name)


def _calls(told: Mapping[str, Any]) -> int:
    return int(told.get("calls", 0))


def _command(
    phase: str, name: str, told: Mapping[str, Any], before: Mapping[str, Any], sent: Counter[str]
) -> CacheCommand | None:
    """What was added; None where nothing but Headway's own was."""

    def added(field: str) -> int:
        return int(told.get(field, 0)) - int(before.get(field, 0))  # rejected and failed: Redis 6.2 and later

    calls, mine = added("calls"), sent[name]
    rest = calls - mine
    if rest <= 0 and not added("rejected_calls") and not added("failed_calls"):
        return None
    mean_ns = 1e3 * added("usec") / calls if calls else 0.0
    return CacheCommand(
        phase=phase, name=name, calls=max(rest, 0), total_ns=mean_ns * max(rest, 0), mean_ns=mean_ns,
        rejected=added("rejected_calls"), failed=added("failed_calls"),
    )  # fmt: skip


def _timed(command: CacheCommand, before: Classes, after: Classes | None) -> CacheCommand:
    from dataclasses import replace

    if not after:
        return command
    at = [quantile_us(before, after, q) for q in (0.5, 0.99, 0.999)]
    p50, p99, p999 = (None if each is None else each * 1e3 for each in at)
    return replace(command, p50_ns=p50, p99_ns=p99, p999_ns=p999)


def quantile_us(before: Classes, after: Classes, q: float) -> int | None:
    """
    The upper end of the class in which a quantile of the calls between two readings lies.

    Args:
        before: calls that took no longer than each class's upper end; a class without calls of its own is left out.
        after: the same, later.
        q: in (0, 1].

    Returns:
        Microseconds; None without calls.
    """
    ends = sorted(after)
    earlier = sorted(before)

    def upto(end: int) -> int:  # cumulative: a class that is left out has as many as the one below it
        place = bisect_left(earlier, end + 1)
        return before[earlier[place - 1]] if place else 0

    added = [after[end] - upto(end) for end in ends]
    total = added[-1] if added else 0
    if total <= 0:
        return None
    return next(end for end, count in zip(ends, added, strict=True) if count >= q * total)
