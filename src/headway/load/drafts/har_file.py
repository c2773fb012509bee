"""An HTTP archive (HAR 1.2) as a browser saves it: the requests of one visit, in order."""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from headway.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_BYTES = 512 << 20
MOST_STEPS = 1_000
SAVE = 'save it anew: developer tools, Network, "Save all as HAR with content"'


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request and its answer. Header names are lower case; `end_s` is when the answer was whole."""

    number: int  # its place among the archive's entries, from 1
    page: str | None
    start_s: float
    end_s: float
    method: str
    origin: str
    target: str  # path and query
    headers: tuple[tuple[str, str], ...]
    cookies: tuple[str, ...]  # names it was sent with
    body: str | None
    media: str
    status: int
    answer_headers: tuple[tuple[str, str], ...]
    answer: str
    answer_media: str


@dataclass(kw_only=True)
class Visit:
    """What the archive holds, and what of it is of no use."""

    file: Path
    creator: str
    exchanges: list[Exchange] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def read(file: Path) -> Visit:
    """
    Read an archive.

    Raises:
        BadInput: it cannot be read, is not JSON (with line and column), is no archive, or holds no request.
    """
    told = _parsed(file)
    log = told.get("log") if isinstance(told, dict) else None
    if not isinstance(log, dict) or not isinstance(log.get("entries"), list):
        raise BadInput('is no HTTP archive: it has no "log" with "entries"', next_act=SAVE, file=file)
    creator = _table(log.get("creator"))
    visit = Visit(file=file, creator=f"{creator.get('name', 'unknown')} {creator.get('version', '')}".strip()[:60])
    for number, entry in enumerate(log["entries"], start=1):
        found = _exchange(number, entry)
        if isinstance(found, str):
            visit.left_out[found] += 1
        else:
            visit.exchanges.append(found)
    visit.exchanges.sort(key=lambda each: (each.start_s, each.number))
    if not visit.exchanges:
        why = ", ".join(f"{reason} ({count})" for reason, count in visit.left_out.items())
        raise BadInput(f"holds no request over HTTP: {why or 'it has no entries'}", next_act=SAVE, file=file)
    return visit


def _parsed(file: Path) -> Any:
    try:
        if file.is_dir():
            raise BadInput("is a folder", next_act="name the archive's file", file=file)
        with file.open("rb") as stream:
            raw = stream.read(LARGEST_BYTES + 1)
    except OSError as exc:
        raise BadInput(f"cannot be read: {exc.strerror}", next_act="name the archive's file", file=file) from exc
    if len(raw) > LARGEST_BYTES:
        raise BadInput("is over 512 MiB", next_act="record a shorter visit", file=file)
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as exc:
        raise BadInput("is not UTF-8", next_act=SAVE, file=file) from exc
    except json.JSONDecodeError as exc:
        raise BadInput(
            f"is not JSON: {exc.msg}, column {exc.colno}", next_act=SAVE, file=file, line=exc.lineno
        ) from exc
    except RecursionError as exc:
        raise BadInput("is nested too deeply", next_act=SAVE, file=file) from exc


def _exchange(number: int, entry: Any) -> Exchange | str:
    """An entry, or why it is of no use."""
    entry = _table(entry)
    request, response = _table(entry.get("request")), _table(entry.get("response"))
    try:
        parts = urlsplit(str(request.get("url")))
        _ = parts.port
        start_s = _seconds(str(entry.get("startedDateTime")))
    except ValueError:
        return "has no URL or no time that can be read"
    method = str(request.get("method", "")).upper()
    status = response.get("status")
    if parts.scheme not in {"http", "https"}:
        return f"{parts.scheme or 'no'} scheme"
    if entry.get("_fromCache") or entry.get("_fetchedViaServiceWorker"):
        return "answered by the browser's own cache"
    if method == "OPTIONS" or entry.get("_resourceType") == "preflight":
        return "preflight, which browsers send and a load need not"
    if not isinstance(status, int) or not 100 <= status <= 599 or status == 101:
        return "no answer was recorded, or it is a WebSocket"
    took_ms = entry.get("time")
    took_ms = took_ms if isinstance(took_ms, int | float) and 0 <= took_ms < 1e8 else 0
    post, content = _table(request.get("postData")), _table(response.get("content"))
    body = post.get("text")
    return Exchange(
        number=number,
        page=str(entry["pageref"]) if "pageref" in entry else None,
        start_s=start_s,
        end_s=start_s + took_ms / 1e3,
        method=method,
        origin=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        headers=_headers(request),
        cookies=_cookies(request),
        body=body if isinstance(body, str) and body else None,
        media=str(post.get("mimeType", "")).partition(";")[0].strip().lower(),
        status=status,
        answer_headers=_headers(response),
        answer=_text(content),
        answer_media=str(content.get("mimeType", "")).partition(";")[0].strip().lower(),
    )


def _seconds(text: str) -> float:
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def _headers(message: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    listed = message.get("headers")
    return tuple(
        (str(each["name"]).lower(), str(each["value"]))
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, dict) and "name" in each and "value" in each
    )


def _cookies(request: dict[str, Any]) -> tuple[str, ...]:
    sent = "; ".join(value for name, value in _headers(request) if name == "cookie")
    names = [part.partition("=")[0].strip() for part in sent.split(";")]
    listed = request.get("cookies")
    names += [str(each.get("name")) for each in (listed if isinstance(listed, list) else ()) if isinstance(each, dict)]
    return tuple(dict.fromkeys(name for name in names if name))


def _text(content: dict[str, Any]) -> str:
    text = content.get("text")
    if not isinstance(text, str):
        return ""
    if content.get("encoding") != "base64":
        return text
    try:
        return base64.b64decode(text, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
