"""The live view: to stderr, plain in a pipe, and never a reason for a run to fail."""

from __future__ import annotations

import io
import re

import pytest

from headway.model import Progress
from headway.report.live import LiveView, plain_line
from made import report_run as made


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    """A pipe whose reader left."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def progress(elapsed_s: float, *, warming_up: bool = False, answered: bool = True) -> Progress:
    """One second of the ordinary phase."""
    return Progress(
        phase=made.ordinary(), warming_up=warming_up, elapsed_s=elapsed_s, planned_per_s=200, sent_per_s=199,
        good_per_s=190, failed=4, failed_total=31, response_p50_ns=12e6 if answered else None,
        response_p95_ns=83e6 if answered else None, response_p99_ns=142e6 if answered else None,
        service_p95_ns=60e6 if answered else None, connections=41, backlog=7,
    )  # fmt: skip


def test_a_pipe_gets_one_plain_line_in_five_seconds() -> None:
    """65 seconds make 14 lines, no escape sequences; the first at once, and one when measuring begins."""
    out = io.StringIO()
    with LiveView(out) as view:
        for second in range(1, 66):
            view.second(progress(second, warming_up=second <= 5))
    lines = out.getvalue().splitlines()
    assert 13 <= len(lines) <= 15
    assert "(warm-up)" in lines[0]
    assert "\x1b" not in out.getvalue()


def test_a_line_says_everything_that_matters() -> None:
    """Rates, percentiles of both clocks, failures, connections, backlog, time left; a dash where nobody answered."""
    assert plain_line(progress(40)) == (
        "ordinary 40s (25 s left): planned 200/s sent 199/s good 190/s; response p50 12.0 ms p95 83.0 ms p99 142 ms, "
        "service p95 60.0 ms; failed 31; connections 41 backlog 7"
    )
    assert "p95 –" in plain_line(progress(40, answered=False))


def test_a_terminal_is_redrawn_with_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bar, percentage, time left and every number are on the screen."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Screen()
    with LiveView(out) as view:
        view.second(progress(40))
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    for words in ("62%", "25 s left", "12.0 ms", "83.0 ms", "142 ms", "60.0 ms", "41/256", "200", "199", "190", "31"):
        assert words in text
    assert max(map(len, text.replace("\r", "\n").splitlines())) <= 80


@pytest.mark.parametrize("name", ["NO_COLOR", "TERM"])
def test_no_color_and_a_dumb_terminal_get_lines(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Nobody who asked for plain text is redrawn over."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, "dumb")
    out = Screen()
    with LiveView(out) as view:
        view.second(progress(40))
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().count("\n") == 1


def test_a_reader_that_left_does_not_stop_the_run() -> None:
    """A closed pipe or file ends the view, not the load."""
    closed = io.StringIO()
    closed.close()
    for stream in (Gone(), closed):
        with LiveView(stream) as view:
            view.second(progress(1))
            view.second(progress(20))
