"""docs/load.md says what the load does."""

from __future__ import annotations

import re
from pathlib import Path

from headway.load import scenario
from headway.model import FailureKind

PAGE = (Path(__file__).parents[2] / "docs/load.md").read_text(encoding="utf-8")


def test_the_page_s_scenario_is_read(tmp_path: Path) -> None:
    """The scenario shown is one, and its load is what it says."""
    (tmp_path / "shop.toml").write_text(PAGE.split("```toml\n")[1].split("```")[0])
    read = scenario.read(tmp_path / "shop.toml")
    assert (read.default_phase.rate_per_s, read.default_phase.duration_s) == (200, 30)


def test_the_page_names_every_kind_of_failure() -> None:
    """The table of failures has each kind by the words the reports use, and none else."""
    section = PAGE.split("## What is a failure\n")[1].split("\n## ")[0]
    named = re.findall(r"^\| (?!Kind)(\w[^|]+?) \|", section, re.M)
    assert sorted(named) == sorted(kind.value for kind in FailureKind)
