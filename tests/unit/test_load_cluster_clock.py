"""Comparing clocks, sharing a cluster out, and what travels to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import BadInput
from headway.load.cluster.clock import Offset, offset, start_skew_ns
from headway.load.cluster.parcel import packed, unpacked
from headway.load.cluster.placing import spread
from headway.load.worker import Assignment
from headway.model import Arrivals, LoadModel, Parameter, Phase, Replay, Route

LEGS = st.tuples(st.integers(0, 10**9), st.integers(0, 10**9))


@given(st.integers(-(10**15), 10**15), st.lists(LEGS, min_size=1, max_size=20))
def test_the_true_offset_is_within_what_is_said(ahead: int, legs: list[tuple[int, int]]) -> None:
    """However long each way is, and however uneven: theirs - ours lies within the uncertainty of what is found."""
    exchanges = [
        (at, at + there + ahead, at + there + back)
        for at, (there, back) in zip(range(0, 10**12, 10**10), legs, strict=False)
    ]
    found = offset(exchanges)
    assert abs(found.ahead_ns - ahead) <= found.uncertainty_ns
    assert found.uncertainty_ns <= min(there + back for there, back in legs) // 2 + 1


def test_a_skew_is_the_two_worst_clocks_and_the_latest_order() -> None:
    """Two workers can be apart by both their uncertainties; one worker is with itself; a late order adds its delay."""
    clocks = [Offset(ahead_ns=0, uncertainty_ns=each) for each in (5, 30, 20)]
    assert start_skew_ns(clocks) == 50
    assert start_skew_ns(clocks, [0, 7, 3]) == 57
    assert start_skew_ns(clocks[:1]) == 0
    with pytest.raises(ValueError, match="before its question"):
        offset([(10, 5, 9)])


@given(st.dictionaries(st.text(min_size=1), st.integers(1, 8), min_size=1, max_size=6), st.integers(1, 40))
def test_generators_are_spread_by_room(threads: dict[str, int], count: int) -> None:
    """Every generator has a place; no worker gets more than its threads while another has room; they come in turn."""
    found = spread(threads, count)
    assert len(found) == count
    held = {worker: found.count(worker) for worker in threads}
    if count <= sum(threads.values()):
        assert all(held[worker] <= threads[worker] for worker in threads)
    if count >= len(threads):
        assert all(held.values())


def assignment(phase: Phase, **changes: object) -> Assignment:
    """One with a parameter whose file is here."""
    ids = Parameter(name="id", distribution="csv", csv_file=Path("only-here.csv"))
    made = Assignment(
        phase=phase, routes=(Route(name="r", method="GET", path="/{id}"),), parameters=(ids,), values={"id": ("a",)},
        address=("127.0.0.1", 1), host="x", worker=0, workers=1,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


PHASE = Phase(name="p", model=LoadModel.OPEN, rate_per_s=1, duration_s=1, warmup_s=0)


def test_files_travel_by_content(tmp_path: Path) -> None:
    """A replay's file is on the other machine what it is here, under a folder of its own; values need no file."""
    recorded = tmp_path / "here" / "replay.jsonl"
    recorded.parent.mkdir()
    recorded.write_text("{}\n")
    mine = assignment(replace(PHASE, arrivals=Arrivals.REPLAY, replay=Replay(file=recorded)))
    sent, files = packed(mine)
    assert str(tmp_path) not in repr(sent)
    there = unpacked(sent, files, tmp_path)
    assert there.phase.replay is not None
    assert there.phase.replay.file != recorded
    assert there.phase.replay.file.read_text() == "{}\n"
    assert there.values == {"id": ("a",)}


def test_what_cannot_travel_is_refused(tmp_path: Path) -> None:
    """A file that is read during the run would not be seen to change on another machine."""
    with pytest.raises(BadInput, match="control_file"):
        packed(assignment(replace(PHASE, control_file=tmp_path / "users")))
