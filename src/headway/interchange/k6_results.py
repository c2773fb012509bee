"""
k6's results: every point (`k6 run --out json=FILE`, gzip too), or a summary (`--summary-export`, `handleSummary`).

http_req_duration counts sending, waiting and receiving: waiting for a free connection, connecting and TLS are not in
it, and an iteration that started late starts its clock late. Not corrected for coordinated omission.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from array import array
from contextlib import nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any

from headway.interchange.foreign import Foreign, Requests, Routes, kind_of, refused, statistics
from headway.model import FailureKind, Told

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TOOL = "k6"
TIMING = "k6's http_req_duration, from the actual send time, connecting not included"
NEXT_ACT = "name what 'k6 run --out json=FILE' or '--summary-export FILE' wrote"
_POINT = '"type":"Point"'
_DURATION, _DROPPED, _CHECKS = ('"metric":"http_req_duration"', '"metric":"dropped_iterations"', '"metric":"checks"')
_SELECTED = re.compile(r"^(\w+)\{(.*)\}$")
_NAME_TAG = re.compile(r"(?:^|,)name:(.*?)(?=,\w+:|$)")
_KINDS = {
    1050: FailureKind.TIMEOUT, 1101: FailureKind.CONNECT, 1211: FailureKind.CONNECT_TIMEOUT,
    1212: FailureKind.CONNECT, 1220: FailureKind.RESET,
}  # fmt: skip
"""k6's error codes. Source: k6 documentation, "Error codes"."""
_RANGES = (
    (1100, FailureKind.CONNECT),
    (1200, FailureKind.CONNECT),
    (1300, FailureKind.TLS),
    (1600, FailureKind.PROTOCOL),
)


def read(file: Path, templates: Sequence[str] = ()) -> Foreign:
    """
    Read k6's points or summary, whichever the file holds.

    Raises:
        BadInput: neither, or damaged; with the line where there are lines.
    """
    lines = _lines(file)
    try:
        first = next((line for line in lines if line.strip()), "")
        if not first:
            raise refused(file, "is empty", NEXT_ACT)
        if '"type":"Metric"' in first or _POINT in first:
            return _points(file, _again(first, lines), Routes(templates))
        text = first + "".join(lines)
    except (OSError, EOFError, zlib.error) as exc:
        raise refused(file, f"cannot be read: {exc}", NEXT_ACT) from exc
    return _summary(file, text, Routes(templates))


def _lines(file: Path) -> Iterator[str]:
    try:
        with file.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            plain = gzip.GzipFile(fileobj=raw) if packed else nullcontext(raw)
            with plain as stream, io.TextIOWrapper(stream, "utf-8", "replace") as text:
                yield from text
    except (OSError, EOFError, zlib.error) as exc:
        raise refused(file, f"cannot be read: {exc}", NEXT_ACT) from exc


def _again(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _points(file: Path, lines: Iterator[str], routes: Routes) -> Foreign:
    requests, dropped, unchecked, scenarios = Requests(), array("q"), 0, dict[str, None]()
    for number, line in enumerate(lines, start=1):
        if _POINT not in line or not (_DURATION in line or _DROPPED in line or _CHECKS in line):
            continue
        try:
            data = json.loads(line)["data"]
            tags: dict[str, str] = data.get("tags") or {}
            if _DURATION in line:
                _request(requests, routes, data, tags)
                scenarios[tags.get("scenario", "")] = None
            elif _DROPPED in line:
                dropped.extend([_ns(data["time"])] * int(data["value"]))
            else:
                unchecked += not data["value"]
        except (ValueError, KeyError, TypeError) as exc:
            raise refused(file, f"is not a point of k6's: {exc!r}", NEXT_ACT, number) from exc
    notes = []
    if unchecked:
        notes.append(f"{unchecked:,} checks failed in k6; it does not say of which requests, so none counts as failed")
    if len(scenarios) > 1:
        notes.append(f"k6 ran several scenarios, taken together: {', '.join(scenarios)}")
    return Foreign(
        tool=TOOL, file=file, timing=TIMING, routes=tuple(routes.names), requests=requests, dropped_at_ns=dropped,
        notes=tuple(notes),
    )  # fmt: skip


def _request(requests: Requests, routes: Routes, data: dict[str, Any], tags: dict[str, str]) -> None:
    route = routes.index(tags.get("name") or tags.get("url", ""), tags.get("method", ""))
    status, ended = int(tags.get("status", "0")), _ns(data["time"])
    latency_ns = round(float(data["value"]) * 1e6)
    if status:
        requests.statuses[status] += 1
    expected = tags.get("expected_response")
    if status and (200 <= status < 400 if expected is None else expected == "true"):
        requests.good(route, ended, latency_ns)
        return
    words = tags.get("error") or str(status)
    requests.failed(route, ended, latency_ns, _kind(int(tags.get("error_code", "0")), words, status), words)


def _kind(code: int, words: str, status: int) -> FailureKind:
    if status:
        return FailureKind.STATUS
    if code in _KINDS:
        return _KINDS[code]
    near = next((kind for start, kind in _RANGES if start <= code < start + 100), None)
    return near or kind_of(words, 0)


def _ns(text: str) -> int:
    """RFC 3339, nanoseconds kept."""
    fraction = re.search(r"\.(\d+)", text)
    digits = fraction[1] if fraction else ""
    at = datetime.fromisoformat(text.replace(f".{digits}", "", 1) if digits else text)
    return int(at.timestamp()) * 10**9 + int((digits + "0" * 9)[:9])


def _summary(file: Path, text: str, routes: Routes) -> Foreign:
    try:
        content = json.loads(text)
        metrics: dict[str, Any] = {
            name: each.get("values", each) for name, each in content["metrics"].items() if isinstance(each, dict)
        }
        told = [each for each in _tellings(metrics, routes) if each is not None]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise refused(file, f"is neither k6's points nor a summary of k6's: {exc!r}", NEXT_ACT) from exc
    if not told:
        raise refused(file, "is a summary without a single HTTP request", "run k6 against an HTTP service")
    notes = []
    dropped = int(metrics.get("dropped_iterations", {}).get("count", 0))
    if dropped:
        notes.append(f"k6 dropped {dropped:,} iterations that it had planned: the load promised was not the load made")
    names = tuple(each.route for each in told if each.route is not None)
    return Foreign(
        tool=TOOL, file=file, timing=TIMING, routes=names or ("all requests",), told=tuple(told), notes=tuple(notes)
    )


def _tellings(metrics: dict[str, Any], routes: Routes) -> Iterator[Told | None]:
    """All requests first, then each route that a threshold asked of by its name."""
    for key, values in metrics.items():
        if key == "http_req_duration":
            yield _told(None, key, values, metrics)
    for key, values in metrics.items():
        selected = _SELECTED.match(key)
        name = _NAME_TAG.search(selected[2]) if selected and selected[1] == "http_req_duration" else None
        if selected and name and "expected_response:" not in selected[2]:
            yield _told(routes.names[routes.index(name[1])], key, values, metrics)


def _told(route: str | None, key: str, values: dict[str, Any], metrics: dict[str, Any]) -> Told | None:
    """What belongs together: the durations, the number of requests and the failed of one selector."""
    selector = key.removeprefix("http_req_duration")
    failures = metrics.get(f"http_req_failed{selector}", {})
    passes, fails = int(failures.get("passes", 0)), int(failures.get("fails", 0))
    count = metrics.get(f"http_reqs{selector}", {}).get("count", values.get("count", passes + fails))
    if not count:
        return None
    named = (
        ("p50" if name == "med" else re.sub(r"^p\((.+)\)$", r"p\1", name), value) for name, value in values.items()
    )
    times = statistics(((name, value) for name, value in named if re.match(r"p[\d.]+$|avg$|min$|max$", name)), 1e6)
    return Told(route=route, requests=int(count), failed=passes, statistics_ns=times)
