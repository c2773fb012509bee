"""What the lab makes of words: settings, scales, URLs, the memory it writes down."""

from __future__ import annotations

import json
import math
import os
import socket
import string
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from headway.cli.lab import app
from headway.errors import BadInput, LabFailed
from headway.lab import Lab, edge, shop, stages, state, wanted
from headway.lab.state import Memory, Started
from headway.lab.steps import Wish
from headway.servers import ports, process
from headway.servers.process import Identity

WORD = st.text(string.ascii_letters + string.digits + "@:/%? ", min_size=1)


def wish(scale: float = 1.0, number: int = 1) -> Wish:
    """An `up` that asks for little."""
    return Wish(
        stage=stages.stage(number), scale=scale, data=True, shop=Path(), settings={}, database_url=None, cache_url=None
    )


def test_stages_are_cumulative() -> None:
    """Each stage has all services of the one before, and takes back none of its settings."""
    for number in range(stages.FIRST, stages.LAST):
        now, then = wish(number=number).services(), wish(number=number + 1).services()
        assert now <= then
        before, after = stages.stage(number).settings, stages.stage(number + 1).settings
        assert all(after[name] == value for name, value in before.items() if name != "SHOP_EDGE_TTL_S" and value != "0")
        assert set(before) == set(after) <= set(stages.SETTINGS)


@pytest.mark.parametrize("number", [0, 5, -1])
def test_no_such_stage(number: int, tmp_path: Path) -> None:
    """A stage that does not exist is refused before a folder is made."""
    with pytest.raises(BadInput, match="no stage"):
        Lab(tmp_path / "state").up(number)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_no_such_scale(scale: float) -> None:
    """A scale that is no positive number is refused."""
    with pytest.raises(BadInput, match="no positive number"):
        wish(scale)


@pytest.mark.parametrize("pair", ["SHOP_POOL", "POOL=1", "shop_pool=1", "=1", ""])
def test_no_such_setting(pair: str) -> None:
    """What is no setting of the shop is refused with the list of those that are."""
    with pytest.raises(BadInput, match="SHOP_INDEXES"):
        stages.overrides([pair])


def test_settings_keep_what_stands_after_the_first_equals_sign() -> None:
    """A value may hold equals signs, or be empty."""
    asked = ["SHOP_CACHE=", "SHOP_DATABASE_URL=postgresql://h/d?a=b"]
    assert stages.overrides(asked) == {"SHOP_CACHE": "", "SHOP_DATABASE_URL": "postgresql://h/d?a=b"}


@given(user=WORD, password=WORD, database=st.text(string.ascii_letters))
def test_a_password_leaves_the_url_and_nothing_else_does(user: str, password: str, database: str) -> None:
    """Whatever its characters, the password is taken out, unescaped, and all else stays as it was."""
    whole = f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@host:5432/{database}?sslmode=prefer"
    address, taken = shop.without_password(whole)
    assert taken == password
    assert address == f"postgresql://{quote(user, safe='')}@host:5432/{database}?sslmode=prefer"
    assert urlsplit(address).password is None
    assert shop.without_password(address) == (address, None)


@given(
    secret=st.text(string.hexdigits), scale=st.none() | st.floats(0.001, 100), port=st.integers(1, 65535),
    settings=st.dictionaries(st.sampled_from(stages.SETTINGS), st.text()), name=st.sampled_from(["nginx", "app-1"]),
)  # fmt: skip
def test_memory_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    secret: str, scale: float | None, port: int, settings: dict[str, str], name: str,
) -> None:  # fmt: skip
    """What the lab writes down it reads again, and only its owner may."""
    folder = tmp_path_factory.getbasetemp()
    started = Started(
        name=name, identity=Identity(pid=7, born="x:1"), port=port, fingerprint="f", version="1", account="nobody"
    )
    memory = Memory(secret=secret, room=folder, scale=scale, settings=settings).with_service(started)
    state.write(folder, memory)
    assert state.read(folder) == memory
    assert (folder / state.STATE_FILE).stat().st_mode & 0o077 == 0
    assert memory.without_service(name).ports == {name: port}


@given(st.text())
def test_damaged_memory_is_one_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever stands in the state file, it is read or refused by name."""
    folder = tmp_path_factory.getbasetemp()
    (folder / state.STATE_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(LabFailed, match="damaged"):
        state.read(folder)


def test_a_state_that_is_a_file(tmp_path: Path) -> None:
    """A state folder that is a file is one clear error."""
    (tmp_path / "state").write_text("")
    with pytest.raises(LabFailed, match="state"):
        Lab(tmp_path / "state").up(1)


def test_ports_stay_out_of_the_way_of_the_load() -> None:
    """A chosen port is free, not one that is taken, and not one the kernel may give to an outgoing connection."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    chosen = {ports.choose() for _ in range(20)}
    assert all(port < low for port in chosen)
    with socket.create_server((ports.HOST, next(iter(chosen)))) as server:
        assert not ports.is_free(server.getsockname()[1])


def test_a_process_is_told_from_its_number() -> None:
    """The same number with another birth is another process; a number nobody has is none."""
    me = process.identify(os.getpid())
    assert me is not None
    assert process.runs(me)
    assert not process.runs(Identity(pid=me.pid, born="another boot:1"))
    assert process.identify(2**22 + 1) is None
    assert not process.runs(None)


def test_the_edge_lists_every_app_server(tmp_path: Path) -> None:
    """The edge's configuration names each app server once, its log and its cache inside its folder."""
    text = edge.configuration(tmp_path, 1234, [1, 2, 3])
    assert [text.count(f"server 127.0.0.1:{port} ") for port in (1, 2, 3)] == [1, 1, 1]
    assert f"access_log {tmp_path}/{edge.ACCESS_LOG}" in text
    assert wanted.REPLICA_SLOT.isidentifier()


@pytest.mark.parametrize(("balance", "written"), [("least_conn", 1), ("ip_hash", 1), ("round_robin", 0)])
def test_the_balance_asked_for_is_the_one_configured(tmp_path: Path, balance: str, written: int) -> None:
    """Each way but nginx's default is written down, once, and no other beside it."""
    text = edge.configuration(tmp_path, 1234, [1, 2], balance=edge.Balance(balance))
    assert [text.count(f" {each.value};") for each in edge.Balance if each == balance] == [written]
    assert sum(text.count(f" {each.value};") for each in edge.Balance) == written
    done = CliRunner().invoke(app, ["up", "--balance", "random", "--state", str(tmp_path / "state")])
    assert isinstance(done.exception, BadInput) and "round_robin" in str(done.exception.next_act)


def test_a_folder_without_a_shop(tmp_path: Path) -> None:
    """A folder named with --shop that holds none is refused by name."""
    with pytest.raises(BadInput, match=str(tmp_path)):
        shop.shop_folder(tmp_path)


def test_logs_of_nothing(tmp_path: Path) -> None:
    """A log that does not exist is refused; a lab that never was has none."""
    assert Lab(tmp_path).logs() == {}
    with pytest.raises(BadInput, match="no log 'app-9'"):
        Lab(tmp_path).logs("app-9")


def test_the_command_line_of_a_lab_that_never_was(tmp_path: Path) -> None:
    """Status, logs and down of a folder without a lab answer, in text and JSON, and make no folder."""
    state_folder = tmp_path / "state"
    runner = CliRunner()
    for words in (["status"], ["down"], ["logs"]):
        done = runner.invoke(app, [*words, "--state", str(state_folder)])
        assert done.exit_code == 0, done.output
    target = tmp_path / "status.json"
    done = runner.invoke(app, ["status", "--state", str(state_folder), "--format", "json", "-o", str(target)])
    assert done.exit_code == 0
    assert done.stdout == ""
    read = json.loads(target.read_text())
    assert (read["running"], read["services"], read["environment"]) == (False, [], {})
    assert not state_folder.exists()


@pytest.mark.parametrize("command", ["up", "status", "logs", "down"])
def test_help_ends_with_examples(command: str) -> None:
    """Each command's help ends with commands that run."""
    shown = CliRunner().invoke(app, [command, "--help"]).output
    assert f"headway lab {command}" in shown[shown.index("Examples:") :]
