"""Text from outside cannot move a cursor, recolour a terminal, reverse itself or break a line."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.report.visible import one_line, visible

UNSEEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


@given(st.text())
def test_nothing_invisible_is_left(text: str) -> None:
    """Whatever comes in, only characters with a glyph, newlines and tabs come out."""
    assert {unicodedata.category(each) for each in visible(text) if each not in "\n\t"}.isdisjoint(UNSEEN)


@given(st.text(), st.integers(1, 80))
def test_one_line_is_one_line_of_the_length_asked_for(text: str, most: int) -> None:
    """No newline survives, and the cut is kept to."""
    assert len(one_line(text, most)) <= most
    assert one_line(text).splitlines() in ([], [one_line(text)])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\u202eb", "a\\u202eb"),
        ("\ud800", "\\ud800"),
        ("\ufffe", "\\ufffe"),
        ("\U000e0001", "\\U000e0001"),
        ("naïve µs – 日本", "naïve µs – 日本"),
    ],
)
def test_what_has_no_glyph_is_shown_as_what_it_is(text: str, said: str) -> None:
    """An escape is legible; ordinary letters of any script are left alone."""
    assert visible(text) == said
