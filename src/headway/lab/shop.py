"""The reference shop as the lab runs it: its folder, its data and indexes, its app servers."""

from __future__ import annotations

import http.client
import os
import signal
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from headway.conventions import trace_variables
from headway.errors import BadInput, LabFailed
from headway.lab.stages import TRACES_SETTING
from headway.servers import process
from headway.servers.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headway.servers.process import Account, Identity

_APP = Path("shop") / "app.py"
INSTRUMENTATIONS = (
    "opentelemetry.distro",
    "opentelemetry.exporter.otlp.proto.http",
    "opentelemetry.instrumentation.fastapi",
    "opentelemetry.instrumentation.psycopg",
    "opentelemetry.instrumentation.redis",
)


def shop_folder(named: Path | None = None) -> Path:
    """
    The folder of the reference shop: the one named, the checkout's `examples/shop`, or the installed package's.

    Raises:
        BadInput: the folder named holds no shop.
        LabFailed: none is named, and this installation has none.
    """
    package = Path(__file__).resolve().parents[1]
    if named is not None:
        if not (named / _APP).is_file():
            raise BadInput(f"{named} holds no shop: {_APP} is missing", next_act="name a folder like examples/shop")
        return named.resolve()
    for folder in (package.parents[1] / "examples" / "shop", package / "examples" / "shop"):
        if (folder / _APP).is_file():
            return folder
    raise LabFailed("this installation has no reference shop", next_act="name its folder with --shop")


def account_for(folder: Path, account: Account | None) -> Account | None:
    """`account` when it may read the shop and this Python's packages, else None: the invoking user."""
    granian = find_spec("granian")
    if account is None or granian is None or granian.origin is None:
        return None
    readable = all(process.permits(account, "r", path) for path in (folder / _APP, Path(granian.origin)))
    return account if readable and process.permits(account, "x", Path(sys.executable)) else None


def start(
    folder: Path, *, port: int, room: Path, log: Path, account: Account | None, settings: Mapping[str, str]
) -> Identity:
    """Start one app server; it is not ready yet, see `wait`."""
    words, environment, cwd = command(folder, port=str(port), room=room, settings=settings)
    return process.spawn(words, cwd=cwd, log=log, account=account, env=environment)


def command(
    folder: Path, *, port: str, room: Path, settings: Mapping[str, str]
) -> tuple[list[str], dict[str, str], Path]:
    """What starts one app server: its words, its environment, and where."""
    # fmt: off
    words = [sys.executable, "-m", "granian", "--interface", "asgi", "--host", HOST, "--port", port,
             "--workers", "1", "--no-access-log", "--no-ws", "--backlog", "4096", "--backpressure", "4096",
             "--workers-kill-timeout", "3", "shop.app:app"]
    # fmt: on
    own = {name: value for name, value in settings.items() if name != TRACES_SETTING}
    if endpoint := settings.get(TRACES_SETTING):
        words, own = _instrumented(words), {**own, **_tracing(endpoint)}
    return words, {**_python(folder, room), **own}, folder


def _instrumented(words: list[str]) -> list[str]:
    """
    The same command under `opentelemetry-instrument`: the shop's code knows nothing of traces.

    Raises:
        LabFailed: the packages for that are not installed.
    """
    missing = [name for name in INSTRUMENTATIONS if not _installed(name)]
    if missing:
        raise LabFailed(
            f"the shop cannot send traces: {', '.join(missing)} is missing", next_act="install headway[lab,traces]"
        )
    return [sys.executable, "-c", "from opentelemetry.instrumentation.auto_instrumentation import run; run()", *words]


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # of a parent package
        return False


def _tracing(endpoint: str) -> dict[str, str]:
    """
    Raises:
        BadInput: the endpoint is no URL.
    """
    if not endpoint.startswith(("http://", "https://")):
        raise BadInput(
            f"{TRACES_SETTING}={endpoint!r} is no http:// URL", next_act=f"say {TRACES_SETTING}=http://127.0.0.1:4318"
        )
    return {**trace_variables(endpoint), "OTEL_SERVICE_NAME": "shop"}


def wait(identity: Identity, port: int, log: Path, patience_s: float = 60.0) -> None:
    """
    Wait until an app server says it is healthy.

    Raises:
        LabFailed: it ends instead, or takes too long; the message has the end of its log.
    """
    until = time.monotonic() + patience_s
    while not healthy(port):
        if not process.runs(identity):
            raise LabFailed(f"an app server ended at once:\n{process.tail(log)}", next_act=f"read {log}")
        if time.monotonic() > until:
            stop(identity)
            raise LabFailed(f"an app server is not healthy after {patience_s:.0f} s", next_act=f"read {log}")
        time.sleep(0.05)


def healthy(port: int) -> bool:
    """Whether GET /health answers 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def stop(identity: Identity) -> None:
    """SIGTERM, then by force. Bounded time."""
    process.stop(identity, (signal.SIGTERM, 8.0))


def tool(
    folder: Path, words: list[str], database_url: str, *, doing: str, room: Path, log: Path, account: Account | None,
    say: Callable[[str], None],
) -> None:  # fmt: skip
    """
    Run one of the shop's own tools to its end: `["shop.data", "--scale", "1"]`, `["shop.indexes", "on"]`.

    Raises:
        LabFailed: it fails; the message has the end of its log.
    """
    address, password = without_password(database_url)
    module, *rest = words
    process.run(
        [sys.executable, "-m", module, "--database-url", address, *rest],
        cwd=folder, log=log, doing=doing, account=account, say=say,
        env={**_python(folder, room), **({"PGPASSWORD": password} if password else {})},
    )  # fmt: skip


def without_password(database_url: str) -> tuple[str, str | None]:
    """The URL without its password, and the password: a command line is for every user of the machine to read."""
    parts = urlsplit(database_url)
    if parts.password is None:
        return database_url, None
    credentials, _, host = parts.netloc.rpartition("@")
    user = credentials.partition(":")[0]
    return parts._replace(netloc=f"{user}@{host}" if user else host).geturl(), unquote(parts.password)


def _python(folder: Path, room: Path) -> dict[str, str]:
    """
    Modules are found in the shop's folder; their compiled form goes to the lab's, not beside the sources, unless the
    user already keeps it somewhere.
    """
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    return {
        "PYTHONPATH": path,
        "PYTHONPYCACHEPREFIX": os.environ.get("PYTHONPYCACHEPREFIX") or str(room / "pycache"),
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONUNBUFFERED": "1",
    }
