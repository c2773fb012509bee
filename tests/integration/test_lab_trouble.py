"""The lab in trouble: killed, interrupted, disk full, ports taken. It recovers, or says in one line what to do."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

import small_shop
from headway.errors import LabFailed
from headway.lab import Lab, room, sources
from headway.servers import binaries, process
from keyboard import HEADWAY, HELD_TO_MODES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def make_shop(service_room: Path) -> Callable[..., Path]:
    """Makes small shops."""

    def make(*, load_s: float = 0, start_s: float = 0) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="shop-", dir=service_room))
        return small_shop.write(folder, load_s=load_s, start_s=start_s)

    return make


@pytest.fixture
def sleeper() -> Iterator[int]:
    """The number of an unrelated process, of the account services run as."""
    account = process.unprivileged()
    child = subprocess.Popen(["sleep", "600"], user=account.uid if account else None)
    yield child.pid
    child.kill()
    child.wait()


def headway(*words: str | Path) -> subprocess.Popen[str]:
    """The command line, started."""
    return subprocess.Popen(
        [*HEADWAY, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/"
    )


def until(log: Path, text: str) -> None:
    """Wait until a log says something."""
    deadline = time.monotonic() + 30
    while not (log.exists() and text in log.read_text()):
        assert time.monotonic() < deadline, f"{log} never said {text!r}"
        time.sleep(0.02)


def left(state: Path) -> list[str]:
    """Command lines of processes that name the state folder or write to its logs."""
    named = [each.info["cmdline"] or [] for each in psutil.process_iter(["cmdline"])]
    mine = [" ".join(words) for words in named if any(str(state) in word for word in words)]
    return mine + [str(each) for each in process.strays(state / room.LOGS)]


def killed_up(state: Path, shop: Path, log: str, says: str) -> list[process.Identity]:
    """`up`, killed with SIGKILL when `log` says something; the processes it left behind."""
    (state / "logs" / log).unlink(missing_ok=True)
    parent = headway("lab", "up", "--stage", "1", "--scale", "0.01", "--state", state, "--shop", shop)
    until(state / "logs" / log, says)
    parent.kill()
    parent.communicate()
    return [identity for _, identity in process.strays(state / room.LOGS)]


def test_a_killed_parent_loses_nothing(used_state: Path, make_shop: Callable[..., Path]) -> None:
    """
    `up` killed while it loads: the next keeps the server that stands and ends the loader. Killed with an app server
    that is not yet written down: `down` finds that as well.
    """
    shop = make_shop(load_s=60)
    lost = killed_up(used_state, shop, "data.log", "loading")
    assert len(lost) >= 2, "PostgreSQL and the loader"
    (shop / "shop/load_s").write_text("0")
    before = json.loads((used_state / "lab.json").read_text())["services"]["postgres"]["identity"]["pid"]
    said: list[str] = []
    lab = Lab(used_state, say=said.append)
    status = lab.up(shop_dir=shop)
    assert status.running
    assert dict(status.processes)["postgres"] == before
    assert any("of data, left by an earlier command" in line for line in said)

    (shop / "shop/start_s").write_text("60")
    lab.down()
    lost = killed_up(used_state, shop, "app-1.log", "Starting granian")
    assert "app-1" not in json.loads((used_state / "lab.json").read_text())["services"]
    lab.down()
    assert left(used_state) == []
    assert not any(process.runs(identity) for identity in lost)


def test_ctrl_c(used_state: Path, make_shop: Callable[..., Path]) -> None:
    """Ctrl-C during `up` ends the loader with it; status says that the lab is not up; `down` clears the rest."""
    shop = make_shop(load_s=60)
    parent = headway("lab", "up", "--stage", "1", "--scale", "0.01", "--state", used_state, "--shop", shop)
    until(used_state / "logs/data.log", "loading")
    parent.send_signal(signal.SIGINT)
    _, said = parent.communicate(timeout=20)
    assert "Traceback" not in said
    assert parent.returncode != 0
    assert not any("shop.data" in line for line in left(used_state))
    status = Lab(used_state).status()
    assert not status.running
    assert "did not finish" in status.as_text()
    Lab(used_state).down()
    assert left(used_state) == []


def test_stale_numbers_and_taken_port(used_state: Path, make_shop: Callable[..., Path], sleeper: int) -> None:
    """Numbers of dead servers that now belong to another process, which is let be; a port taken meanwhile is left."""
    shop, said = make_shop(), list[str]()
    lab = Lab(used_state, say=said.append)
    first = lab.up(1, 0.01, shop_dir=shop)
    for _, pid in first.processes:
        tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        for each in tree:
            each.kill()
        psutil.wait_procs(tree, timeout=10)
    with pytest.raises(LabFailed, match=r"app-1, postgres .* ended"):
        sources(lab.status())
    memory = json.loads((used_state / "lab.json").read_text())
    for service in memory["services"].values():
        service["identity"]["pid"] = sleeper
    (used_state / "lab.json").write_text(json.dumps(memory))
    pid_file = used_state / "postgres/data/postmaster.pid"
    pid_file.write_text(pid_file.read_text().replace(str(dict(first.processes)["postgres"]), str(sleeper), 1))
    with socket.create_server(("127.0.0.1", memory["ports"]["postgres"])):
        second = lab.up(shop_dir=shop)
        assert second.running
        assert second.database_url != first.database_url
        assert any("is taken by another program" in line for line in said)
    lab.down()
    assert psutil.pid_exists(sleeper)
    assert left(used_state) == []


def test_a_dead_service_is_started_again(used_state: Path, make_shop: Callable[..., Path]) -> None:
    """An app server that died is said to have, and the next `up` starts it and nothing else."""
    shop = make_shop()
    lab = Lab(used_state)
    first = lab.up(1, 0.01, shop_dir=shop)
    dead = psutil.Process(dict(first.processes)["app-1"])
    dead.kill()  # its worker lives on, and holds the port
    dead.wait(10)
    with pytest.raises(LabFailed, match=r"app-1 of the lab .* ended"):
        sources(lab.status())
    second = lab.up(shop_dir=shop)
    assert second.running
    assert dict(second.processes)["postgres"] == dict(first.processes)["postgres"]


def test_two_at_once(used_state: Path, make_shop: Callable[..., Path]) -> None:
    """A second command on the same folder is refused at once."""
    shop = make_shop(load_s=60)
    parent = headway("lab", "up", "--stage", "1", "--scale", "0.01", "--state", used_state, "--shop", shop)
    until(used_state / "logs/data.log", "loading")
    with pytest.raises(LabFailed, match="another command is at work"):
        Lab(used_state).up(1, shop_dir=shop)
    with pytest.raises(LabFailed, match="another command is at work"):
        Lab(used_state).down()
    parent.send_signal(signal.SIGINT)
    parent.communicate(timeout=20)


def test_the_folder_removed_under_a_running_lab(lab_state: Path, make_shop: Callable[..., Path]) -> None:
    """`rm -rf` of the state folder loses its memory; `down` still ends its processes."""
    Lab(lab_state).up(1, 0.01, shop_dir=make_shop())
    subprocess.run(["rm", "-rf", lab_state], check=True)
    Lab(lab_state).down()
    assert left(lab_state) == []


def test_read_only_folder(lab_state: Path, make_shop: Callable[..., Path]) -> None:
    """A folder that cannot be written is one clear line and leaves nothing."""
    lab_state.parent.chmod(0o555)
    command = [*HELD_TO_MODES, *HEADWAY, "lab", "up", "--state", str(lab_state), "--shop", str(make_shop())]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    lab_state.parent.chmod(0o755)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "cannot write in the lab's state folder" in done.stderr
    assert "Permission denied" in done.stderr
    assert not lab_state.exists()


def without_space(limit_bytes: int, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """The command line, where no file may grow past so many bytes."""
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes}));"
        "from headway.cli.main import main; main()"
    )
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, cwd="/")


@pytest.mark.parametrize("limit_bytes", [0, 4096])
def test_full_folder(lab_state: Path, make_shop: Callable[..., Path], limit_bytes: int) -> None:
    """A folder that takes no more bytes: one error that names it or the log, and nothing is left running."""
    done = without_space(limit_bytes, "lab", "up", "--stage", "1", "--state", lab_state, "--shop", make_shop())
    assert done.returncode == 1
    assert str(lab_state) in done.stderr
    assert "Traceback" not in done.stderr
    assert left(lab_state) == []


def test_down_needs_no_space(used_state: Path, make_shop: Callable[..., Path]) -> None:
    """`down` ends everything although it cannot write that it did; `up` then sees that all has ended."""
    lab = Lab(used_state)
    lab.up(1, 0.01, shop_dir=make_shop())
    done = without_space(0, "lab", "down", "--state", used_state)
    assert done.returncode == 0, done.stderr
    assert left(used_state) == []
    assert not lab.status().running


def test_small_disk(used_state: Path, monkeypatch: pytest.MonkeyPatch, make_shop: Callable[..., Path]) -> None:
    """A disk too small for what is asked is said before anything is written into it, with both numbers."""
    monkeypatch.setattr(room, "SCALE_MB", 1e12)
    with pytest.raises(LabFailed, match=r"data at scale 1 needs about 10+ MB in .*, and \d+ MB are free"):
        Lab(used_state).up(1, 1, shop_dir=make_shop())


def test_damaged_memory(lab_state: Path, make_shop: Callable[..., Path]) -> None:
    """A damaged state file is named with the way out, and that way works."""
    shop = make_shop()
    Lab(lab_state).up(1, 0.01, shop_dir=shop)
    (lab_state / "lab.json").write_text('{"secret": ')
    for act in (Lab(lab_state).status, Lab(lab_state).down):
        with pytest.raises(LabFailed, match=r"lab\.json: the lab's state is damaged; headway lab down --purge"):
            act()
    Lab(lab_state).down(purge=True)
    assert left(lab_state) == []
    assert not lab_state.exists()


def test_a_program_that_is_not_there(
    lab_state: Path, monkeypatch: pytest.MonkeyPatch, make_shop: Callable[..., Path], tmp_path: Path
) -> None:
    """PG_BIN_DIR, VALKEY_SERVER, NGINX that are missing, not executable or something else: named, with the variable."""
    shop = make_shop()
    monkeypatch.setenv("PG_BIN_DIR", "/nowhere")
    with pytest.raises(LabFailed, match=r"no program at /nowhere/postgres \(from PG_BIN_DIR\)"):
        Lab(lab_state).up(1, shop_dir=shop)
    (tmp_path / "valkey").write_text("#!/bin/sh\n")
    monkeypatch.setenv("VALKEY_SERVER", str(tmp_path / "valkey"))
    with pytest.raises(LabFailed, match=r"VALKEY_SERVER.* is not executable"):
        binaries.valkey()
    monkeypatch.setenv("NGINX", "/bin/true")
    with pytest.raises(LabFailed, match="/bin/true -v says no version"):
        binaries.nginx()


def test_named_programs_are_used(monkeypatch: pytest.MonkeyPatch, service_room: Path) -> None:
    """PG_BIN_DIR, VALKEY_SERVER and NGINX decide, and their versions are read from them."""
    account = process.unprivileged()
    own = {
        "PG_BIN_DIR": binaries.postgres(service_room, account),
        "VALKEY_SERVER": binaries.valkey(),
        "NGINX": binaries.nginx(),
    }
    for variable, binary in own.items():
        monkeypatch.setenv(variable, str(binary.path))
    named = (binaries.postgres(service_room, account), binaries.valkey(), binaries.nginx())
    assert [each.chosen_by for each in named] == list(own)
    assert [each.version for each in named] == [each.version for each in own.values()]
    assert int(named[0].version.split(".")[0]) >= 18


def test_an_app_that_does_not_start(used_state: Path, make_shop: Callable[..., Path]) -> None:
    """The error carries the end of the app server's log; what stands can be taken down."""
    shop = make_shop()
    (shop / "shop/app.py").write_text("raise RuntimeError('no such setting as bogus')\n")
    with pytest.raises(LabFailed, match="no such setting as bogus"):
        Lab(used_state).up(1, 0.01, shop_dir=shop)
    Lab(used_state).down()
    assert left(used_state) == []


def test_a_folder_nobody_can_enter(lab_state: Path, make_shop: Callable[..., Path]) -> None:
    """Run by root under a closed folder, as /root is: the services' files go elsewhere, and `down` removes them."""
    lab_state.parent.chmod(0o700)
    status = Lab(lab_state).up(1, 0.01, shop_dir=make_shop())
    outside = room.outside(lab_state)
    assert status.running
    assert outside.exists() == (os.geteuid() == 0)
    Lab(lab_state).down()
    assert not outside.exists()
    assert left(lab_state) == []
