"""What another tool's file holds, in one form: requests when it has them, else what it says of them."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from headway.errors import BadInput
from headway.model import FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from headway.model import Told

GOOD = -1
KINDS = list(FailureKind)
ROUTES_MAX = 500
ERROR_SAMPLES = 5
_METHOD = re.compile(r"^[A-Z]+ ")
_WORDS = (  # in the order in which they are looked for
    (FailureKind.TIMEOUT, ("timeout", "deadline exceeded", "timed out")),
    (FailureKind.TLS, ("tls:", "x509", "certificate", "ssl")),
    (FailureKind.CONNECT, ("refused", "no such host", "no route to host", "dial", "service not known", "lookup")),
    (FailureKind.RESET, ("reset", "eof", "broken pipe", "closed connection", "remote end closed", "disconnected")),
    (FailureKind.PROTOCOL, ("malformed", "protocol error")),
    (FailureKind.REDIRECT, ("redirect",)),
    (FailureKind.EXHAUSTED, ("too many open files", "cannot assign requested address")),
)  # fmt: skip


class Routes:
    """
    Names for what was asked, and their indexes in the order in which they were seen.

    Args:
        templates: "GET /users/{id}" or "/users/{id}"; a request they fit is counted under them.
    """

    def __init__(self, templates: Sequence[str] = ()) -> None:
        self.names: list[str] = []
        self._indexes: dict[str, int] = {}
        self._templates = [(name, _METHOD.match(name) is not None, _pattern(name)) for name in templates]

    def index(self, name: str, method: str = "") -> int:
        """
        The route of one request.

        Args:
            name: a URL, or the name the tool gave it.
            method: put before a URL's path, and before a name that has none when it begins with "/".

        Raises:
            BadInput: more than ROUTES_MAX of them.
        """
        key = f"{method} {name}"
        found = self._indexes.get(key)
        if found is None:
            found = self._indexes[key] = self._named(self._plain(name, method))
        return found

    def _plain(self, name: str, method: str) -> str:
        if re.match(r"https?://", name):
            parts = urlsplit(name)
            name = parts.path or "/"
        plain = f"{method} {name.partition('?')[0]}".strip() if name.startswith("/") else name
        path = _METHOD.sub("", plain)
        for template, whole, pattern in self._templates:
            if pattern.fullmatch(plain if whole else path):
                return template if whole else f"{method} {template}".strip()
        return plain

    def _named(self, name: str) -> int:
        if name in self.names:
            return self.names.index(name)
        if len(self.names) == ROUTES_MAX:
            raise BadInput(
                f"over {ROUTES_MAX} different URLs, such as {name!r}",
                next_act="group them with --route, as in --route 'GET /users/{id}'",
            )
        self.names.append(name)
        return len(self.names) - 1


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{[^/{}]*\}", template)
    return re.compile(r"[^/]+".join(re.escape(part) for part in parts))


@dataclass(kw_only=True)
class Requests:
    """Every request of a file, as flat columns of one length."""

    route: array[int] = field(default_factory=lambda: array("l"))
    ended_at_ns: array[int] = field(default_factory=lambda: array("q"))  # unix time
    latency_ns: array[int] = field(default_factory=lambda: array("q"))
    kind: array[int] = field(default_factory=lambda: array("b"))  # GOOD, or an index into KINDS
    statuses: Counter[int] = field(default_factory=Counter)
    received_bytes: int = 0
    errors: dict[str, None] = field(default_factory=dict)

    def good(self, route: int, ended_at_ns: int, latency_ns: int) -> None:
        """An answer as it should be."""
        self._add(route, ended_at_ns, latency_ns, GOOD)

    def failed(self, route: int, ended_at_ns: int, latency_ns: int, kind: FailureKind, words: str) -> None:
        """A request that got no good answer."""
        self._add(route, ended_at_ns, latency_ns, KINDS.index(kind))
        if len(self.errors) < ERROR_SAMPLES:
            self.errors[f"{kind.value}: {words}" if words else kind.value] = None

    def _add(self, route: int, ended_at_ns: int, latency_ns: int, kind: int) -> None:
        self.route.append(route)
        self.ended_at_ns.append(ended_at_ns)
        self.latency_ns.append(max(0, latency_ns))
        self.kind.append(kind)


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """Answers of one route in the interval that began at `at_s` (unix time): (n,) values in ns and their counts."""

    at_s: float
    route: int
    value_ns: NDArray[np.int64]
    count: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """
    One file of another tool, read.

    `requests` None: the tool does not show them, but histograms of `intervals`, or only what is `told`. `by_second` is
    (good, failed) of each second where a tool counts without timing. `dropped_at_ns`: starts that the tool had planned
    and did not make.
    `timing` says in words what the tool's clock counts.
    """

    tool: str
    file: Path
    timing: str
    routes: tuple[str, ...]
    requests: Requests | None = None
    intervals: tuple[Intervals, ...] = ()
    told: tuple[Told, ...] = ()
    by_second: tuple[tuple[int, int], ...] = ()
    began_at_s: float | None = None
    users: int | None = None
    dropped_at_ns: Sequence[int] = ()
    notes: tuple[str, ...] = ()


def kind_of(words: str, status: int) -> FailureKind:
    """The kind of failure a tool's words mean; OTHER when they fit none."""
    lower = words.lower()
    if status == 0 or not 100 <= status < 600:
        for kind, signs in _WORDS:
            if any(sign in lower for sign in signs):
                return kind
        return FailureKind.OTHER
    return FailureKind.STATUS


def refused(file: Path, what: str, next_act: str, line: int | None = None) -> BadInput:
    """A file that is not what it was said to be."""
    return BadInput(what, next_act=next_act, file=file, line=line)


def opened(file: Path) -> bytes:
    """
    The whole file.

    Raises:
        BadInput: it cannot be read, or is empty.
    """
    try:
        content = file.read_bytes()
    except OSError as exc:
        raise refused(file, f"cannot be read: {exc.strerror}", "name the file that the tool wrote") from exc
    if not content.strip():
        raise refused(file, "is empty", "name the file that the tool wrote; an empty one has nothing to judge")
    return content


def statistics(pairs: Iterable[tuple[str, object]], unit_ns: float) -> dict[str, float]:
    """Names and numbers -> ns; what is no number is left out."""
    return {
        name: float(value) * unit_ns
        for name, value in pairs
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
