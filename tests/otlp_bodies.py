"""Bodies of OTLP as SDKs send them, for the tests."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from headway.conventions import SPANS_FILE
from headway.evidence.otlp import outline, rows, spans
from headway.evidence.otlp.fields import Buffer
from headway.evidence.otlp.intake import Intake
from headway.evidence.otlp.rows import Manner
from headway.evidence.otlp.spool import SPOOL_FILE, to_parquet

MS = 1_000_000
START_NS = 1_790_000_000_000_000_000
MANNER = Manner(salt=b"salt of the tests")
SERVER, CLIENT = 2, 3
_numbers = itertools.count(1)


def request(*made: Mapping[str, Any], service: str = "shop") -> ExportTraceServiceRequest:
    """A request with these spans: mappings of the message's fields and `attributes`; what is missing is made."""
    found = ExportTraceServiceRequest()
    resource = found.resource_spans.add()
    attributes(resource.resource.attributes, {"service.name": service, "telemetry.sdk.language": "python",
                                              "telemetry.sdk.version": "1.2.3"})  # fmt: skip
    scope = resource.scope_spans.add()
    scope.scope.name = "tests"
    for each in made:
        number = next(_numbers)
        told: dict[str, Any] = {
            "trace_id": number.to_bytes(16, "big"), "span_id": number.to_bytes(8, "big"), "name": "span",
            "kind": CLIENT, "start_time_unix_nano": START_NS, "end_time_unix_nano": START_NS + MS, **each,
        }  # fmt: skip
        said = told.pop("attributes", {})
        code = told.pop("status_code", 0)
        span = scope.spans.add(**told)
        attributes(span.attributes, said)
        if code:
            span.status.code = code
    return found


def many(made: Mapping[str, Any], count: int) -> bytes:
    """A request of `count` spans that differ in their ids and begin one ns after another; quickly made."""
    one = request({**made, "span_id": b"ID-of-it", "end_time_unix_nano": START_NS})
    text = one.resource_spans[0].scope_spans[0].spans[0].SerializeToString()
    at = START_NS.to_bytes(8, "little")
    head = bytes([0x12, len(text) & 0x7F | 0x80, len(text) >> 7])
    assert 128 <= len(text) < 1 << 14
    spans = b"".join(
        head + text.replace(b"ID-of-it", n.to_bytes(8, "big")).replace(at, (START_NS + n).to_bytes(8, "little"))
        for n in range(1, count + 1)
    )
    outer = ExportTraceServiceRequest()
    outer.resource_spans.add().scope_spans.add().ParseFromString(spans)
    return bytes(outer.SerializeToString())


def attributes(into: Any, said: Mapping[str, Any]) -> None:
    """Attributes of Python values."""
    for key, value in said.items():
        one = into.add()
        one.key = key
        _set(one.value, value)


def _set(into: Any, value: Any) -> None:
    match value:
        case bool():
            into.bool_value = value
        case int():
            into.int_value = value
        case float():
            into.double_value = value
        case str():
            into.string_value = value
        case bytes():
            into.bytes_value = value
        case dict():
            into.kvlist_value.SetInParent()
            attributes(into.kvlist_value.values, value)
        case list():
            into.array_value.SetInParent()
            for each in value:
                _set(into.array_value.values.add(), each)


def kept(*bodies: bytes, manner: Manner = MANNER) -> list[dict[str, Any]]:
    """The rows that are made of bodies taken apart together."""
    starts = list(itertools.accumulate((len(each) for each in bodies), initial=0))[:-1]
    buffer = Buffer(b"".join(bodies))
    found = outline.joined([outline.outline(each) for each in bodies], starts)
    batch, _ = rows.table(spans.decoded(buffer, found, 0, len(found)), manner)
    return batch.to_pylist()  # type: ignore[no-any-return]  # pyarrow ships no types


def row(attributes: Mapping[str, Any], *, manner: Manner = MANNER, **span: Any) -> dict[str, Any]:
    """The row of one span with these attributes."""
    (one,) = kept(request({"attributes": attributes, **span}).SerializeToString(), manner=manner)
    return one


def as_json(message: ExportTraceServiceRequest) -> bytes:
    """As OTLP has it in JSON: ids in hexadecimal, enumerations as numbers, 64-bit numbers as texts."""
    content = json_format.MessageToDict(message, use_integers_for_enums=True)
    source = [span for a in message.resource_spans for b in a.scope_spans for span in b.spans]
    told = [span for a in content["resourceSpans"] for b in a["scopeSpans"] for span in b["spans"]]
    for span, said in zip(source, told, strict=True):
        said |= {"traceId": span.trace_id.hex(), "spanId": span.span_id.hex()}
        if span.parent_span_id:
            said["parentSpanId"] = span.parent_span_id.hex()
    return json.dumps(content).encode()


def stored(folder: Path, bodies: Iterable[bytes]) -> Intake:
    """The folder's spans as a run's receiver would leave them."""
    intake = Intake(MANNER)
    intake.store(folder / SPOOL_FILE)
    for body in bodies:
        intake.take(body)
    intake.close()
    to_parquet(folder / SPOOL_FILE, folder / SPANS_FILE)
    return intake


def read(folder: Path) -> list[dict[str, Any]]:
    """The spans of a folder."""
    return pq.read_table(folder / SPANS_FILE).to_pylist()  # type: ignore[no-any-return]  # pyarrow ships no types
