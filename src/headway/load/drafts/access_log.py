"""
Lines of an access log: nginx's (and Apache's) combined and common formats, and nginx's JSON, one object a line.

A log is what strangers sent: no line, however long or odd, stops the reading or takes more than its share of memory.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, quote_from_bytes

from headway.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST_LINE = 64 << 10
_MONTHS = {name: number for number, name in enumerate(
    ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
)}  # fmt: skip
_COMMON = re.compile(
    r"\[(?P<time>\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4})\]"
    r' "(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<rest>.*)'
)
_TOOK = re.compile(r"\b(?:rt|request_time)[=:]\"?(\d+\.\d+)")
_REQUEST = re.compile(r"(?P<method>[A-Z][A-Z-]{0,19}) (?P<target>\S+)(?: HTTP/\d(?:\.\d)?)?")
_ESCAPE = re.compile(rb"\\x([0-9A-Fa-f]{2})|\\([\"\\])")
_IN_PATH = "/:@!$&'()*+,;=~-._"
_TIMES = ("msec", "time_iso8601", "time_local", "@timestamp", "timestamp", "time", "ts")


class Line(NamedTuple):
    """One request of a log."""

    method: str
    target: str  # path and query: printable ASCII, begins with "/", percent-encoded
    status: int
    at_us: int  # when it was logged, microseconds since 1970: nginx logs when the answer has been sent
    whole_second: bool  # the log says no more than the second
    took_us: int | None  # nginx's $request_time
    has_query: bool  # whether the log can say a query: $uri has none


class NotRead(NamedTuple):
    """A line that is none of a request: why."""

    why: str


NO_LINE = NotRead("not in a format known here")
NO_REQUEST = NotRead("not an HTTP request")
TOO_LONG = NotRead("longer than 64 KiB")


def lines(file: Path) -> Iterator[bytes]:
    """
    The lines of a log, plain or gzip; of one that is longer than LONGEST_LINE, b"".

    Raises:
        BadInput: no such file, a folder, no right to read, a pipe (the log is read twice), damaged gzip.
    """
    act = "name a log file that nginx wrote"
    if file.exists() and not file.is_file():
        raise BadInput("it is no regular file; a log is read twice", next_act="name a file", file=file)
    try:
        with file.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            yield from _bounded(gzip.GzipFile(fileobj=raw) if packed else raw)
    except OSError as exc:
        raise BadInput(f"cannot be read: {exc.strerror or exc}", next_act=act, file=file) from exc
    except (EOFError, zlib.error) as exc:
        raise BadInput(f"is a damaged gzip file: {exc}", next_act="fetch it again", file=file) from exc


def _bounded(stream: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    while line := stream.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = stream.readline(LONGEST_LINE)
            yield b""
        else:
            yield line


def parse(raw: bytes) -> Line | NotRead:
    """One line as a request, or why it is none."""
    if not raw:
        return TOO_LONG
    text = raw.decode("utf-8", "surrogateescape").strip()
    return _from_json(text) if text.startswith("{") else _from_common(text)


def _from_common(text: str) -> Line | NotRead:
    found = _COMMON.search(text)
    if found is None:
        return NO_LINE
    request = _REQUEST.fullmatch(found["request"])
    at = _local_us(found["time"])
    if request is None:
        return NO_REQUEST
    target = _target(_unescaped(request["target"]))
    if target is None or at is None:
        return NO_REQUEST if at is not None else NO_LINE
    took = _TOOK.search(found["rest"])
    took_us = round(float(took[1]) * 1e6) if took else None
    return Line(request["method"], target, int(found["status"]), at, True, took_us, True)


def _from_json(text: str) -> Line | NotRead:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return NO_LINE
    at, whole = _time(told)
    status = _number(told.get("status"))
    if at is None or status is None or not 100 <= status <= 599:
        return NO_LINE
    method, target, has_query = _request(told)
    if method is None or target is None:
        return NO_REQUEST
    took = _number(told.get("request_time"))
    took_us = round(took * 1e6) if took is not None and 0 <= took < 1e6 else None
    return Line(method, target, int(status), at, whole, took_us, has_query)


def _request(told: dict[str, Any]) -> tuple[str | None, str | None, bool]:
    """(method, target, whether a query would be in it)."""
    whole = told.get("request")
    if isinstance(whole, str):
        found = _REQUEST.fullmatch(whole)
        return (found["method"], _target(found["target"]), True) if found else (None, None, True)
    method = told.get("request_method", told.get("method"))
    if not isinstance(method, str) or re.fullmatch(r"[A-Z][A-Z-]{0,19}", method) is None:
        return None, None, True
    asked = told.get("request_uri")
    if isinstance(asked, str):
        return method, _target(asked), True
    return method, *_from_path(told)


def _from_path(told: dict[str, Any]) -> tuple[str | None, bool]:
    path = told.get("uri", told.get("path"))
    if not isinstance(path, str):
        return None, True
    query = told.get("args", told.get("query_string"))
    if isinstance(query, str):
        # nginx's $uri is decoded and normalised; $args is as it came.
        return _target(_encoded(path) + (f"?{query}" if query and query != "-" else "")), True
    return (_target(path), True) if "?" in path else (_target(_encoded(path)), "uri" not in told)


def _encoded(path: str) -> str:
    return quote(path, safe=_IN_PATH, errors="surrogateescape")


def _target(text: str) -> str | None:
    """Path and query as they can be sent; None for what is no path ("*", "http://...")."""
    if not text.startswith("/"):
        return None
    text = text.partition("#")[0]
    if text.isascii() and text.isprintable() and " " not in text:
        return text
    return quote_from_bytes(text.encode("utf-8", "surrogateescape"), safe="".join(map(chr, range(33, 127))))


def _unescaped(text: str) -> str:
    r"""nginx's `escape=default`: \x22 and the like are bytes."""
    if "\\" not in text:
        return text
    raw = text.encode("utf-8", "surrogateescape")
    raw = _ESCAPE.sub(lambda one: bytes([int(one[1], 16)]) if one[1] else one[2], raw)
    return raw.decode("utf-8", "surrogateescape")


def _time(told: dict[str, Any]) -> tuple[int | None, bool]:
    for key in _TIMES:
        value = told.get(key)
        if isinstance(value, str) and "T" in value:
            return _iso_us(value), "." not in value
        if isinstance(value, str) and "/" in value:
            return _local_us(value), True
        number = _number(value)
        if number is not None and number > 0:
            seconds = number / 1000 if number > 1e11 else number  # milliseconds, as some write
            return (round(seconds * 1e6), isinstance(value, int) and number < 1e11) if seconds < 1e11 else (None, False)
    return None, False


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) < 1e15 else None
    if isinstance(value, str) and re.fullmatch(r"\d{1,15}(?:\.\d{1,9})?", value):
        return float(value)
    return None


@lru_cache(maxsize=4096)
def _local_us(text: str) -> int | None:
    """`10/Oct/2000:13:55:36 -0700`, without asking the locale for the month."""
    try:
        offset = timedelta(hours=int(text[-4:-2]), minutes=int(text[-2:]))
        at = datetime(
            int(text[7:11]), _MONTHS[text[3:6]], int(text[0:2]), int(text[12:14]), int(text[15:17]), int(text[18:20]),
            tzinfo=timezone(-offset if text[-5] == "-" else offset),
        )  # fmt: skip
        return int(at.timestamp()) * 1_000_000
    except (KeyError, ValueError, IndexError, OverflowError):
        return None


@lru_cache(maxsize=4096)
def _iso_us(text: str) -> int | None:
    try:
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return round(at.timestamp() * 1e6)
    except (ValueError, OverflowError):
        return None
