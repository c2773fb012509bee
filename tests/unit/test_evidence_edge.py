"""nginx's log is followed through rotation, truncation and other people's bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import SourceRefused
from headway.evidence.edge import _USUAL, Edge, parse
from headway.model import LoadModel, Phase, Presence

PHASE = Phase(name="steady", model=LoadModel.OPEN, duration_s=1, warmup_s=0, rate_per_s=1)


def line(at_s: float, status: str, upstream: str = "0.001") -> str:
    record = {"msec": at_s, "uri": "/", "status": 200, "upstream_cache_status": status}
    return json.dumps({**record, "upstream_response_time": upstream}) + "\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "access.jsonl"
    file.write_text(line(99, "HIT"))
    return file


@pytest.fixture
def edge(log: Path) -> Edge:
    watched = Edge(log)
    assert watched.check().presence is Presence.PRESENT
    return watched


def add(log: Path, text: str | bytes) -> None:
    with log.open("ab") as stream:
        stream.write(text if isinstance(text, bytes) else text.encode())


def test_lines_count_in_the_phase_of_their_own_time(edge: Edge, log: Path) -> None:
    """A line written late counts where it belongs; what is outside of a phase doesn't count."""
    edge.begin(PHASE, 100.0)
    add(log, line(99.9, "HIT") + line(100.1, "MISS") + line(101.5, "HIT"))
    edge.sample(102.0)
    edge.end(PHASE, 103.0)
    add(log, line(102.9, "HIT") + line(103.0, "HIT") + line(102.95, "", "") + line(102.96, "", "0.2"))
    edge.finish()
    edge.close()
    (window,) = edge.windows
    assert window.by_status == {"MISS": 1, "HIT": 2, "-": 2}
    assert window.seconds == {0: [0, 1], 1: [1, 0], 2: [1, 1]}


def test_no_more_lines_wait_for_the_end_of_the_load_than_may(
    edge: Edge, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest are parsed meanwhile, in their order; all are in the end, whatever a line's length."""
    monkeypatch.setattr("headway.evidence.edge.MOST_KEPT_BYTES", 2_000)
    edge.begin(PHASE, 100.0)
    add(log, line(100.1, "HIT") * 100 + line(101.1, "MISS"))
    edge.sample(102.0)
    (window,) = edge.windows
    assert 80 < window.by_status["HIT"] < 100
    assert window.by_status["MISS"] == 0
    add(log, b"x" * (3 << 20) + b"\n")
    edge.sample(103.0)
    edge.end(PHASE, 103.0)
    edge.close()
    assert window.by_status == {"HIT": 100, "MISS": 1}
    assert window.unread == 1


def test_unreadable_lines_are_of_the_phase_they_were_read_in(edge: Edge, log: Path) -> None:
    """What came before a phase, between two, and behind one without lines is no phase's, however late it is parsed."""
    add(log, "before\n")
    edge.begin(PHASE, 100.0)
    edge.sample(101.0)
    edge.end(PHASE, 102.0)
    add(log, "between\n" + line(103.5, "MISS"))
    edge.begin(PHASE, 103.0)
    add(log, "during\n" + line(103.6, "HIT"))
    edge.end(PHASE, 104.0)
    add(log, "behind\n" + line(103.7, "HIT"))
    edge.finish()
    edge.close()
    assert [window.unread for window in edge.windows] == [0, 1]
    assert edge.windows[1].by_status == {"MISS": 1, "HIT": 2}


def test_half_a_line_waits_for_its_other_half(edge: Edge, log: Path) -> None:
    """nginx may be in the middle of a write when the log is read."""
    edge.begin(PHASE, 100.0)
    whole = line(100.5, "HIT")
    add(log, whole[:20])
    edge.sample(101)
    add(log, whole[20:])
    edge.end(PHASE, 102.0)
    edge.close()
    assert edge.windows[0].by_status == {"HIT": 1}
    assert edge.windows[0].unread == 0


def test_a_rotated_log_is_followed(edge: Edge, log: Path) -> None:
    """Renamed and made anew: the old end and the new beginning both count."""
    edge.begin(PHASE, 100.0)
    add(log, line(100.1, "HIT"))
    log.rename(log.with_suffix(".1"))
    edge.sample(100.2)
    add(log.with_suffix(".1"), line(100.3, "HIT"))
    log.write_text(line(100.4, "MISS"))
    edge.end(PHASE, 101.0)
    edge.close()
    assert edge.windows[0].by_status == {"HIT": 2, "MISS": 1}
    assert "rotated" in edge.remark


def test_a_truncated_log_is_read_from_its_start_and_said(edge: Edge, log: Path) -> None:
    """copytruncate loses lines: the remark says so and the phase is a lower bound."""
    edge.begin(PHASE, 100.0)
    add(log, line(100.1, "HIT") * 3)
    edge.sample(100.2)
    log.write_text(line(100.3, "MISS"))
    edge.end(PHASE, 101.0)
    edge.close()
    assert edge.windows[0].by_status == {"HIT": 3, "MISS": 1}
    assert edge.lower_bound_phases == {"steady"}


def test_other_peoples_bytes_are_counted_and_passed_over(edge: Edge, log: Path) -> None:
    """Common log format, binary, a line of three megabytes: unread, and the next line counts."""
    edge.begin(PHASE, 100.0)
    add(log, b'1.2.3.4 - - "GET / HTTP/1.1" 200\n\xff\x00\xfe\n' + b"x" * (3 << 20) + b"\n" + b"[1]\n{}\n")
    add(log, line(100.5, "HIT") + line(100.5, "ODD"))
    edge.end(PHASE, 101.0)
    edge.close()
    assert edge.windows[0].by_status == {"HIT": 1}
    assert edge.windows[0].unread == 6


def test_a_log_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A mistyped path is found before any load."""
    with pytest.raises(SourceRefused, match=r"nowhere\.log"):
        Edge(tmp_path / "nowhere.log").check()


@given(st.one_of(st.binary(max_size=100), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["msec", "upstream_cache_status", "upstream_response_time"]), inner),
    max_leaves=6,
).map(lambda each: json.dumps(each).encode())))  # fmt: skip
def test_any_line_is_read_or_passed_over(content: bytes) -> None:
    """No line ends the following."""
    found = parse(content)
    assert found is None or isinstance(found[0], float)


_PLAIN = st.text(st.characters(max_codepoint=0x17F), max_size=6)
_STATUS = st.sampled_from(["HIT", "MISS", "BYPASS", "", "-", "ODD"]) | _PLAIN
_UPSTREAM = st.sampled_from(["", "-", "0.004", "0.001, 0.002"]) | _PLAIN
_TIME = st.sampled_from([1795895928.318, 0, 10**400, -1, 1e300]) | st.floats(allow_nan=False)


@given(
    _TIME, _PLAIN, _STATUS, st.none() | _UPSTREAM, st.booleans(),
    st.sampled_from(["uri", "msec", "upstream_cache_status", "upstream_addr"]), st.none() | st.integers(0, 60),
)  # fmt: skip
def test_the_usual_line_is_read_as_json_reads_it(
    at_s: float, uri: str, status: str, upstream: str | None, ascii_only: bool, name: str, cut: int | None
) -> None:
    """Lines of the documented order are read without a JSON parser: they say what it would have said, cut ones too."""
    last = {} if upstream is None else {"upstream_response_time": upstream}
    pairs = [("msec", at_s), (name, uri), ("status", 200), ("upstream_cache_status", status), *last.items()]
    text = ",".join(f"{json.dumps(key)}:{json.dumps(value, ensure_ascii=ascii_only)}" for key, value in pairs)
    whole = ("{" + text + "}").encode()[:cut]
    assert parse(whole) == parse(b" " + whole)  # a space is JSON, and not the usual line


def test_the_lines_of_the_lab_are_usual() -> None:
    """What the documented format writes takes the short way; else the figure of its cost is wrong."""
    made = Path(__file__).parents[1] / "made/init/access.log"
    lines = made.read_bytes().splitlines()
    assert lines
    assert all(_USUAL.fullmatch(each) for each in lines)
