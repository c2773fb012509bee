"""The second third of the `headway` commands that README.md and docs/ show, run as they stand against a small lab."""

from __future__ import annotations

from pathlib import Path

import pytest

from documented import holds, home, part

__all__ = ["home"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("place", "command"), part(1))
def test_a_command_shown_does_what_the_page_says(home: Path, place: str, command: str) -> None:
    """It runs: a gate ends in a verdict, anything else ends well; JSON is JSON, and files named are written."""
    holds(home, place, command)
