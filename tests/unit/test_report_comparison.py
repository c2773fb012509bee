"""Before and after: the same promise, each under its load, and no change claimed that the intervals don't carry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headway.errors import BadInput
from headway.model import State
from headway.report import comparison
from made import report_run as made


def before() -> comparison.Run:
    """Slow and broken."""
    return made.full(), made.verdict(made.judgement(State.BROKEN), made.judgement(State.BROKEN, "AC-2", measured=None))


def after(**fields: object) -> comparison.Run:
    """Fast and kept."""
    kept = replace(made.judgement(State.KEPT, measured=41e6, low=40e6, high=43e6), **fields)  # type: ignore[arg-type]  # fields of Judgement
    return made.full(middle_ms=9, fails=False, slow_from=999, run="later"), made.verdict(kept, state=State.KEPT)


def test_both_numbers_stand_with_their_intervals_and_their_ratio() -> None:
    """41 ms after 212 ms is a factor of 0.193, and a reader sees both intervals."""
    text = " ".join(comparison.side_by_side(before(), after()).split())
    assert "AC-US1-01 P95 < 100 ms ✗ 212 ms ✓ 41.0 ms ×0.193" in text
    assert "198 ms to 231 ms 40.0 ms to 43.0 ms" in text
    assert "under 200 req/s, Poisson arrivals" in text
    assert comparison.OVERLAP not in text
    assert comparison.NOT_THERE in text  # AC-2 was judged only before


def test_overlapping_intervals_are_no_clear_change() -> None:
    """A ratio of two noisy numbers isn't sold as an improvement."""
    assert comparison.OVERLAP in comparison.side_by_side(before(), after(measured=205e6, low=190e6, high=220e6))


def test_different_loads_are_said() -> None:
    """Numbers from different loads answer different questions; both loads are named."""
    text = " ".join(comparison.side_by_side(before(), after(load="50 req/s, constant arrivals")).split())
    assert "before under 200 req/s, Poisson arrivals; after under 50 req/s, constant arrivals" in text
    assert "the loads differ" in text


def test_a_changed_criterion_a_changed_machine_and_other_traffic_are_said() -> None:
    """Whatever else differs between the runs is named, not averaged over."""
    evidence, verdict = after(clause=made.latency_clause(200.0))
    other = replace(
        evidence,
        machine=replace(evidence.machine, cores=16),
        scenario=replace(evidence.scenario, routes=()),
        interrupted=True,
    )
    text = comparison.side_by_side(before(), (other, verdict))
    for words in ("criterion was changed", "different machines", "different traffic", "the run after was interrupted"):
        assert words in text


def test_runs_of_different_promises_are_refused() -> None:
    """There is nothing to compare, and the error names both."""
    evidence, verdict = after()
    with pytest.raises(BadInput, match=r"0050-performance-optimization.*0051-other"):
        comparison.side_by_side(before(), (evidence, replace(verdict, promise_id="0051-other")))


def test_the_page_lays_both_curves_over_each_other(tmp_path: Path) -> None:
    """One chart a phase, two lines with names; hostile texts stay text."""
    path = tmp_path / "before-after.html"
    comparison.write_html(before(), after(), path)
    page = path.read_text(encoding="utf-8")
    assert page.count("<svg") == 1
    assert page.count('class="line ') == 2
    assert "×0.193" in page
    evidence, verdict, _ = made.hostile()
    assert "<script" not in comparison.page((evidence, verdict), (evidence, verdict))
    assert "\x1b" not in comparison.side_by_side((evidence, verdict), (evidence, verdict))


def test_no_common_phase_and_no_answer_are_said() -> None:
    """Nothing to draw is said, never drawn empty."""
    evidence, verdict = after()
    assert "no phase of the same name" in comparison.page(before(), (replace(evidence, phases=()), verdict))
    silent = comparison.page((made.bare(), verdict), (made.bare(), verdict))
    assert "neither run got a good answer" in silent
    assert "<svg" not in silent
