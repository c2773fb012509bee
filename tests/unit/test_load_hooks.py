"""Setup and teardown commands, and values from the environment: real commands, real failures."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import pytest

from headway.errors import BadInput, HeadwayError
from headway.load import environment, hooks, scenario
from headway.model import Scenario

RUN = f'"{sys.executable}"'


def made(folder: Path, *, setup: tuple[str, ...] = (), teardown: tuple[str, ...] = (), path: str = "/") -> Scenario:
    """Each command is the text of a Python file."""
    lines = []
    for key, codes in (("setup", setup), ("teardown", teardown)):
        for number, code in enumerate(codes):
            (folder / f"{key}{number}.py").write_text(code)
        commands = ", ".join(f"'{RUN} {key}{number}.py'" for number in range(len(codes)))
        lines.append(f"{key} = [{commands}]")
    file = folder / "s.toml"
    file.write_text("\n".join([*lines, "[[routes]]", f"path = '{path}'"]))
    return scenario.read(file)


def test_what_setup_prints_becomes_values(tmp_path: Path) -> None:
    """Text, numbers and lists, of several commands; each sees the service's URL and what came before it."""
    first = "import json, os; print(json.dumps({'shop': 17, 'url': os.environ['HEADWAY_TARGET']}))"
    second = (
        "import json, os; before = json.loads(os.environ['HEADWAY_SETUP'])\n"
        "print(json.dumps({'tags': ['a', 'b'], 'of': before['shop']}))"
    )
    last = "import os; open('seen', 'w').write(os.environ['HEADWAY_SETUP'])"
    read = made(tmp_path, setup=(first, second, "pass"), teardown=(last,), path="/{shop}/{tags}/{of}/{url}")
    with hooks.around(read, "http://x:1") as ready:
        assert {each.name: each.values for each in ready.parameters} == {
            "shop": ("17",), "url": ("http://x:1",), "tags": ("a", "b"), "of": ("17",),
        }  # fmt: skip
        assert {each.distribution for each in ready.parameters} == {"given"}
        assert not (tmp_path / "seen").exists()
    assert json.loads((tmp_path / "seen").read_text()) == {
        "shop": 17,
        "url": "http://x:1",
        "tags": ["a", "b"],
        "of": 17,
    }


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; print('1', file=sys.stderr); sys.exit('no database')", "exit code 1: no database"),
        ("print('hello')", "it printed something that is not JSON"),
        ("print([1])", "it printed JSON that is no object"),
        ("print('{\"a\": {}}')", "'a', which has no value"),
        ("print('{\"a b\": 1}')", "'a b', which has no value"),
        ("print('{\"a\": []}')", "'a', which has no value"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "exit code -15"),
    ],
)
def test_a_setup_that_fails_is_one_clear_error(tmp_path: Path, code: str, said: str) -> None:
    """No load is made, the error has the command's own last words, and teardown cleans up what was half done."""
    read = made(tmp_path, setup=(code,), teardown=("open('cleaned', 'w')",))
    with pytest.raises(hooks.HookFailed, match=said) as failed, hooks.around(read, "http://x"):
        pytest.fail("the load was made")
    assert failed.value.file == tmp_path / "s.toml"
    assert failed.value.next_act
    assert (tmp_path / "cleaned").exists()


def test_a_command_that_is_not_there_is_named_at_its_line(tmp_path: Path) -> None:
    """Typing errors in a command are errors of the file."""
    file = tmp_path / "s.toml"
    file.write_text("name = 'x'\nsetup = 'no-such-command --now'\n[[routes]]\npath = '/'\n")
    with pytest.raises(hooks.HookFailed, match="No such file") as failed, hooks.around(scenario.read(file), "http://x"):
        pytest.fail("the load was made")
    assert (failed.value.line, failed.value.column) == (2, 10)
    file.write_text("setup = \"sh -c 'unclosed\"\n[[routes]]\npath = '/'\n")
    with pytest.raises(hooks.HookFailed, match="No closing quotation"), hooks.around(scenario.read(file), "http://x"):
        pytest.fail("the load was made")


def test_a_name_that_setup_does_not_give_is_refused_then(tmp_path: Path) -> None:
    """What could have come from setup and did not is bad input, with what setup gave."""
    read = made(tmp_path, setup=("print('{\"shop\": 1}')",), path="/{shp}")
    with (
        pytest.raises(BadInput, match=r"asks for \{shp\}.*setup gave shop"),
        hooks.around(read, "http://x"),
    ):
        pytest.fail("the load was made")


def test_setup_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time, and when the run is interrupted; with the processes that it started."""
    monkeypatch.setattr(hooks, "TIMEOUT_S", 0.5)
    child = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "time.sleep(60)"
    )
    read = made(tmp_path, setup=(child,))
    began = time.monotonic()
    with pytest.raises(hooks.HookFailed, match=r"took over 0.5 s"), hooks.around(read, "http://x"):
        pytest.fail("the load was made")
    monkeypatch.setattr(hooks, "TIMEOUT_S", 60)
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(hooks.HookFailed, match="interrupted"), hooks.around(read, "http://x", stop.is_set):
        pytest.fail("the load was made")
    assert time.monotonic() - began < 20


def test_teardown_runs_whatever_came_of_the_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After an error of the load, which is the one that is told; after its own, every other command still runs."""
    read = made(tmp_path, teardown=("raise SystemExit('first')", "open('second', 'w')"))
    with pytest.raises(HeadwayError, match="of the load"), hooks.around(read, "http://x"):
        raise HeadwayError("of the load", next_act="x")
    assert (tmp_path / "second").exists()
    assert "exit code 1: first" in capsys.readouterr().err
    (tmp_path / "second").unlink()
    with (
        pytest.raises(hooks.HookFailed, match=r"teardown command .* exit code 1: first"),
        hooks.around(read, "http://x"),
    ):
        pass
    assert (tmp_path / "second").exists()


def test_a_command_may_leave_a_server_behind(tmp_path: Path) -> None:
    """A child that keeps its output open does not keep setup from ending."""
    child = (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3)'])\n"
        "print('{\"pid\": %d}' % p.pid)"
    )
    began = time.monotonic()
    with hooks.around(made(tmp_path, setup=(child,), path="/{pid}"), "http://x") as ready:
        assert int(ready.parameters[0].values[0]) > 0
    assert time.monotonic() - began < 2.5


SECRET = """\
[auth]
basic = { user = "me", password = "${PASSWORD}" }
[[routes]]
path = "/?key=${KEY}&price=${price}"
body = "${KEY}"
[parameters.price]
values = [5]
"""


def test_the_environment_s_values_are_known_to_the_load_only(tmp_path: Path) -> None:
    """`${NAME}` in capitals is the environment's; lower-case braces after a $ are a parameter behind a $."""
    (tmp_path / "s.toml").write_text(SECRET)
    read = scenario.read(tmp_path / "s.toml")
    assert "${KEY}" in read.routes[0].path
    ready = environment.filled(read, {"PASSWORD": "p:w", "KEY": "a&b", "OTHER": "x"})
    assert {each.name: each.values for each in ready.parameters if each.distribution == "given"} == {
        "$KEY": ("a&b",), "$PASSWORD": ("p:w",),
    }  # fmt: skip
    assert environment.filled(ready, {}) == ready


def test_an_environment_that_lacks_a_name_is_refused(tmp_path: Path) -> None:
    """With the line and column that ask for it, before anything is sent."""
    (tmp_path / "s.toml").write_text(SECRET)
    with pytest.raises(BadInput, match=r"asks for \$\{KEY\}, and the environment has no KEY") as refused:
        environment.filled(scenario.read(tmp_path / "s.toml"), {"PASSWORD": "x"})
    assert (refused.value.line, refused.value.column) == (4, 15)
    assert refused.value.next_act == "export KEY=..."
