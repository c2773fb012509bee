"""What a run's load leaves on disk, and reading it back."""

from __future__ import annotations

import json
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given
from hypothesis import strategies as st

from headway.conventions import HIT_LOG, LOAD_LOG
from headway.errors import BundleDamaged
from headway.load import histogram, hits
from headway.load.log import LoadLog, decoded, encoded
from headway.load.recorder import Recorder
from headway.model import FailureKind, LoadModel, Phase, PhaseHits

PHASE = Phase(name="p", model=LoadModel.OPEN, rate_per_s=10, duration_s=3, warmup_s=0)
ROUTES = ("a", "b")
TIMES_NS = [800_000, 1_234_567, 1_234_567, 90_000_000, 59_000_000_000]


def kept(folder: Path, *, seconds: int = 3, end: bool = True) -> None:
    """A run of two workers: each second each gets TIMES_NS on both routes and one failure."""
    log, started_at_s = LoadLog(folder), time.time() + 5
    log.event("start", 0, started_at_s=started_at_s, workers=2, offset_s=log.offset_s(started_at_s))
    for second in range(seconds):
        for worker in range(2):
            recorder = Recorder(2)
            recorder.planned = recorder.sent = 11
            for route in range(2):
                for ns in TIMES_NS:
                    recorder.hit(route, ns + 10_000_000, ns, 200, 0)
            recorder.lates.extend([1000, 2000])
            recorder.lags.append(3000)
            recorder.failed(1, FailureKind.RESET, "closed")
            log.second(0, worker, started_at_s, recorder.flush(second, 1, connections=4, backlog=second))
    if end:
        log.event("end", 0, workers_lost=0, finished=True)
    log.close()


def read(folder: Path) -> PhaseHits:
    (found,) = hits.read(folder, (PHASE,), ROUTES)
    return found


def test_what_was_counted_is_read_back(tmp_path: Path) -> None:
    """Counts, failures, statuses and health come back from the two files, summed over workers."""
    kept(tmp_path)
    found = read(tmp_path)
    assert found.planned.tolist() == found.sent.tolist() == [22] * 3
    assert found.good.tolist() == [20] * 3
    for cells, more in ((found.response, 10_000_000), (found.service, 0)):
        assert cells.count.sum() == 60
        of_one = histogram.fold(cells, route=1, seconds=slice(2, 3))
        expected = np.bincount(histogram.bucket_of(np.array(TIMES_NS) + more), minlength=histogram.BUCKETS)
        assert np.array_equal(of_one, 2 * expected)
    assert list(FailureKind)[found.failures.kind[0]] is FailureKind.RESET
    assert found.failures.count.sum() == 6
    assert found.statuses == {200: 60}
    assert found.finished
    assert found.error_samples == ("connection reset: closed",)
    assert (found.health.connections_peak, found.health.backlog_peak, found.health.workers) == (8, 4, 2)
    assert 1999 <= (found.health.lateness_max_ns or 0) <= 2560


def test_any_hdrhistogram_tool_reads_the_hit_log(tmp_path: Path) -> None:
    """The hit log is an HdrHistogram interval log: its own reader finds the same counts and values in ns."""
    kept(tmp_path)
    reader = HistogramLogReader(str(tmp_path / HIT_LOG), HdrHistogram(1000, 3_600_000_000_000, 3))
    total, tags = 0, set()
    while (interval := reader.get_next_interval_histogram()) is not None:
        total += interval.get_total_count()
        tags.add(interval.get_tag())
        assert abs(interval.get_max_value() / 59e9 - 1) < 2e-3
    reader.close()
    assert total == 2 * 60
    assert tags == {f"p0.r{route}.{measure}" for route in range(2) for measure in ("response", "service")}


@given(st.dictionaries(st.integers(0, histogram.BUCKETS - 1), st.integers(1, 2**40), min_size=1, max_size=30))
def test_a_histogram_survives_its_encoding(cells: dict[int, int]) -> None:
    """Whatever the buckets and counts: encoded for the log and decoded, they are the same."""
    buckets, counts = (np.array(each, dtype=np.int64) for each in zip(*sorted(cells.items()), strict=True))
    again = decoded(encoded((buckets, counts)).partition(",")[2])
    assert dict(zip(*(each.tolist() for each in again), strict=True)) == cells


@pytest.mark.parametrize("name", [HIT_LOG, LOAD_LOG])
def test_a_last_line_cut_short_is_passed_over(tmp_path: Path, name: str) -> None:
    """A run that was killed in the middle of a line keeps everything before it, wherever the cut fell."""
    kept(tmp_path, end=False)
    whole = (tmp_path / name).read_bytes()
    last = whole[:-1].rindex(b"\n") + 1
    for cut in range(last, len(whole) - 1, max(1, (len(whole) - last) // 40)):
        (tmp_path / name).write_bytes(whole[:cut])
        found = read(tmp_path)
        assert not found.finished
        assert found.response.count.sum() == 60
        assert found.service.count.sum() >= 50


@pytest.mark.parametrize("name", [HIT_LOG, LOAD_LOG])
@pytest.mark.parametrize("damage", [b"", b"XX", b"\xff\xfe"])
def test_damage_in_the_middle_is_named(tmp_path: Path, name: str, damage: bytes) -> None:
    """A line in the middle that cannot be read is not passed over: the file and the line are named."""
    kept(tmp_path)
    lines = (tmp_path / name).read_bytes().split(b"\n")
    lines[5] = lines[5][: len(lines[5]) // 2] + damage
    (tmp_path / name).write_bytes(b"\n".join(lines))
    with pytest.raises(BundleDamaged) as refused:
        read(tmp_path)
    assert refused.value.file == tmp_path / name
    assert refused.value.line == 6


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A folder without its load log is damaged, and says which file."""
    with pytest.raises(BundleDamaged, match=LOAD_LOG):
        read(tmp_path)


def test_a_line_of_another_kind_of_json_is_damage(tmp_path: Path) -> None:
    """JSON that is no object with a kind and a phase is not a line of the load log."""
    kept(tmp_path)
    file = tmp_path / LOAD_LOG
    file.write_text("[1]\n" + file.read_text())
    with pytest.raises(BundleDamaged) as refused:
        read(tmp_path)
    assert refused.value.line == 1
    assert json.loads(file.read_text().splitlines()[1])["kind"] == "start"


def test_a_part_of_a_second_is_measured_whole(tmp_path: Path) -> None:
    """A phase of 2.5 s is measured for 3 whole seconds, so that a rate per second is one."""
    kept(tmp_path)
    (found,) = hits.read(tmp_path, (replace(PHASE, duration_s=2.5),), ROUTES)
    assert found.seconds == 3


def test_many_hits_take_no_more_memory_than_a_few() -> None:
    """Counting is in constant memory: what the recorder holds doesn't grow with the number of requests."""
    recorder = Recorder(3)

    def some() -> None:
        for each in range(65_536):
            recorder.hit(each % 3, each * 997, each * 499, 200, 512)

    some()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(5):
            some()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 100_000
    assert recorder.flush(0, 1, connections=0, backlog=0).good == 6 * 65_536
