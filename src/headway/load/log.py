"""
What the load leaves on disk, a line at a time, so that a run that is killed loses a second at most.

HIT_LOG is an HdrHistogram interval log, format 1.3: a line per second, worker, route and measure; its tag is
`p<phase>.r<route>.<measure>`: response, service, and on demand connect, tls, first_byte, body. LOAD_LOG is one JSON
object a line: "start" and "end" of each phase, and "second" with a worker's counters and health.

Source: HdrHistogram, HistogramLogWriter and HistogramEncodingV2.
"""

from __future__ import annotations

import ctypes
import json
import time
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from hdrh.histogram import HdrHistogram

from headway.conventions import HIT_LOG, LOAD_LOG
from headway.load.histogram import HIGHEST_NS, LOWEST_NS, SIGNIFICANT_DIGITS, highest_ns, lowest_ns

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from headway.load.recorder import Second, Sparse

MEASURES = ("response", "service")
SPARSE = ("lateness", "loop_lag")
LEGEND = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'


class LoadLog:
    """Both files of one run, open for appending; `began_s` is the log's own zero, now when None."""

    def __init__(self, folder: Path, began_s: float | None = None) -> None:
        self._began_s = time.time() if began_s is None else began_s
        self._hits = (folder / HIT_LOG).open("a", encoding="ascii")
        self._load = (folder / LOAD_LOG).open("a", encoding="utf-8")
        if self._hits.tell() == 0:
            self._hits.write(
                f"#[Histogram log format version 1.3]\n#[StartTime: {self._began_s:.3f} (seconds since epoch)]\n"
            )
            self._hits.write(f"#[Values: ns; Interval_Max: ms]\n{LEGEND}\n")

    def offset_s(self, at_s: float) -> float:
        """A moment on the log's own clock."""
        return at_s - self._began_s

    def event(self, kind: str, phase: int, **facts: object) -> None:
        """A line about a phase as a whole."""
        self._load.write(json.dumps({"kind": kind, "phase": phase, **facts}) + "\n")
        self._load.flush()

    def second(self, phase: int, worker: int, started_at_s: float, second: Second) -> None:
        """One worker's second."""
        measures = {**{each: getattr(second, each) for each in MEASURES}, **second.details}
        for measure, routes in measures.items():
            for route, cells in routes.items():
                at_s = self.offset_s(started_at_s) + second.second
                self._hits.write(f"Tag=p{phase}.r{route}.{measure},{at_s:.3f},1.000,{encoded(cells)}\n")
        self._hits.flush()
        facts = {
            name: [each.tolist() for each in value] if name in SPARSE else value
            for name, value in vars(second).items() if name not in (*MEASURES, "details")
        }  # fmt: skip
        self.event("second", phase, worker=worker, **facts)

    def close(self) -> None:
        """No more lines."""
        self._hits.close()
        self._load.close()


def encoded(cells: Sparse) -> str:
    """`max in ms,compressed histogram` as the interval log has them. Not for two threads at once."""
    buckets, counts = (each.astype(np.int64) for each in cells)
    histogram = _sheet()
    whole = _counts(histogram)
    whole[:] = 0
    whole[buckets] = counts
    histogram.total_count = int(counts.sum())
    histogram.min_value = max(1, int(lowest_ns(buckets[:1])[0]))
    histogram.max_value = int(highest_ns(buckets[-1:])[0])
    return f"{histogram.max_value / 1e6:.3f},{histogram.encode().decode('ascii')}"


@cache
def _sheet() -> HdrHistogram:
    """One histogram for all that is written: each refers to itself, and waits as half a megabyte for the collector."""
    return HdrHistogram(LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS)


def decoded(text: str) -> Sparse:
    """
    The filled buckets of a compressed histogram.

    Raises:
        Exception: of several kinds, when the text is damaged; the caller names the line.
    """
    counts = _counts(HdrHistogram.decode(text))
    filled = np.flatnonzero(counts)
    return filled, counts[filled]


def _counts(histogram: HdrHistogram) -> NDArray[np.int64]:
    """The histogram's own counts, (BUCKETS,), to be read and written."""
    return np.ctypeslib.as_array(ctypes.cast(histogram.counts, ctypes.POINTER(ctypes.c_int64)), (histogram.counts_len,))
