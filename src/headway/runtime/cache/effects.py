"""What the pure core asks its shell to do: it yields one of these; the result is sent in, or the error thrown in."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from headway.runtime.cache.flight import Flight
    from headway.runtime.cache.scripts import Script

Result = TypeVar("Result")
Steps = Generator[Any, Any, Result]


class Ask:
    """A command to the remote level: its reply, or CacheDown."""

    __slots__ = ("words",)

    def __init__(self, *words: Any) -> None:
        self.words = words


class Run:
    """A script there."""

    __slots__ = ("keys", "script", "words")

    def __init__(self, script: Script, keys: list[str], *words: Any) -> None:
        self.script = script
        self.keys = keys
        self.words = words


class Load:
    """The source: its value, its own error, or SourceTimeout after timeout_s where the shell can tell."""

    __slots__ = ("call", "timeout_s")

    def __init__(self, call: Callable[[], Any], timeout_s: float | None) -> None:
        self.call = call
        self.timeout_s = timeout_s


class Sleep:
    """Some time."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Join:
    """Wait until a flight has ended: True, or False after timeout_s."""

    __slots__ = ("flight", "timeout_s")

    def __init__(self, flight: Flight, timeout_s: float | None) -> None:
        self.flight = flight
        self.timeout_s = timeout_s


class Begin:
    """
    Let steps run on their own, to their end whatever happens to the caller.

    `awaited`: the caller joins them next. A shell that cannot interrupt a caller may then run them in place, when
    `patient` says that the caller has all the time they take.
    """

    __slots__ = ("awaited", "patient", "steps")

    def __init__(self, steps: Steps[None], *, awaited: bool, patient: bool = False) -> None:
        self.steps = steps
        self.awaited = awaited
        self.patient = patient
