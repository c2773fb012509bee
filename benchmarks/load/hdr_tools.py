"""
Headway's hit log and HdrHistogram's own Java tools, each reading what the other wrote.

Needs Debian's `default-jre-headless` and `libhdrhistogram-java`. Prints each percentile by both, and ends with 1 when
any differs. tests/unit/test_interchange_hdr.py holds Headway to what this printed, without Java.

    python benchmarks/load/hdr_tools.py [hits.hlog ...]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from headway.interchange import hdr_log
from headway.load import histogram
from headway.load.log import LoadLog
from headway.load.recorder import Second, Sparse

JAR = Path("/usr/share/java/hdrhistogram.jar")
PERCENTILES = (50, 90, 95, 99, 99.9, 99.99, 100)
Rows = dict[str, list[int]]


def made_log(folder: Path) -> Path:
    """A hit log of two workers, two routes and ten seconds whose times are the same in every run."""
    log = LoadLog(folder, began_s=1_700_000_000.0)
    rng = np.random.default_rng(1)
    for number in range(20):
        cells: dict[int, Sparse] = {}
        for route in range(2):
            times = rng.lognormal(15 + route, 1.2, 5_000).astype(np.int64)
            cells[route] = np.unique(histogram.bucket_of(times), return_counts=True)
        second = Second(
            second=number // 2, planned=0, sent=0, good=10_000, statuses={}, failures=[], received_bytes=0,
            response=cells, service=cells,
        )  # fmt: skip
        log.second(0, number % 2, 1_700_000_000.0, second)
    log.close()
    return folder / "hits.hlog"


def ours(file: Path) -> Rows:
    """Tag -> count and percentiles, by Headway."""
    foreign = hdr_log.read(file)
    found: Rows = {}
    for route, name in enumerate(foreign.routes):
        mine = [each for each in foreign.intervals if each.route == route]
        values = np.concatenate([each.value_ns for each in mine])
        counts = np.concatenate([each.count for each in mine])
        order = np.argsort(values, kind="stable")
        reached, total = np.cumsum(counts[order]), int(counts.sum())
        ranks = [max(1, int(np.ceil(p / 100 * total - 1e-9))) for p in PERCENTILES]
        found["null" if name == "all requests" else name] = [
            total, *(int(values[order][np.searchsorted(reached, rank)]) for rank in ranks)
        ]  # fmt: skip
    return found


def theirs(file: Path) -> Rows:
    """The same, by HdrHistogram's Java reader."""
    told = java("read", file)
    return {line.split()[0]: [int(each) for each in line.split()[1:]] for line in told.splitlines()}


def java(*words: object) -> str:
    source = Path(__file__).with_name("HdrTools.java")
    return subprocess.run(
        ["java", "-cp", str(JAR), str(source), *map(str, words)], capture_output=True, text=True, check=True
    ).stdout


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        java("write", folder / "java.hlog")
        files = [made_log(folder), folder / "java.hlog", *map(Path, sys.argv[1:])]
        wrong = 0
        for file in files:
            mine, java_s = ours(file), theirs(file)
            print(f"{file.name}: {'the same' if mine == java_s else 'DIFFERENT'} at {PERCENTILES}")
            for tag in sorted(java_s):
                print(f"  {tag:<18} {json.dumps(java_s[tag])}")
            wrong += mine != java_s
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
