"""HdrHistogram logs of other tools, and other tools on ours."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from headway.errors import BadInput
from headway.interchange import hdr_log
from headway.load import histogram, hits
from headway.model import LoadModel, Phase

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks/load"))

import hdr_tools

MADE = Path(__file__).parents[1] / "made/interchange"

JAVA_READ_OURS = {  # what org.HdrHistogram.HistogramLogReader 2.1.11 and hdr-histogram-js 3.0.1 found in made_log()
    "p0.r0.response": [100000, 3244031, 15122431, 23576575, 52756479, 145883135, 346030079, 646971391],
    "p0.r0.service": [100000, 3244031, 15122431, 23576575, 52756479, 145883135, 346030079, 646971391],
    "p0.r1.response": [100000, 8912895, 40959999, 63078399, 144965631, 359923711, 685768703, 1314914303],
    "p0.r1.service": [100000, 8912895, 40959999, 63078399, 144965631, 359923711, 685768703, 1314914303],
}
JAVA_READ_JAVA = {
    "null": [3000, 30335, 77823, 94719, 108031, 111103, 111103, 111103],
    "users": [3000, 9015, 23103, 28063, 32015, 32927, 33023, 33023],
}
NODE_READ_NODE = {"null": [1000, 1002, 2401, 2701, 2941, 2995, 3001, 3001]}


def test_we_find_in_our_log_what_the_java_tool_found(tmp_path: Path) -> None:
    """Count and every percentile to P99.99, by the general reader and by the one the gate uses."""
    file = hdr_tools.made_log(tmp_path)
    assert hdr_tools.ours(file) == JAVA_READ_OURS
    (tmp_path / "load.jsonl").write_text(
        '{"kind": "start", "phase": 0, "started_at_s": 1700000000.0, "workers": 2, "offset_s": 0.0}\n'
        + (tmp_path / "load.jsonl").read_text()
    )
    phase = Phase(name="p", model=LoadModel.OPEN, rate_per_s=1, duration_s=10, warmup_s=0)
    (found,) = hits.read(tmp_path, (phase,), ("a", "b"))
    for route in range(2):
        counts = histogram.fold(found.response, route)
        told = [int(histogram.quantile_ns(counts, p / 100)) for p in hdr_tools.PERCENTILES]
        assert [int(counts.sum()), *told] == JAVA_READ_OURS[f"p0.r{route}.response"]


@pytest.mark.parametrize(("name", "expected"), [("java.hlog", JAVA_READ_JAVA), ("node.hlog", NODE_READ_NODE)])
def test_logs_of_other_tools_are_read_whatever_their_layout(name: str, expected: dict[str, list[int]]) -> None:
    """Two digits or three, tagged or not, by the Java reference or hdr-histogram-js: the same percentiles."""
    assert hdr_tools.ours(MADE / name) == expected


def test_intervals_keep_their_seconds_and_their_unit() -> None:
    """Times come over in ns, each interval in the second in which it began."""
    found = hdr_log.read(MADE / "java.hlog", unit="us")
    assert found.routes == ("users", "all requests")
    assert [each.at_s for each in found.intervals] == [1.7e9, 1.7e9, 1.7e9 + 1, 1.7e9 + 1, 1.7e9 + 2, 1.7e9 + 2]
    assert [int(each.count.sum()) for each in found.intervals] == [1000] * 6
    assert int(np.max(found.intervals[0].value_ns)) == 11_007_000  # 11,000 us, to its bucket's upper edge


@pytest.mark.parametrize("damage", ["no", "Tag=x,1.0,1.0,1.0,HISTFAAAA", "1.0,1.0,1.0,%%%", "x,1,1,HISTF"])
def test_a_damaged_line_is_named(tmp_path: Path, damage: str) -> None:
    """What is no interval log is refused with the line."""
    file = tmp_path / "bad.hlog"
    file.write_text((MADE / "java.hlog").read_text() + damage + "\n")
    with pytest.raises(BadInput) as refused:
        hdr_log.read(file)
    assert refused.value.line == 10
