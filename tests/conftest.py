"""Real servers for the tests: one PostgreSQL and one Valkey a session, nginx on demand. Nothing is mocked."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import hypothesis
import pytest
import redis

from headway.lab import Lab
from headway.servers import binaries, ports, postgres, process, valkey
from headway.servers import nginx as nginx_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


# A shell that starts us in the background has Ctrl-C ignored in us and in every program we start; tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Three seconds for each of the many first runs are not theirs to spend; calibration has tests of its own.
os.environ.setdefault("HEADWAY_CALIBRATION", "0")
# How long an example takes says how busy the machine is, not whether the promise holds.
hypothesis.settings.register_profile("headway", deadline=None)
hypothesis.settings.load_profile("headway")


PACED = (
    "test_bad_input.py", "test_breakpoint.py", "test_interchange_metrics.py", "test_load_cluster",
    "test_load_journeys.py", "test_load_redrawn.py", "test_load_scenario_runs.py", "test_runtime_docs.py",
    "test_runtime_edge.py", "test_runtime_examples.py", "test_runtime_frameworks.py", "test_runtime_instrument_wsgi.py",
    "test_runtime_sqlalchemy.py",
)  # fmt: skip
"""Files whose tests wait, or send a little load at its time: two of them leave each other room, more would not."""
MEASURING = (
    "test_compare_turns.py", "test_demo.py", "test_load_", "test_profile.py", "test_prove_pool_replica.py",
    "test_runtime_", "test_evidence_cache_parts.py", "test_evidence_collect.py", "test_evidence_waits.py",
    "test_traces_run.py",
)  # fmt: skip
"""Files whose tests measure time or load the machine to its end: nothing else may run beside them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `scripts/test` runs two at a time, and what alone; the others run three at a time."""
    for item in items:
        if item.path.parent.name == "unit":
            continue
        if item.path.name.startswith(PACED):
            item.add_marker(pytest.mark.paced)
        elif item.path.name.startswith(MEASURING):
            item.add_marker(pytest.mark.alone)


class StartNginx(Protocol):
    """Starts nginx with the inside of a server block (or of its http block); returns its URL."""

    def __call__(self, server: str = ..., *, http: str = ...) -> str: ...


@pytest.fixture(scope="session")
def service_room() -> Iterator[Path]:
    """A folder that the account services drop to can enter (pytest's own temporary folders it cannot)."""
    room = Path(tempfile.mkdtemp(prefix="headway-test-"))
    room.chmod(0o711)
    yield room
    shutil.rmtree(room)


@pytest.fixture
def service_folder(service_room: Path) -> Callable[[str], Path]:
    """Makes fresh folders in the room that belong to the account services drop to."""

    def make(name: str) -> Path:
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=service_room))
        process.own(folder, process.unprivileged())
        return folder

    return make


@pytest.fixture(scope="session")
def postgres_server(service_room: Path) -> Iterator[postgres.Postgres]:
    """One PostgreSQL with pg_stat_statements and auto_explain, with the lab's own settings."""
    account = process.unprivileged()
    room = service_room / "postgres"
    room.mkdir(mode=0o711)
    process.own(room, account)
    programs = binaries.postgres(service_room, account).path
    password, log = secrets.token_hex(16), service_room / "postgres.log"
    postgres.initialise(programs, room / "data", password=password, log=log, account=account)
    server = postgres.start(
        programs, room / "data", port=ports.choose(), password=password, log=log, account=account,
        settings={"shared_buffers": "64MB"},
    )  # fmt: skip
    yield server
    postgres.stop(server.identity)


@pytest.fixture
def postgres_url(postgres_server: postgres.Postgres) -> Iterator[str]:
    """The URL of a fresh, empty database with the extension pg_stat_statements; dropped afterwards."""
    name = f"test_{secrets.token_hex(6)}"
    yield postgres.create_database(postgres_server, name)
    postgres.drop_database(postgres_server, name)


@pytest.fixture(scope="session")
def valkey_server(service_room: Path) -> Iterator[str]:
    """One Valkey; its URL."""
    account = process.unprivileged()
    program = binaries.valkey().path
    account = account if process.permits(account, "x", program) else None
    room = service_room / "valkey"
    room.mkdir(mode=0o711)
    process.own(room, account)
    port, password = ports.choose(), secrets.token_hex(16)
    identity = valkey.start(
        program, room, port=port, password=password, log=service_room / "valkey.log", account=account
    )
    yield valkey.url(port, password)
    valkey.stop(identity)


@pytest.fixture
def valkey_url(valkey_server: str) -> str:
    """The URL of an empty Valkey."""
    with redis.Redis.from_url(valkey_server) as client:
        client.flushall()
    return valkey_server


@pytest.fixture
def nginx(service_folder: Callable[[str], Path]) -> Iterator[StartNginx]:
    """Starts nginx: `nginx("location / { return 200; }")` returns its URL; all are stopped afterwards."""
    account = process.unprivileged()
    program = binaries.nginx().path
    account = account if process.permits(account, "x", program) else None
    started: list[process.Identity] = []

    def start(server: str = "location / { return 200 ok; }", *, http: str = "") -> str:
        folder, port = service_folder("nginx"), ports.choose()
        process.own(folder, account)
        block = f"{http}\nserver {{ listen {ports.HOST}:{port} backlog=4096; {server} }}"
        started.append(
            nginx_server.start(program, folder, port=port, http=block, log=folder / "nginx.log", account=account)
        )
        return f"http://{ports.HOST}:{port}"

    yield start
    for identity in started:
        nginx_server.stop(identity)


@pytest.fixture(scope="session")
def compiled(service_room: Path) -> Path:
    """A folder for compiled Python that every account may write: the shop's libraries are compiled once a session."""
    folder = service_room / "compiled"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


@pytest.fixture
def lab_state(service_room: Path, compiled: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder for a lab, not made yet; whatever runs in it at the end is stopped, and the folder removed."""
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(compiled))
    folder = Path(tempfile.mkdtemp(prefix="lab-", dir=service_room))
    folder.chmod(0o755)
    yield folder / "state"
    Lab(folder / "state", say=lambda _text: None).down(purge=True)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def used_folder(service_room: Path) -> Path:
    """A folder for a lab's state that has been used before."""
    folder = service_room / "used"
    folder.mkdir()
    folder.chmod(0o755)
    return folder


@pytest.fixture
def used_state(used_folder: Path, compiled: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder that other tests have used, with nothing running: `up` need not make a database cluster."""
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(compiled))
    (used_folder / "state/logs/data.log").unlink(missing_ok=True)
    (used_folder / "state/logs/app-1.log").unlink(missing_ok=True)
    yield used_folder / "state"
    Lab(used_folder / "state", say=lambda _text: None).down()
