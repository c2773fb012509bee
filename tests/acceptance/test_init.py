"""`headway init` at the keyboard: what it writes, what it leaves alone, what it says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headway.cli.main import main
from headway.load import scenario as scenarios
from headway.promises import increment
from keyboard import HEADWAY, HELD_TO_MODES, ROOT

MADE = ROOT / "tests/made/init"
OPENAPI: dict[str, Any] = {
    "openapi": "3.1.0", "info": {"title": "Shop API", "version": "1"}, "servers": [{"url": "http://127.0.0.1:8000/v1"}],
    "paths": {
        "/users/{id}": {
            "get": {"parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}]},
            "delete": {"parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}]},
        }
    },
}  # fmt: skip


@dataclass(frozen=True)
class Done:
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


Init = Callable[..., Done]


@pytest.fixture
def init(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Init:
    """The command as it is typed in `home`: the same entry point, in this process."""

    def typed(*words: str) -> Done:
        monkeypatch.chdir(home)
        monkeypatch.setattr(sys, "argv", ["headway", "init", *words])
        code = 0
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return typed


def all_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {str(each.relative_to(folder)): each.read_bytes() for each in sorted(folder.rglob("*")) if each.is_file()}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with an OpenAPI document, a HAR and a log."""
    (tmp_path / "openapi.json").write_text(json.dumps(OPENAPI))
    for name in ("visit.har", "access.log"):
        (tmp_path / name).write_bytes((MADE / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [("--openapi", "openapi.json"), ("--openapi", "openapi.json", "--writes"), ("--har", "visit.har"),
     ("--har", "visit.har", "--writes"), ("--access-log", "access.log"),
     ("--access-log", "access.log", "--replay", "2"), ("--access-log", "access.log", "--openapi", "openapi.json")],
    ids=" ".join,
)  # fmt: skip
def test_what_is_written_is_understood(home: Path, init: Init, words: tuple[str, ...]) -> None:
    """The scenario is read without complaint; each criterion is one, and says it is proposed; a command ends it."""
    done = init(*words)
    assert done.returncode == 0, done.stderr
    (folder,) = (home / ".specweave/increments").iterdir()
    next_command = f"next: headway validate {folder.name[:4]} --performance --against http://"
    assert done.stdout.splitlines()[-1].startswith(next_command)
    assert scenarios.read(folder / "scripts/scenario.toml").routes
    assert sorted(each.name for each in folder.iterdir()) == [
        "metadata.json",
        "plan.md",
        "scripts",
        "spec.md",
        "tasks.md",
    ]
    promise = increment.read(folder)
    assert promise.id == folder.name
    for each in promise.criteria:
        assert each.clauses, f"{each.text}: {each.not_understood}"
        assert each.checked is False
    notes = [
        line for line in (folder / "spec.md").read_text().splitlines() if "**Note**: proposed, not agreed." in line
    ]
    assert len(notes) == len(promise.criteria)


def test_texts_no_file_can_hold_are_written_all_the_same(home: Path, init: Init) -> None:
    """Half a surrogate pair in a body, a title of control characters: still a file, and still read back."""
    body = {"content": {"application/json": {"example": {"a": "\ud800", "b": 'x\u2028\u0000\'"""\\'}}}}
    strange = {
        **OPENAPI, "info": {"title": "\u0007\ud800 ]]\n[load]"},
        "paths": {"/a": {"post": {"requestBody": body}, "get": {"description": "x"}}},
    }  # fmt: skip
    (home / "strange.json").write_text(json.dumps(strange))
    done = init("--openapi", "strange.json", "--writes", "--scenario", "x.toml")
    assert done.returncode == 0, done.stderr
    assert [each.method for each in scenarios.read(home / "x.toml").routes] == ["GET", "POST"]


def test_what_is_a_comment_is_a_route_without_its_hash(home: Path, init: Init) -> None:
    """As the file says: remove the # before its lines, and it is asked; its parameters come with it."""
    key = {"name": "order", "in": "path", "required": True, "schema": {"type": "integer"}}
    body = {"content": {"application/json": {"example": {"name": "Ann"}}}}
    paths = {**OPENAPI["paths"], "/orders/{order}": {"put": {"parameters": [key], "requestBody": body}}}
    (home / "more.json").write_text(json.dumps({**OPENAPI, "paths": paths}))
    assert init("--openapi", "more.json", "--scenario", "x.toml").returncode == 0
    text = (home / "x.toml").read_text()
    assert [each.method for each in scenarios.read(home / "x.toml").routes] == ["GET"]
    (home / "y.toml").write_text(re.sub(r"(?m)^#(?=\S)", "", text))
    assert [each.method for each in scenarios.read(home / "y.toml").routes] == ["GET", "DELETE", "PUT"]


def test_nothing_is_replaced_unless_asked(home: Path, init: Init) -> None:
    """A second time is refused, and not a byte differs; --force replaces; another name is another increment."""
    assert init("--access-log", "access.log").returncode == 0
    before = all_of(home)
    again = init("--openapi", "openapi.json", "--name", "service")
    assert again.returncode == 2
    assert "is there already" in again.stderr
    assert "--force" in again.stderr
    assert all_of(home) == before
    forced = init("--openapi", "openapi.json", "--name", "service", "--force")
    assert forced.returncode == 0, forced.stderr
    assert all_of(home) != before
    assert init("--openapi", "openapi.json").returncode == 0
    assert sorted(each.name for each in (home / ".specweave/increments").iterdir()) == [
        "0001-performance-of-service", "0002-performance-of-shop-api",
    ]  # fmt: skip


def test_a_scenario_alone_stands_where_it_is_wanted(home: Path, init: Init) -> None:
    """--scenario writes it and its feeds beside it, no increment; two in one folder do not meet."""
    for name in ("one.toml", "two.toml"):
        done = init("--access-log", "access.log", "--scenario", name)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == f"next: headway run {name} --against http://127.0.0.1:8000"
        assert scenarios.read(home / name).parameters
    assert not (home / ".specweave").exists()
    assert (home / "one-arrivals.jsonl").read_bytes() == (home / "two-arrivals.jsonl").read_bytes()


def test_a_folder_that_cannot_be_written_leaves_nothing_behind(home: Path) -> None:
    """All or nothing: no half of an increment, no temporary folder."""
    (home / ".specweave/increments").mkdir(parents=True)
    (home / ".specweave/increments").chmod(0o555)
    before = all_of(home)
    command = [*HELD_TO_MODES, *HEADWAY, "init", "--openapi", "openapi.json"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "cannot be written: Permission denied" in done.stderr
    assert all_of(home) == before
    assert list((home / ".specweave/increments").iterdir()) == []


def test_a_file_in_the_way_of_one_keeps_all_others_out(home: Path, init: Init) -> None:
    """Even with --force: what cannot take its place leaves the others as they were."""
    first = init("--access-log", "access.log", "--scenario", "x.toml")
    assert first.returncode == 0, first.stderr
    (home / "x-arrivals.jsonl").unlink()
    (home / "x-arrivals.jsonl").mkdir()
    (home / "x-arrivals.jsonl/mine").write_text("kept")
    before = all_of(home)
    done = init("--access-log", "access.log", "--scenario", "x.toml", "--replay", "3", "--force")
    assert done.returncode == 2, done.stdout
    assert all_of(home) == before
    assert not [each for each in home.iterdir() if each.name.startswith(".headway-init")]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ((), "nothing to begin from"),
        (("--har", "visit.har", "--openapi", "openapi.json"), "--har goes with no other source"),
        (("--access-log", "access.log", "--writes"), "--writes means nothing for a log"),
        (("--openapi", "openapi.json", "--replay", "1"), "only a log has them"),
        (("--openapi", "openapi.json", "--host", "a"), "--host chooses among a HAR's hosts"),
        (("--openapi", "nothing.json"), "nothing.json: cannot be read: No such file"),
        (("--har", "openapi.json"), "openapi.json: is no HTTP archive"),
        (("--har", "access.log"), "access.log:2: is not JSON: Extra data, column 1"),
        (("--access-log", "visit.har"), "is a request; line 1 is not in a format known here"),
        (("--openapi", "visit.har"), 'it has no "openapi" at its top'),
        (("--access-log", "."), "it is no regular file"),
        (("--openapi", "openapi.json", "--name", "!"), "neither a letter of a to z"),
        (("--openapi", "openapi.json", "--scenario", "access.log/x.toml"), "access.log: cannot be written"),
    ],
)
def test_a_wrong_word_is_one_line_and_writes_nothing(home: Path, init: Init, words: tuple[str, ...], what: str) -> None:
    """What failed, on what, and what to do; exit code 2; no file."""
    before = all_of(home)
    done = init(*words)
    assert done.returncode == 2
    assert what in done.stderr
    assert done.stderr.count("\n") == 1
    assert all_of(home) == before


def test_the_schema_is_printed_and_nothing_written(home: Path, init: Init) -> None:
    """`--schema` prints the scenario file's JSON Schema as it is published, and leaves the folder as it was."""
    before = sorted(home.rglob("*"))
    result = init("--schema")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["title"] == "Headway scenario"
    assert sorted(home.rglob("*")) == before
