"""
Where the spans of a body are, and whose: what is found while it is received. What is in them is looked at later.

Source: github.com/open-telemetry/opentelemetry-proto, trace/v1/trace.proto.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from headway.evidence.otlp.fields import ALIKE_HEAD, Malformed, alike, piece, pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]

MOST_SPANS = 200_000
"""Spans of one body. Empty ones take two bytes each, and a hundred times that once they are taken apart."""


class TooMany(Malformed):
    """A body with more spans than are taken at once."""


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Who sent a batch, as its resource says."""

    service: str
    sdk: str  # "python 1.45.1"


def check(body: bytes) -> None:
    """
    Whether a body is what it should be, to its last text.

    Raises:
        Malformed: it is no ExportTraceServiceRequest.
    """
    try:
        ExportTraceServiceRequest.FromString(body)
    except DecodeError as exc:
        raise Malformed(f"not an ExportTraceServiceRequest: {exc}") from exc


@lru_cache(maxsize=1_000)
def sender(resource: bytes) -> Sender:
    """What a Resource message says of its sender."""
    said = {
        each.key: each.value.string_value
        for each in Resource.FromString(resource).attributes
        if each.key.startswith(("service.name", "telemetry.sdk."))
    }
    sdk = f"{said.get('telemetry.sdk.language', '?')} {said.get('telemetry.sdk.version', '')}".strip()
    return Sender(service=said.get("service.name") or "unknown_service", sdk=sdk)


@lru_cache(maxsize=1_000)
def scope_name(scope: bytes) -> str:
    """The name of an instrumentation and its version."""
    found = InstrumentationScope.FromString(scope)
    return f"{found.name} {found.version}".strip()


@dataclass(frozen=True, kw_only=True)
class Outline:
    """Where (n,) spans are in a body, who of `senders` sent each, and by which instrumentations they were made."""

    low: IntArray
    high: IntArray
    sender: IntArray
    senders: tuple[Sender, ...]
    scopes: frozenset[str]

    def __len__(self) -> int:
        return len(self.low)


def outline(body: bytes) -> Outline:
    """
    Find the spans of a body.

    Raises:
        TooMany: it has more than MOST_SPANS.
        Malformed: it is damaged.
    """
    found = _Found()
    for number, begin, end in pieces(body, 0, len(body)):
        if number == 1:
            _resource_spans(body, begin, end, found)
    low, high, sender = (np.array(each, dtype=np.int64) for each in (found.low, found.high, found.sender))
    return Outline(low=low, high=high, sender=sender, senders=tuple(found.senders), scopes=frozenset(found.scopes))


@dataclass(kw_only=True)
class _Found:
    low: list[int] = field(default_factory=list)
    high: list[int] = field(default_factory=list)
    sender: list[int] = field(default_factory=list)
    senders: dict[Sender, int] = field(default_factory=dict)
    scopes: set[str] = field(default_factory=set)


def _resource_spans(content: bytes, low: int, high: int, found: _Found) -> None:
    parts = list(pieces(content, low, high))
    resource = next((content[a:b] for number, a, b in reversed(parts) if number == 1), b"")
    try:
        whose = found.senders.setdefault(sender(resource), len(found.senders))
        for number, a, b in parts:
            if number != 2:  # scope_spans
                continue
            _scope_spans(content, a, b, found)
            found.sender.extend([whose] * (len(found.low) - len(found.sender)))
            if len(found.low) > MOST_SPANS:
                raise TooMany(f"more than {MOST_SPANS:,} spans in one body")
    except DecodeError as exc:
        raise Malformed(str(exc)) from exc


def _scope_spans(content: bytes, low: int, high: int, found: _Found) -> None:
    at = low
    while at < high:
        begins = alike(content, 2, at, high)
        found.low += begins[:-1]
        found.high += [each - ALIKE_HEAD for each in begins[1:]]
        at = begins[-1] - ALIKE_HEAD
        # What else there is: the scope, and spans of an unusual size.
        number, begin, end = piece(content, at, high) if at < high else (0, at, at)
        if number == 2:
            found.low.append(begin)
            found.high.append(end)
        elif number == 1:
            found.scopes.add(scope_name(content[begin:end]))
        at = end


def joined(outlines: Sequence[Outline], starts: Sequence[int]) -> Outline:
    """The outline of bodies that stand one after another, each from its start on."""
    senders: dict[Sender, int] = {}
    numbers = [
        np.array([senders.setdefault(one, len(senders)) for one in each.senders], dtype=np.int64) for each in outlines
    ]
    pairs = list(zip(outlines, starts, strict=True))
    return Outline(
        low=np.concatenate([each.low + start for each, start in pairs]),
        high=np.concatenate([each.high + start for each, start in pairs]),
        sender=np.concatenate([own[each.sender] for own, each in zip(numbers, outlines, strict=True)]),
        senders=tuple(senders),
        scopes=frozenset().union(*(each.scopes for each in outlines)),
    )
