"""Runs code under OpenTelemetry's psycopg instrumentation, and keeps its spans as a run's spans.parquet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from headway.conventions import SPANS_FILE
from headway.diagnose.rules import n_plus_one
from headway.diagnose.traced_repeats import Window
from headway.evidence.span_columns import SPANS

KINDS = {
    SpanKind.INTERNAL: 1, SpanKind.SERVER: 2, SpanKind.CLIENT: 3, SpanKind.PRODUCER: 4, SpanKind.CONSUMER: 5,
}  # fmt: skip


def judged(folder: Path, route: str, requests: list[Callable[[], object]]) -> list[n_plus_one.Told]:
    """Each call is one request of the route; what the rule makes of their spans."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = PsycopgInstrumentor()
    instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
    try:
        tracer = provider.get_tracer("test")
        for request in requests:
            with tracer.start_as_current_span(route, kind=SpanKind.SERVER):
                request()
    finally:
        instrumentor.uninstrument()
    rows = [_row(each) for each in exporter.get_finished_spans()]
    columns = {name: pa.array([row.get(name) for row in rows], SPANS.field(name).type) for name in SPANS.names}
    pq.write_table(pa.table(columns), folder / SPANS_FILE)
    return list(n_plus_one.told(folder, [Window(name="all", begin_ns=0, end_ns=2**62)]))


def _row(span: ReadableSpan) -> dict[str, Any]:
    attributes = dict(span.attributes or {})
    context = span.get_span_context()
    if context is None:
        raise TypeError("a span without ids")
    server = span.kind is SpanKind.SERVER
    return {
        "trace_id": context.trace_id.to_bytes(16, "big"),
        "span_id": context.span_id.to_bytes(8, "big"),
        "parent_id": None if span.parent is None else span.parent.span_id.to_bytes(8, "big"),
        "service": "test", "name": span.name, "kind": KINDS[span.kind], "start_ns": span.start_time,
        "duration_ns": (span.end_time or 0) - (span.start_time or 0), "skewed": False, "error": False,
        "route": span.name if server else None, "system": attributes.get("db.system"),
        "statement": attributes.get("db.statement"),
    }  # fmt: skip
