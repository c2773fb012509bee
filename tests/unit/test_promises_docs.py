"""docs/promises.md says what Headway does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headway.promises.criterion import read
from headway.promises.spoken import clause_text

PAGE = (Path(__file__).parents[2] / "docs" / "promises.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    cells = [re.split(r"\s*\|\s*", line.strip("| ")) for line in section.splitlines() if line.startswith("| ")]
    return cells[1:]


@pytest.mark.parametrize(("written", "understood"), rows("What can be promised"))
def test_each_sentence_of_the_page_is_read_as_it_says(written: str, understood: str) -> None:
    """The table of what can be promised is what the grammar does."""
    assert " and ".join(map(clause_text, read(written).clauses)) == understood


@pytest.mark.parametrize(("written", "instead"), [(row[0], row[2]) for row in rows("What is refused")])
def test_each_refused_sentence_of_the_page_is_refused(written: str, instead: str) -> None:
    """The table of what is refused is what the grammar refuses, and what it offers is understood."""
    assert read(written).not_understood
    assert read(instead).clauses
