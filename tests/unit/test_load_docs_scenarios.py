"""docs/scenarios.md says what a scenario file can say."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import headway.load
from headway.load import check, extract, parameters, scenario
from headway.load.routes import METHODS, ROUTE_KEYS
from headway.load.wire_table import HTTP_KEYS

PAGE = (Path(__file__).parents[2] / "docs/scenarios.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "people.csv").write_text("name,password\nann,a\n")
    (tmp_path / "words.jsonl").write_text('{"word": "tea"}\n')
    return tmp_path


@pytest.mark.parametrize("text", blocks("toml"))
def test_every_toml_shown_is_a_scenario(folder: Path, text: str) -> None:
    """Each example can be saved and read as it stands."""
    (folder / "shop.toml").write_text(text)
    assert scenario.read(folder / "shop.toml").routes


def test_the_three_forms_shown_say_the_same(folder: Path) -> None:
    """The page says that TOML, YAML and Python say the same; so they do."""
    found = []
    for language, suffix in (("toml", "toml"), ("yaml", "yaml"), ("python", "py")):
        file = folder / f"shop.{suffix}"
        file.write_text(blocks(language)[0])
        found.append(replace(scenario.read(file), file=None))
    assert found[0] == found[1] == found[2]


def test_the_refusal_shown_is_the_one_that_is_given(folder: Path) -> None:
    """A line of output on the page is what comes out."""
    text = 'name = "shop"\n' + "\n" * 8 + '[[routes]]\npath = "/"\n[[routes]]\npath = "/b"\nwieght = 2\n'
    (folder / "shop.toml").write_text(text)
    with pytest.raises(Exception, match="wieght") as refused:
        scenario.read(folder / "shop.toml")
    assert str(refused.value).replace(f"{folder}/", "") == blocks("")[0].strip()


def test_the_page_has_every_key_and_word() -> None:
    """Nothing a scenario can say is left out of its reference; the load's keys are in docs/shapes.md."""
    keys = {*scenario.KEYS, *ROUTE_KEYS, *HTTP_KEYS, *extract.SOURCES, *check.SOURCES, *METHODS}
    keys |= {*parameters.RANGES, *parameters.LISTS, *parameters.CHOICES, *parameters.FEED_KEYS, "equals", "think_s"}
    for key in sorted(keys):
        assert re.search(rf"\b{key}\b", PAGE), key
    for word in headway.load.__all__:
        assert re.search(rf"`{word}`|\b{word}\(|import .*\b{word}\b", PAGE), word
