"""Headway's times against servers whose true percentiles are known in closed form. benchmarks/load/truth.py goes on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks/load"))

import truth

SECONDS = 4
BUSY_MS = 3.0
"""What the machine's other work may add to a time; on an idle one it is 0.3 ms."""
Rows = dict[tuple[str, float], truth.Row]


@pytest.fixture(scope="module")
def rows() -> Rows:
    """All three servers, a few seconds each."""
    return {(each.server, each.q): each for each in truth.compare(SECONDS)}


def test_a_stall_is_seen_by_all_who_would_have_come(rows: Rows) -> None:
    """0.2 s of each second nothing is answered: P95 is 150 ms by the closed form, and by the corrected time."""
    for q in (0.9, 0.95, 0.99):
        row = rows["stall", q]
        # When the stall ends, its backlog goes out over two connections: some milliseconds that no formula has.
        assert abs(row.error_ms) < 4 * row.chance_ms + 10, row
    assert rows["stall", 0.5].response_ms < BUSY_MS


def test_the_uncorrected_time_beside_it_hides_the_stall(rows: Rows) -> None:
    """Two slow requests a stall are in the service time, whose P95 is a fraction of the other; both are kept."""
    row = rows["stall", 0.95]
    assert row.service_ms < row.response_ms / 3
    assert abs(row.own_error_ms) < BUSY_MS


@pytest.mark.parametrize("q", [0.5, 0.9, 0.95])
def test_a_queue_s_percentiles_are_m_m_1_s(rows: Rows, q: float) -> None:
    """Poisson arrivals at half of what one server can: exponential times of rate mu - lambda, within chance."""
    row = rows["queue", q]
    assert abs(row.own_error_ms) < BUSY_MS
    assert abs(row.error_ms) < 5 * row.chance_ms + BUSY_MS, row


def test_two_modes_stay_two(rows: Rows) -> None:
    """92% after 2 ms and 8% after 20: P50 and P80 are the one, P95 the other; at P99 the server's own clock says so."""
    for q, true in ((0.5, 2), (0.8, 2), (0.95, 20)):
        assert -0.1 < rows["two", q].response_ms - true < BUSY_MS
    slowest = rows["two", 0.99]  # four of 400: what keeps a busy machine's server waiting is not ours
    assert -0.1 < slowest.service_ms - slowest.server_ms < BUSY_MS


def test_no_request_waits_for_a_connection_that_is_there(rows: Rows) -> None:
    """Where nothing holds requests up, corrected and uncorrected times are one and the same."""
    for server in ("queue", "two"):
        for q in (0.5, 0.9, 0.95):
            row = rows[server, q]
            assert 0 <= row.response_ms - row.service_ms < BUSY_MS, row
