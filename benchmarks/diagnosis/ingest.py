"""
How fast traces are taken in, on one core, and how long ten million spans take to be looked through.

    python benchmarks/diagnosis/ingest.py [--quick] [--analyse]

Taking in: the run's own receiver, its process held to one core, is sent bodies of 512 spans over HTTP by another
process until all are on disk; then they become Parquet, on one core as well. Its peer gets the same bodies, without
HTTP: opentelemetry-proto's own objects, a row for each span, pyarrow, Parquet, which is what one writes first.

Looking through: N+1, the requests of the latency budget by route and band, and the coverage, in a process of its own.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from headway.conventions import SPANS_FILE
from headway.diagnose import coverage, traced
from headway.diagnose.budget import BANDS
from headway.diagnose.rules import n_plus_one
from headway.diagnose.traced_repeats import Window
from headway.evidence.otlp import spool
from headway.evidence.span_columns import SPANS
from headway.evidence.traces import Traces
from headway.model import TraceIntake

SPANS_A_BODY = 512
CALLS_A_REQUEST = 9
START_NS = 1_790_000_000_000_000_000
STATEMENTS = [
    f"SELECT id, name, price_cents, created_at FROM table_{n} WHERE owner_id = %(owner_id)s ORDER BY created_at DESC"
    for n in range(30)
]
ROUTES = [f"/things_{n}/{{id}}" for n in range(10)]


def body(rng: random.Random) -> bytes:
    """Spans as the Python SDK sends them: a request with ten attributes, nine statements of eight each."""
    made = ExportTraceServiceRequest()
    outer = made.resource_spans.add()
    _attributes(outer.resource.attributes, {"service.name": "shop", "telemetry.sdk.language": "python"})
    spans = outer.scope_spans.add().spans
    trace = parent = b""
    for number in range(SPANS_A_BODY):
        is_request = number % (CALLS_A_REQUEST + 1) == 0
        own = rng.randbytes(8)
        if is_request:
            trace, parent = rng.randbytes(16), own
        at = START_NS + rng.randrange(10**9)
        span = spans.add(
            trace_id=trace, span_id=own, parent_span_id=b"" if is_request else parent, name="SELECT", flags=256,
            kind=2 if is_request else 3, start_time_unix_nano=at, end_time_unix_nano=at + rng.randrange(10**6, 10**7),
        )  # fmt: skip
        _attributes(span.attributes, _of_request(rng) if is_request else _of_statement(rng))
    return bytes(made.SerializeToString())


def _of_request(rng: random.Random) -> dict[str, str | int]:
    route = rng.choice(ROUTES)
    return {
        "http.scheme": "http", "http.host": "127.0.0.1:8000", "net.host.port": 8000, "http.flavor": "1.1",
        "http.target": route.replace("{id}", str(rng.randrange(10_000))), "http.user_agent": "headway/0.1",
        "http.method": "GET", "http.route": route, "net.peer.ip": "127.0.0.1", "http.status_code": 200,
    }  # fmt: skip


def _of_statement(rng: random.Random) -> dict[str, str | int]:
    return {
        "db.system": "postgresql", "db.name": "shop", "db.statement": rng.choice(STATEMENTS), "db.user": "shop",
        "net.peer.name": "127.0.0.1", "net.peer.port": 5432, "thread.id": 140_000_000, "thread.name": "MainThread",
    }  # fmt: skip


def _attributes(into: object, said: dict[str, str | int]) -> None:
    for key, value in said.items():
        one = into.add(key=key)  # type: ignore[attr-defined]  # protobuf's repeated field
        if isinstance(value, int):
            one.value.int_value = value
        else:
            one.value.string_value = value


def post(port: int, bodies: list[bytes], times: int) -> int:
    """Send every body so many times on one connection; how often "come again" was answered, and was obeyed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    busy = 0
    for _ in range(times):
        for each in bodies:
            while True:
                connection.request("POST", "/v1/traces", each, {"content-type": "application/x-protobuf"})
                answer = connection.getresponse()
                answer.read()
                if answer.status == http.HTTPStatus.OK:
                    break
                assert answer.status == http.HTTPStatus.SERVICE_UNAVAILABLE, answer.status
                busy += 1
                connection.close()
                time.sleep(0.05)
    connection.close()
    return busy


def received(bodies: list[bytes], times: int, folder: Path) -> dict[str, float]:
    """The run's own receiver on one core: µs of processor time a span, spans a second, its peak memory."""
    collector = Traces(TraceIntake(port=0))
    collector.check()
    assert collector.pid is not None
    process = psutil.Process(collector.pid)
    process.cpu_affinity([0])
    os.sched_setaffinity(0, {1 if (os.cpu_count() or 1) > 1 else 0})
    collector.opened(folder)
    count = len(bodies) * times * SPANS_A_BODY
    peak = [0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            peak[0] = max(peak[0], process.memory_info().rss)

    threading.Thread(target=watch, daemon=True).start()
    before, began = sum(process.cpu_times()[:2]), time.perf_counter()
    busy = post(int(collector.endpoint.rpartition(":")[2]), bodies, times)
    while collector._told.get("stored", 0) < count:  # what it tells once a second
        time.sleep(0.02)
    wall, cpu = time.perf_counter() - began, sum(process.cpu_times()[:2]) - before
    over.set()
    collector.finish()
    began_cpu = time.process_time()
    collector.write(folder)
    parquet = time.process_time() - began_cpu
    collector.close()
    assert pq.read_metadata(folder / SPANS_FILE).num_rows == count
    return {"wall_s": wall, "us": cpu / count * 1e6, "parquet_us": parquet / count * 1e6, "peak": peak[0], "busy": busy,
            "count": count, "size": (folder / SPANS_FILE).stat().st_size / count}  # fmt: skip


def plain(bodies: list[bytes], folder: Path) -> float:
    """The same with opentelemetry-proto's objects and pyarrow: µs of processor time a span, HTTP not counted."""
    began = time.process_time()
    wanted = {
        "db.system",
        "db.statement",
        "http.route",
        "http.method",
        "http.status_code",
        "net.peer.name",
        "thread.id",
    }
    with pq.ParquetWriter(folder / "plain.parquet", _PLAIN, compression="zstd", compression_level=1) as writer:
        for first in range(0, len(bodies), 16):
            rows = []
            for each in bodies[first : first + 16]:
                for outer in ExportTraceServiceRequest.FromString(each).resource_spans:
                    for span in (one for scope in outer.scope_spans for one in scope.spans):
                        said = {a.key: getattr(a.value, a.value.WhichOneof("value") or "") for a in span.attributes
                                if a.key in wanted}  # fmt: skip
                        rows.append(
                            {
                                "trace_id": span.trace_id, "span_id": span.span_id, "parent_id": span.parent_span_id,
                                "name": span.name, "kind": span.kind, "start_ns": span.start_time_unix_nano,
                                "duration_ns": span.end_time_unix_nano - span.start_time_unix_nano, **said,
                            }
                        )  # fmt: skip
            writer.write_table(pa.Table.from_pylist(rows, schema=_PLAIN))
    return (time.process_time() - began) / (len(bodies) * SPANS_A_BODY) * 1e6


_PLAIN = pa.schema(
    [("trace_id", pa.binary()), ("span_id", pa.binary()), ("parent_id", pa.binary()), ("name", pa.string()),
     ("kind", pa.int8()), ("start_ns", pa.int64()), ("duration_ns", pa.int64()), ("db.system", pa.string()),
     ("db.statement", pa.string()), ("http.route", pa.string()), ("http.method", pa.string()),
     ("http.status_code", pa.int64()), ("net.peer.name", pa.string()), ("thread.id", pa.int64())]
)  # fmt: skip


def written(folder: Path, count: int) -> None:
    """So many spans as Parquet: requests of 1 + 9 spans, in 600 s, one statement repeated in every second of them."""
    rng = np.random.default_rng(1)
    size = CALLS_A_REQUEST + 1
    with pq.ParquetWriter(folder / SPANS_FILE, SPANS, compression="zstd", compression_level=1) as writer:
        for first in range(0, count, spool.ROW_GROUP):
            n = min(spool.ROW_GROUP, count - first) // size * size
            writer.write_batch(_batch(rng, n, size))


def _batch(rng: np.random.Generator, n: int, size: int) -> pa.RecordBatch:
    requests, place = n // size, np.arange(n) % size
    is_root = place == 0
    traces = np.repeat(np.frombuffer(rng.bytes(16 * requests), "V16"), size)
    ids = np.frombuffer(rng.bytes(8 * n), "V8")
    begins = np.repeat(START_NS + rng.integers(0, 600 * 10**9, requests), size) + place * 1_000_000
    route = np.repeat(rng.integers(0, len(ROUTES), requests), size)
    statement = np.where(np.repeat(rng.random(requests) < 0.5, size), route, rng.integers(0, len(STATEMENTS), n))
    words = {
        "service": ["shop"], "name": ["SELECT"], "route": [f"GET {each}" for each in ROUTES],
        "system": ["postgresql"], "statement": STATEMENTS, "operation": ["SELECT"], "peer": ["db:5432"],
    }  # fmt: skip
    call = np.where(is_root, -1, 0)
    codes = {
        "service": np.zeros(n), "name": np.zeros(n), "route": np.where(is_root, route, -1), "system": call,
        "statement": np.where(is_root, -1, statement), "operation": call, "peer": call,
    }  # fmt: skip
    columns: dict[str, pa.Array] = {
        name: pa.DictionaryArray.from_arrays(
            pa.array(codes[name].astype(np.int32), mask=codes[name] < 0), pa.array(words[name])
        )
        for name in words
    }
    columns |= {
        "trace_id": pa.array(traces.tolist(), pa.binary(16)), "span_id": pa.array(ids.tolist(), pa.binary(8)),
        "parent_id": pa.array(np.repeat(ids[::size], size).tolist(), pa.binary(8), mask=is_root),
        "kind": pa.array(np.where(is_root, 2, 3).astype(np.int8)), "start_ns": pa.array(begins),
        "duration_ns": pa.array(np.where(is_root, size * 1_000_000, rng.integers(300_000, 900_000, n))),
        "skewed": pa.array(np.zeros(n, bool)), "error": pa.array(np.zeros(n, bool)),
    }  # fmt: skip
    return pa.RecordBatch.from_arrays([columns.get(each.name, pa.nulls(n, each.type)) for each in SPANS], schema=SPANS)


def analyse(folder: Path) -> None:
    """What diagnosis asks of spans, and what that took: one line of JSON."""
    took = {}
    low, high = START_NS, START_NS + 700 * 10**9
    began = time.perf_counter()
    found = n_plus_one.told(folder, [Window(name="all", begin_ns=low, end_ns=high)])
    took["N+1"] = time.perf_counter() - began
    began = time.perf_counter()
    with traced.opened(folder / SPANS_FILE) as connection:
        requests = traced.Requests(connection, folder / SPANS_FILE, low, high)
        wanted = [(route, *ranks) for route in (None, *requests.by_route()) for ranks in BANDS.values()]
        requests.prepare(wanted)
        for each in wanted:
            assert requests.take(*each).requests
    took["budget's requests"] = time.perf_counter() - began
    began = time.perf_counter()
    seen, _ = coverage.seen(folder / SPANS_FILE, 0, low, high)
    took["coverage"] = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"took": took, "peak_mib": peak, "repeated": len(found), "spans": seen["spans"]}))


def say(got: dict[str, float]) -> None:
    """What receiving took."""
    whole = got["us"] + got["parquet_us"]
    rate = got["count"] / got["wall_s"]
    print(
        f"received  {got['count']:,.0f} spans in {got['wall_s']:.1f} s: {rate:,.0f} a second by the clock, on one core,"
    )
    print(f"          {got['busy']:.0f} times asked to come again; peak memory {got['peak'] / 2**20:.0f} MiB")
    print(
        f"          {got['us']:.2f} µs of processor time a span to disk, {got['parquet_us']:.2f} from there to Parquet:"
    )
    print(f"          {1e6 / whole:,.0f} spans a second of one core, all in; {got['size']:.0f} bytes a span")


def main() -> None:
    """Print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a fifth of the spans")
    parser.add_argument("--analyse", action="store_true", help="look through ten million spans as well")
    parser.add_argument("--in", dest="folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder:
        analyse(given.folder)
        return
    rng = random.Random(1)
    bodies = [body(rng) for _ in range(64)]
    print(f"bodies of {SPANS_A_BODY} spans, {sum(map(len, bodies)) / len(bodies) / SPANS_A_BODY:.0f} bytes a span")
    with tempfile.TemporaryDirectory() as room:
        got = received(bodies, 6 if given.quick else 30, Path(room))
        say(got)
        peer, whole = plain(bodies, Path(room)), got["us"] + got["parquet_us"]
        print(f"plain     opentelemetry-proto, rows, pyarrow, Parquet, no HTTP: {peer:.2f} µs a span,")
        print(f"          {1e6 / peer:,.0f} a second; Headway takes {whole / peer:.2f} times as long, HTTP included")
        if given.analyse:
            written(Path(room), 10_000_000)
            command = [sys.executable, __file__, "--in", room]
            told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            took = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in told["took"].items())
            print(f"looked through {told['spans']:,} spans: {took}; {told['peak_mib']:,.0f} MiB at the most")


if __name__ == "__main__":
    main()
