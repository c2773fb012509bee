"""
vegeta's results: what `vegeta attack` writes (gob), what `vegeta encode` makes of it (JSON, CSV), and JSON reports.

Its clock runs from the moment it sent to the whole answer, connecting included. A hit that was late starts its clock
late: the times are not corrected for coordinated omission.
"""

from __future__ import annotations

import base64
import binascii
import csv
import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from headway.interchange import gob
from headway.interchange.foreign import Foreign, Requests, Routes, kind_of, opened, refused, statistics
from headway.model import Told

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TOOL = "vegeta"
TIMING = "from the moment vegeta sent, connecting included"
YEAR_ONE_S = 62_135_596_800
"""Go's clock counts from the year 1: seconds from there to 1970."""
_CSV_START = re.compile(rb"\d{16,20},\d{1,5},\d+,")
_REPORT_NAMES = {"mean": "avg", "50th": "p50", "90th": "p90", "95th": "p95", "99th": "p99", "max": "max", "min": "min"}
NEXT_ACT = "name what 'vegeta attack', 'vegeta encode' or 'vegeta report -type=json' wrote"

Hit = tuple[int, int, int, int, str, str, str]
"""Sent at (unix ns), latency ns, status, bytes in, error, method, URL."""


def read(file: Path, templates: Sequence[str] = ()) -> Foreign:
    """
    Read one file of results, whichever of the four forms it has.

    Raises:
        BadInput: it has none of them, or is damaged; with the line where there are lines.
    """
    content = opened(file)
    if content.lstrip()[:1] == b"{":
        report = _report(content)
        if report is not None:
            return _told(file, report)
        hits = _json(file, content)
    elif _CSV_START.match(content):
        hits = _csv(file, content)
    else:
        hits = _gob(file, content)
    routes, requests = Routes(templates), Requests()
    for sent_at_ns, latency_ns, status, received, error, method, url in hits:
        route, ended = routes.index(url, method), sent_at_ns + latency_ns
        if status:
            requests.statuses[status] += 1
        requests.received_bytes += received
        if error or not 200 <= status < 400:
            requests.failed(route, ended, latency_ns, kind_of(error, status), error or str(status))
        else:
            requests.good(route, ended, latency_ns)
    return Foreign(tool=TOOL, file=file, timing=TIMING, routes=tuple(routes.names), requests=requests)


def _gob(file: Path, content: bytes) -> Iterator[Hit]:
    done = 0
    try:
        for hit in gob.values(content):
            yield (
                _go_time_ns(hit["Timestamp"]), hit.get("Latency", 0), hit.get("Code", 0), hit.get("BytesIn", 0),
                hit.get("Error", ""), hit.get("Method", ""), hit.get("URL", ""),
            )  # fmt: skip
            done += 1
    except (gob.NotGob, TypeError, KeyError, AttributeError) as exc:
        where = f"after {done:,} results" if done else "from its first byte"
        raise refused(file, f"is no vegeta result file {where}: {exc}", NEXT_ACT) from exc


def _go_time_ns(data: object) -> int:
    """Version, seconds since the year 1, nanoseconds, zone: time.Time's own binary form."""
    if not isinstance(data, bytes) or len(data) < 15 or data[0] not in {1, 2}:
        raise gob.NotGob("a time of an unknown form")
    return (int.from_bytes(data[1:9], "big") - YEAR_ONE_S) * 10**9 + int.from_bytes(data[9:13], "big")


def _json(file: Path, content: bytes) -> Iterator[Hit]:
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            hit = json.loads(line)
            yield (
                _iso_ns(hit["timestamp"]), int(hit["latency"]), int(hit["code"]), int(hit.get("bytes_in", 0)),
                str(hit.get("error", "")), str(hit.get("method", "")), str(hit.get("url", "")),
            )  # fmt: skip
        except (ValueError, KeyError, TypeError) as exc:
            raise refused(file, f"is not a vegeta result: {exc!r}", NEXT_ACT, number) from exc


def _iso_ns(text: str) -> int:
    """RFC 3339 with up to nine digits of a second."""
    whole, _, rest = text.partition(".")
    digits = re.match(r"\d*", rest)[0] if rest else ""  # type: ignore[index]  # \d* fits anything
    zone = rest[len(digits) :]
    at = datetime.fromisoformat((whole + zone) if rest else text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no zone")
    return int(at.timestamp()) * 10**9 + int((digits + "0" * 9)[:9])


def _csv(file: Path, content: bytes) -> Iterator[Hit]:
    for number, row in enumerate(csv.reader(content.decode("utf-8", "replace").splitlines()), start=1):
        try:
            base64.b64decode(row[6], validate=True)
            yield int(row[0]), int(row[2]), int(row[1]), int(row[4]), row[5], row[9], row[10]
        except (ValueError, IndexError, binascii.Error) as exc:
            raise refused(file, f"is not a line of vegeta's CSV: {exc}", NEXT_ACT, number) from exc


def _report(content: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(content)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "latencies" in found else None


def _told(file: Path, report: dict[str, Any]) -> Foreign:
    try:
        requests = int(report["requests"])
        failed = requests - round(float(report["success"]) * requests)
        named = ((_REPORT_NAMES.get(name, ""), value) for name, value in report["latencies"].items())
        told = Told(
            route=None, requests=requests, failed=failed,
            statistics_ns=statistics(((name, value) for name, value in named if name), 1.0),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise refused(file, f"is not a vegeta report: {exc!r}", NEXT_ACT) from exc
    return Foreign(tool=TOOL, file=file, timing=TIMING, routes=("all requests",), told=(told,))
