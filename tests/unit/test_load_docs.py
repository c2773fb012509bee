"""docs/load.md says what the load does."""

from __future__ import annotations

import re
from pathlib import Path

from headway.load import phases, scenario
from headway.model import FailureKind

PAGE = (Path(__file__).parents[2] / "docs/load.md").read_text(encoding="utf-8")


def test_the_page_s_scenario_is_read(tmp_path: Path) -> None:
    """The scenario shown is one, and it has every key a scenario may have."""
    text = PAGE.split("```toml\n")[1].split("```")[0]
    (tmp_path / "users.csv").write_text("email\na@x\n")
    (tmp_path / "shop.toml").write_text(text)
    read = scenario.read(tmp_path / "shop.toml")
    assert [each.weight for each in read.routes] == [6, 3, 1]
    for key in (*phases.LOAD_KEYS, *scenario.ROUTE_KEYS):
        assert re.search(rf"\b{key} =", text), key
    for word in scenario.METHODS:
        assert word in text


def test_the_page_names_every_kind_of_failure() -> None:
    """The table of failures has each kind by the words the reports use, and none else."""
    section = PAGE.split("## What is a failure\n")[1].split("\n## ")[0]
    named = re.findall(r"^\| (?!Kind)(\w[^|]+?) \|", section, re.M)
    assert sorted(named) == sorted(kind.value for kind in FailureKind)
