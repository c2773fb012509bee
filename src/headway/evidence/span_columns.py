"""The columns of SPANS_FILE: one row a span, whatever conventions its SDK wrote it in."""

from __future__ import annotations

import pyarrow as pa

_WORDS = pa.dictionary(pa.int32(), pa.string())

SPANS = pa.schema(
    [
        ("trace_id", pa.binary(16)),
        ("span_id", pa.binary(8)),
        ("parent_id", pa.binary(8)),  # null: a root
        ("service", _WORDS),
        ("name", _WORDS),
        ("kind", pa.int8()),  # as OTLP: 1 internal, 2 server, 3 client, 4 producer, 5 consumer
        ("start_ns", pa.int64()),  # unix
        ("duration_ns", pa.int64()),  # never below 0: a span that ends before it starts has 0 and `skewed`
        ("skewed", pa.bool_()),
        ("error", pa.bool_()),
        ("route", _WORDS),  # of a server span: "GET /users/{id}"
        ("status", pa.int16()),  # of HTTP
        ("system", _WORDS),  # "postgresql", "redis", ...: a span to a database or a cache
        ("statement", _WORDS),  # its text without constants; of redis the command and the key's template
        ("operation", _WORDS),  # SELECT, GET, ...
        ("peer", _WORDS),  # server.address:port
        ("code", _WORDS),  # "shop/routes/users.py:41 in list_users", where the SDK says it
        ("key", pa.uint64()),  # salted hash: of a request its method, path and query; of a statement text and values
        ("rows", pa.int64()),  # returned, where it says
        ("body_bytes", pa.int64()),  # of the answer, where it says
        ("thread", pa.int64()),  # thread.id, where it says
    ]
)
"""Null is "not said". Texts have no constants unless the run was told to show values; keys never can be read back."""
