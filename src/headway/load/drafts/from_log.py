"""An access log to a first scenario: the real mix, the real keys in their frequencies, the real arrivals."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from headway.errors import BadInput
from headway.load import replay
from headway.load.drafts import figures, proposed
from headway.load.drafts.arrivals import Pace, Spool, pace, replay_lines
from headway.load.drafts.draft import Draft, several
from headway.load.drafts.grouping import Templates, identifier
from headway.load.drafts.observed import Observed, Reader, Seen
from headway.model import Arrivals, LoadModel, Parameter, Phase, Replay, Route, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROUTES = 60
"""Routes a first scenario has at most: those asked for most. The rest is said with its share."""
SHORTEST_S, LONGEST_S = 60.0, 600.0
REQUESTS_TIMES_LIMIT = 5.2
"""So many requests, over the limit of the error rate, settle it when none fails: the gate asks for 5,100 at 0.1%."""
ARRIVALS_FILE = "arrivals.jsonl"
GOOD_CLIENT_ERRORS = frozenset({404, 410})
"""Answers to keys that are gone: the service worked. Others (401, 429, 400) mean the request would have to differ."""


def draft(
    files: Sequence[Path],
    spool: Spool,
    *,
    name: str,
    api_paths: tuple[str, ...] | None,
    speed: float | None,
    stretch_s: float,
    prefix: str,
    said: Callable[[int], None],
) -> Draft:
    """
    Make the draft.

    Args:
        files: one log, in any order when it was rotated.
        spool: takes the arrivals; must live until the draft is written.
        name: the scenario's.
        api_paths: templates of the service's OpenAPI document; None: paths are grouped by their looks.
        speed: the scenario's load is the replay, this many times as fast; None: Poisson arrivals at the log's rate.
        stretch_s: how much of the log the replay file holds: its busiest stretch of this length.
        prefix: of the names of the files beside the scenario.
        said: called with the lines read, now and then.

    Raises:
        BadInput: no line is a request; no request can be sent again.
    """
    seen = Reader(spool, templates=None if api_paths is None else Templates(api_paths), said=said).read(files)
    _refuse_empty(files, seen)
    kept, dropped = seen.routes[:ROUTES], seen.routes[ROUTES:]
    unusable = [each for each in kept if each.columns and not each.rows]
    kept = [each for each in kept if each not in unusable]
    for each in (*dropped, *unusable):
        seen.left_out["a route asked for rarely, or with values that cannot be written down"] += each.count
    if not kept:
        raise BadInput(
            f"has no GET, HEAD or OPTIONS that could be sent again: {seen.writes.total():,} of its "
            f"{seen.requests:,} requests write, and a log has no bodies",
            next_act="write the scenario from the service's OpenAPI document: headway init --openapi URL",
            file=files[0],
        )
    routes, parameters, feeds, remarks = _routes(kept, f"{prefix}keys")
    arrivals = f"{prefix}{ARRIVALS_FILE}"
    sent = pace(spool, frozenset(each.number for each in kept), stretch_s=stretch_s)
    everything = pace(spool, None, stretch_s=stretch_s)
    if sent is None or everything is None:  # each kept route has requests
        raise AssertionError("requests without arrivals")
    names = {each.number: route.name for each, route in zip(kept, routes, strict=True)}
    remarks["load"] = _load_remarks(sent, everything, seen, stretch_s, speed, arrivals)
    return Draft(
        scenario=Scenario(
            name=name,
            file=None,
            routes=routes,
            parameters=parameters,
            default_phase=_phase(sent, speed, stretch_s, arrivals, proposed.error_limit(kept)),
        ),
        found=_found(files, seen, everything),
        notes=_notes(seen, kept, f"{prefix}keys", by_api=api_paths is not None),
        remarks=remarks,
        files={
            **feeds,
            arrivals: replay_lines(spool, names, from_us=sent.busiest_from_us, stretch_s=stretch_s, most=replay.MOST),
        },
        proposals=proposed.proposals(kept, routes, seen, sent),
        baselines=proposed.baselines(kept, routes),
    )


def _refuse_empty(files: Sequence[Path], seen: Observed) -> None:
    if seen.requests:
        return
    if not seen.lines:
        raise BadInput("is empty", next_act="name a log with requests in it", file=files[0])
    number, why, beginning = seen.first_unread or (1, "blank", b"")
    shown = beginning.decode("utf-8", "backslashreplace").strip()
    raise BadInput(
        f"none of {several(seen.lines, 'line')} is a request; line {number} is {why}: {shown!r}",
        next_act="log with nginx's combined format, or JSON with its own variable names (docs/init.md)",
        file=files[0],
        line=number,
    )


def _phase(sent: Pace, speed: float | None, stretch_s: float, arrivals: str, error_limit: float) -> Phase:
    rate = figures.rate(sent.busiest_minute_per_s)
    phase = Phase(
        name="scenario", model=LoadModel.OPEN, arrivals=Arrivals.POISSON, rate_per_s=rate,
        duration_s=_duration_s(rate, error_limit),
        warmup_s=5.0,
    )  # fmt: skip
    if speed is None:
        return phase
    return replace(
        phase,
        arrivals=Arrivals.REPLAY,
        replay=Replay(file=Path(arrivals), speed=speed),
        warmup_s=0.0,
        rate_per_s=None,
        duration_s=float(math.ceil(min(stretch_s, sent.seconds) / speed)),
    )


def _duration_s(rate_per_s: float, error_limit: float) -> float:
    """Long enough, within reason, for the proposed error rate to be settled: whole ten seconds."""
    wanted_s = REQUESTS_TIMES_LIMIT / error_limit / rate_per_s
    return min(LONGEST_S, max(SHORTEST_S, math.ceil(wanted_s / 10) * 10.0))


def _routes(
    kept: Sequence[Seen], folder: str
) -> tuple[tuple[Route, ...], tuple[Parameter, ...], dict[str, Iterator[str]], dict[str, tuple[str, ...]]]:
    routes, parameters, feeds, remarks = [], [], {}, {}
    names: set[str] = set()
    taken: set[str] = set()
    for each in kept:
        name = _route_name(each, names)
        varying = [place for place in range(len(each.columns)) if len({row[place] for row in each.rows}) > 1]
        made = _parameters(each, varying, f"{folder}/{_slug(name)}.csv", taken)
        fixed = {
            place: quote(each.rows[0][place], safe="") for place in range(len(each.columns)) if place not in varying
        }
        filled = {place: f"{{{one.name}}}" for place, one in zip(varying, made, strict=True)} | fixed
        expect, remarks[name] = _expected(each)
        routes.append(
            Route(
                name=name, method=each.method, path=_path(each, [filled[place] for place in sorted(filled)]),
                weight=float(each.count), expect_status=expect,
            )
        )  # fmt: skip
        parameters += made
        if made:
            feeds[str(made[0].csv_file)] = _csv([str(one.csv_column) for one in made], each, varying)
            part = f"parameters.{made[0].name}" if made[0].feed is None else f"feeds.{made[0].feed}"
            remarks[part] = _feed_remarks(each, varying, name)
    return tuple(routes), tuple(parameters), feeds, remarks


def _parameters(each: Seen, varying: Sequence[int], file: str, taken: set[str]) -> list[Parameter]:
    """One parameter, or a feed whose columns are drawn together: pairs stay pairs."""
    columns = [each.columns[place].rstrip("=") for place in varying]
    if len(columns) == 1:
        name = _free_name(identifier(columns[0]), each, taken)
        return [Parameter(name=name, distribution="csv", csv_file=Path(file), csv_column=name)]
    words = [segment for segment in each.template if segment]
    feed = _free_name(identifier(words[-1]) if words else "requests", each, taken) if columns else ""
    found: list[Parameter] = []
    own: set[str] = set()
    for column in columns:
        base = identifier(column)
        name = next(one for one in (base, *(f"{base}_{number}" for number in range(2, 100))) if one not in own)
        own.add(name)
        found.append(
            Parameter(name=f"{feed}.{name}", distribution="csv", csv_file=Path(file), csv_column=name, feed=feed)
        )
    return found


def _route_name(each: Seen, names: set[str]) -> str:
    name = f"{each.method} {each.path}"
    if name in names and each.query:
        name += "?" + "&".join(field.rstrip("=") for field, _ in each.query)[:80]
    wanted, number = name, 2
    while name in names:
        name, number = f"{wanted} ({number})", number + 1
    names.add(name)
    return name


def _free_name(base: str, each: Seen, taken: set[str]) -> str:
    words = [segment for segment in each.template if segment]
    longer = f"{identifier(words[-1])}_{base}" if words else base
    name = next(one for one in (base, longer, *(f"{longer}_{n}" for n in range(2, 10_000))) if one not in taken)
    taken.add(name)
    return name


def _path(each: Seen, filled: Sequence[str]) -> str:
    """The scenario's path: parameters where values vary, the one value where they don't."""
    rest = iter(filled)
    path = "/" + "/".join(next(rest) if segment is None else segment.replace("{", "%7B") for segment in each.template)
    query = "&".join(name.replace("{", "%7B") + (next(rest) if value is None else value) for name, value in each.query)
    return f"{path}?{query}" if query else path


def _csv(header: list[str], each: Seen, varying: list[int]) -> Iterator[str]:
    for row in (header, *([row[place] for place in varying] for row in each.rows)):
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(row)
        yield line.getvalue()


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "route"


def _expected(each: Seen) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Statuses that are good answers, and in words what the log has besides."""
    good = tuple(sorted(
        status for status, count in each.statuses.items()
        if status < 400 or (status in GOOD_CLIENT_ERRORS and count >= 0.001 * each.count)
    ))  # fmt: skip
    shown = ", ".join(f"{status}: {count:,}" for status, count in each.statuses.most_common(6))
    words = [f"{several(each.count, 'request')} in the log, by status: {shown}."]
    if each.statuses[401] + each.statuses[403]:
        words.append('Some were refused (401, 403): a log has no credentials; headers = { authorization = "..." }')
    if not any(status in GOOD_CLIENT_ERRORS for status in good):
        return (), tuple(words)
    words.append("404 and 410 are taken for good answers, since the log has them: keys that are gone. Is that right?")
    return good, tuple(words)


def _feed_remarks(each: Seen, varying: Sequence[int], name: str) -> tuple[str, ...]:
    keys = len({tuple(row[place] for place in varying) for row in each.rows})
    words = [
        f"{several(keys, 'different value')} of {several(each.offered, 'request')} of {name}, as often as in the log."
    ]
    if len(varying) > 1:
        words[0] = words[0].replace("different value", "different row")
    if each.offered > len(each.rows):
        words.append(
            f"A fair sample of {len(each.rows):,} of them: values asked for once are fewer here than in the log, and "
            "a cache looks better for it."
        )
    return tuple(words)


def _load_remarks(
    sent: Pace, everything: Pace, seen: Observed, stretch_s: float, speed: float | None, arrivals: str
) -> tuple[str, ...]:
    words = [
        f"The log's busiest minute had {figures.rate_words(sent.busiest_minute_per_s)} of the requests below, its "
        f"busiest second {sent.peak_per_s:,}; with all that is left out here the busiest second had "
        f"{everything.peak_per_s:,}."
        if sent.seconds >= 60
        else f"The log spans {sent.seconds:.0f} s: {figures.rate_words(sent.busiest_minute_per_s)} of the requests "
        f"below on average, {sent.peak_per_s:,} in the busiest second."
    ]
    what = "the whole log" if sent.seconds <= stretch_s else f"the log's busiest {stretch_s / 60:g} minutes"
    words.append(f"{arrivals} has every arrival of {what}, with its own path.")
    if sent.requests > replay.MOST:
        words.append(f"A replay has at most {replay.MOST:,} arrivals: the file ends there.")
    if speed is None:
        words.append(
            f'To send exactly those: arrivals = "replay" and replay = {{ file = "{arrivals}", speed = 1 }}, instead of '
            "rate_per_s, duration_s and warmup_s."
        )
    if seen.whole_seconds:
        words.append(
            f"{several(seen.whole_seconds, 'line')} say the second only: their arrivals are spread evenly within it, "
            "which is smoother than the truth. Log $msec to know."
        )
    return tuple(words)


def _found(files: Sequence[Path], seen: Observed, everything: Pace) -> str:
    named = files[0].name if len(files) == 1 else f"{files[0].name} and {several(len(files) - 1, 'file')} more"
    return f"{named}, {several(seen.requests, 'request')} in {everything.seconds:,.0f} s"


def _notes(seen: Observed, kept: Sequence[Seen], keys: str, *, by_api: bool) -> tuple[str, ...]:
    notes = []
    if seen.unread:
        number, why, _ = seen.first_unread or (0, "", b"")
        total = seen.unread.total()
        notes.append(
            f"{several(total, 'line')} of {seen.lines:,} could not be read; the first is line {number}: {why}."
        )
    if seen.writes:
        named = ", ".join(f"{name} ({count:,})" for name, count in seen.writes.most_common(5))
        rest = "" if len(seen.writes) <= 5 else f" and {len(seen.writes) - 5} more"
        notes.append(
            f"{several(seen.writes.total(), 'request')} that write are left out, also of the replay, since a log has "
            f"no bodies: {named}{rest}. Write them as routes of their own if the load is to have them."
        )
    for why, count in seen.left_out.most_common():
        notes.append(f"{several(count, 'request')} left out: {why}.")
    if by_api and seen.unknown_to_api:
        named = ", ".join(path for path, _ in seen.unknown_to_api.most_common(3))
        notes.append(
            f"{several(seen.unknown_to_api.total(), 'request')} for paths the API does not know, grouped by their "
            f"looks: {named}."
        )
    if seen.without_query:
        notes.append(
            f"{several(seen.without_query, 'line')} have nginx's $uri, which has no query: what routes are asked with "
            "is unknown for them. Log $request_uri to know."
        )
    if seen.redacted:
        notes.append(
            "Values of secrets in URLs are not written down: "
            + ", ".join(f"{name} ({count:,})" for name, count in seen.redacted.most_common(5))
            + ". Routes read them from the environment; the replay sends REDACTED."
        )
    if seen.odd_values:
        notes.append(f"{several(seen.odd_values, 'request')} have values that are not UTF-8 text: not among the keys.")
    if any(each.rows for each in kept):
        notes.append(f"{keys}/ and the replay hold values from the log: look for personal data before you commit them.")
    notes.append("A log has no request headers: add those the service needs (authorization, accept) to the routes.")
    return tuple(notes)
