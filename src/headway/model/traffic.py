"""What is sent: scenarios, their routes and journeys, the phases of load."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class LoadModel(StrEnum):
    """Open: arrivals come on their own schedule. Closed: each user waits for the answer before the next request."""

    OPEN = "open"
    CLOSED = "closed"


class Arrivals(StrEnum):
    """How an open model's requests are spread. Bursts: `burst_size` at once, at the mean rate. Replay: as recorded."""

    CONSTANT = "constant"
    POISSON = "poisson"
    BURSTS = "bursts"
    REPLAY = "replay"


@dataclass(frozen=True, kw_only=True)
class Hot:
    """A hot set: `requests_ratio` of the draws fall on the first `keys_ratio` of the keys, evenly in either part."""

    keys_ratio: float
    requests_ratio: float


class Order(StrEnum):
    """Random: each draw for itself. Sequential: one after another, then from the start. Once: none a second time."""

    RANDOM = "random"
    SEQUENTIAL = "sequential"
    ONCE = "once"


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """
    Where the values of a `{name}` come from.

    uniform, zipf, hot, sequential and once draw whole numbers in [low, high]; zipf has exponent `exponent`, normalised
    over the real range, rank 1 = low. `values` is a fixed list; `csv` and `json_lines` a file and column; `query` one
    SQL column, read once before the run, at most `limit` rows. These are drawn uniformly, zipf by position when
    `exponent` is set, by `hot`, or in `order`. Parameters of one `feed` are columns of its rows and drawn together;
    theirs are named "feed.column". `given` is a value from outside, `values` its only one: it is never written down.
    """

    name: str
    distribution: str
    low: int | None = None
    high: int | None = None
    exponent: float | None = None
    values: tuple[str, ...] = ()
    csv_file: Path | None = None  # of json_lines too
    csv_column: str | None = None  # of json_lines, and of a feed's query, too
    query: str | None = None
    limit: int = 100_000
    hot: Hot | None = None
    order: Order = Order.RANDOM
    feed: str | None = None


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """A value taken from an answer, for the journey's later steps to use as `{name}`."""

    name: str
    source: str  # "json" | "header" | "regex" | "cookie"
    expression: str  # a JSONPath; a header's or cookie's name; an expression whose first group is the value


@dataclass(frozen=True, kw_only=True)
class Check:
    """Something a good answer says besides its status. `equals` None: it is there at all."""

    source: str  # "json" | "header" | "regex" | "text" | "max_bytes"
    expression: str
    equals: str | None = None


@dataclass(frozen=True, kw_only=True)
class Route:
    """One weighted request template; `{name}` in path, body and header values is filled from the parameters."""

    name: str  # "GET /users/{id}": what criteria refer to
    method: str
    path: str
    weight: float = 1.0
    headers: tuple[tuple[str, str], ...] = ()
    body: str | None = None
    expect_status: tuple[int, ...] = ()  # empty: any 2xx or 3xx is good
    extract: tuple[Extraction, ...] = ()
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Think:
    """A pause after an answer: constant (low = high), uniform in [low, high], or exponential with mean low."""

    low_s: float
    high_s: float
    exponential: bool = False


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a journey. Its intended send time is the end of the answer before it plus that step's pause."""

    route: int  # index into Scenario.routes
    think: Think | None = None  # after the answer; None: the next step is due at once


@dataclass(frozen=True, kw_only=True)
class Journey:
    """Steps one visitor takes in order, with cookies and extracted values of its own. A failed step ends it."""

    name: str
    weight: float
    steps: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Ramp in a straight line from the level before to `target` (requests per second, or users). 0 s: a jump."""

    duration_s: float
    target: float


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Recorded arrivals: JSON lines of {"at_s", "route", "path"} in order of time; `speed` 2 takes half as long."""

    file: Path
    speed: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Wire:
    """How requests travel. `host` and `connect_to` stand in for the URL's host: in the request, and to connect to."""

    http2: bool = False  # by ALPN over TLS; with prior knowledge over clear text
    streams: int = 100  # HTTP/2: requests at once on one connection, at most
    keep_alive: bool = True
    ca_file: Path | None = None
    insecure: bool = False  # accept any certificate
    host: str | None = None
    connect_to: str | None = None  # "ADDRESS:PORT"
    unix_socket: Path | None = None
    redirects: int = 0  # followed at most, to the same host
    details: bool = False  # time the parts of each request: connect, TLS, first byte, body
    max_body_bytes: int = 64 << 20
    max_head_bytes: int = 64 << 10


@dataclass(frozen=True, kw_only=True)
class Phase:
    """
    One stretch of load. Open: `rate_per_s` is set; closed: `users` is set.

    `duration_s` excludes `warmup_s`. `max_connections` bounds the open connections of all workers together.
    """

    name: str
    model: LoadModel
    duration_s: float
    warmup_s: float
    arrivals: Arrivals = Arrivals.CONSTANT
    rate_per_s: float | None = None
    users: int | None = None
    max_connections: int = 256
    timeout_s: float = 10.0
    seed: int = 1
    stages: tuple[Stage, ...] = ()
    burst_size: int = 1
    replay: Replay | None = None
    iterations: int | None = None  # closed: ends after so many starts, of all users together or of each
    iterations_each: bool = False
    control_file: Path | None = None  # closed: the users wanted, a whole number, read from it every second

    @property
    def whole_seconds(self) -> int:
        """What is measured: `duration_s` rounded up, so that each second counted is a whole one."""
        return max(1, math.ceil(self.duration_s))


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """
    What traffic to make. `default_phase` is the load the scenario's author calls ordinary.

    A route with weight 0 is asked only as a step of a journey. `setup` and `teardown` are commands run before and after
    the load; setup's standard output, a JSON object, gives further `{name}`s.
    """

    name: str
    file: Path | None
    routes: tuple[Route, ...]
    parameters: tuple[Parameter, ...]
    default_phase: Phase
    journeys: tuple[Journey, ...] = ()
    wire: Wire = Wire()
    setup: tuple[str, ...] = ()
    teardown: tuple[str, ...] = ()

    @property
    def requests_per_start(self) -> float:
        """Mean number of requests that one start leads to when none fails: 1 without journeys."""
        singles = sum(each.weight for each in self.routes)
        steps = sum(each.weight * len(each.steps) for each in self.journeys)
        return (singles + steps) / (singles + sum(each.weight for each in self.journeys))
