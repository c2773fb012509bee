"""Runs of the planted service under load with its profile taken, and spans made of what the service itself logged."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pyarrow as pa
import pyarrow.parquet as pq

from headway.conventions import SPANS_FILE
from headway.evidence.collect import collect
from headway.evidence.span_columns import SPANS
from headway.load.drive import Stop
from headway.model import LoadModel, Phase, Route, Scenario, Sources
from headway.servers import ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@contextmanager
def planted(
    folder: Path, database_url: str, *, loop: str = "asyncio", pages: int = 10
) -> Iterator[tuple[str, int, Path]]:
    """The service running: its URL, its process's number, and the log of its requests."""
    port, log = ports.choose(), folder / "requests.log"
    program = Path(__file__).with_name("planted_service.py")
    child = subprocess.Popen([sys.executable, str(program), str(port), database_url, str(log), loop, str(pages)])
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            try:
                urlopen(f"{url}/waits-well", timeout=2).read()
                break
            except OSError:
                time.sleep(0.05)
        yield url, child.pid, log
    finally:
        child.kill()
        child.wait()


def drive(
    folder: Path, url: str, pid: int, weights: Mapping[str, float], *, rate_per_s: float, duration_s: float
) -> Path:
    """One run with --profile; its folder."""
    phase = Phase(
        name="steady", model=LoadModel.OPEN, duration_s=duration_s, warmup_s=0.5, rate_per_s=rate_per_s,
        max_connections=32,
    )  # fmt: skip
    routes = tuple(Route(name=f"GET {path}", method="GET", path=path, weight=w) for path, w in weights.items())
    return collect(
        folder,
        scenario=Scenario(name="planted", file=None, routes=routes, parameters=(), default_phase=phase),
        phases=(phase,),
        sources=Sources(target_url=url, processes=(("app", pid),), profile=True),
        slug="planted",
        workers=1,
        on_second=lambda _: None,
        stop=Stop(),
    )


def put_spans(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """SPANS_FILE of these rows; what a row doesn't say is null."""
    columns = {name: [row.get(name) for row in rows] for name in SPANS.names}
    pq.write_table(pa.table(columns, schema=SPANS), folder / SPANS_FILE)


def spans_of(log: Path) -> list[dict[str, Any]]:
    """A server span for each request that the service logged."""
    return [
        {
            "trace_id": secrets.token_bytes(16), "span_id": secrets.token_bytes(8), "service": "planted",
            "name": f"GET {path}", "kind": 2, "start_ns": int(began), "duration_ns": int(ended) - int(began),
            "skewed": False, "error": False, "route": f"GET {path}", "status": 200,
        }
        for path, began, ended in (line.split() for line in log.read_text().splitlines())
    ]  # fmt: skip
