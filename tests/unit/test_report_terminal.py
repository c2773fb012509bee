"""The verdict in a terminal or a pipe: complete, honest, and nothing in it moves a cursor."""

from __future__ import annotations

import io

import pytest

from headway.model import State
from headway.report import terminal
from headway.report.rows import verdict_line
from made import report_run as made


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_table_keeps_to_its_width_and_cuts_nothing(width: int) -> None:
    """No line is wider than asked; limit, number, interval, samples, source, load and reason are all said."""
    text = terminal.verdict_table(made.verdict(), made.findings(), width=width, color=False)
    assert max(len(line) for line in text.splitlines()) <= width
    flat = " ".join(text.split()).replace("→ ", "")
    for word in (
        "✗ broken AC-US1-01 P95 < 100 ms 212 ms 198 ms to 231 ms 11,994",
        "API response time <100ms (P95) (P1)",
        "load, from the intended send time · 200 req/s, Poisson arrivals",
        made.EXPLANATION,
        "? inconclusive AC-US1-03 > 80% 79.98% 78.0% to 82.0% 10,200",
        "4,200 further requests would settle it",
        "! invalid AC-US1-04 not understood",
        "11,900 connections were opened",
        "was read as the whole API",
        "Exit code 3: a promise is broken.",
    ):
        assert word in flat, word


def test_the_last_line_is_the_answer() -> None:
    """What a person sees last is the verdict and what the exit code means."""
    text = terminal.verdict_table(made.verdict(), (), width=200, color=False)
    assert text.splitlines()[-1] == "✗ " + verdict_line(made.verdict())
    assert "1 of 5 criteria kept, 2 broken, 1 inconclusive, 1 invalid" in text


def test_a_path_is_never_broken_over_lines() -> None:
    """`file:line` stays one word that an editor can open, however long."""
    long = "/home/someone/" + "a-long-folder/" * 9 + "spec.md"
    text = terminal.verdict_table(made.verdict(made.judgement(State.BROKEN, file=long)), (), width=80, color=False)
    assert f"{long}:12" in text


def test_colour_only_on_a_terminal_and_never_with_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe, a file and NO_COLOR get plain text; the words are the same."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    verdict, findings = made.verdict(), made.findings()
    colored = terminal.verdict_text(verdict, findings, stream=Screen())
    piped = terminal.verdict_text(verdict, findings, stream=io.StringIO())
    assert "\x1b[" in colored
    assert "\x1b" not in piped
    assert "\x1b" not in terminal.verdict_text(verdict, findings, stream=None)
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal.verdict_text(verdict, findings, stream=Screen()) == piped


def test_text_from_outside_cannot_steer_the_terminal() -> None:
    """Escape sequences and direction overrides in SQL or file names are printed as escapes."""
    _, verdict, findings = made.hostile()
    text = terminal.verdict_table(verdict, findings, width=80, color=False)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b[31m" in text


def test_a_stream_that_cannot_say_a_letter_gets_a_question_mark() -> None:
    """An ASCII terminal is no reason to lose the verdict."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    text = terminal.verdict_text(made.verdict(), (), stream=stream)
    assert text.isascii()
    assert "broken" in text


def test_no_judgement_is_said() -> None:
    """An empty table is not a table."""
    verdict = made.verdict(state=State.INCONCLUSIVE, judgements=())
    assert "No criterion was judged." in terminal.verdict_table(verdict, (), width=80, color=False)


def test_an_invalid_phase_is_named_with_its_cure() -> None:
    """Why the run says nothing, and what would mend it, stand below the table."""
    verdict = made.verdict(state=State.INVALID, invalid_phases={"peak": "one core was busy; use a second machine"})
    text = terminal.verdict_table(verdict, (), width=80, color=False)
    assert "INVALID phase peak: one core was busy; use a second machine" in text
    assert "Exit code 5: the run itself is invalid." in " ".join(text.split())
