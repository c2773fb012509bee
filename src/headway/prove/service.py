"""The user's own service, started against the copy, so that an endpoint can be measured with and without a remedy."""

from __future__ import annotations

import contextlib
import http.client
import shlex
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headway.errors import BadInput, HeadwayError
from headway.servers import ports, process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PATIENCE_S = 60.0
DATABASE, PORT = "{database_url}", "{port}"


@dataclass(frozen=True, kw_only=True)
class ServiceCommand:
    """
    How to start the service: `{port}` in words and environment stands for where it must listen, `{database_url}` for
    the database it must use.
    """

    words: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None


def command(text: str) -> ServiceCommand:
    """
    From a command line: `DATABASE_URL={database_url} uvicorn app:app --port {port}`.

    Raises:
        BadInput: it isn't a command, or says neither where to listen nor which database to use.
    """
    try:
        words = shlex.split(text)
    except ValueError as exc:
        raise BadInput(f"--service-command cannot be read: {exc}", next_act="close its quotes") from exc
    environment = {}
    while words and "=" in words[0] and words[0].partition("=")[0].isidentifier():
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    whole = [*words, *environment.values()]
    for place in (DATABASE, PORT):
        if not any(place in each for each in whole):
            raise BadInput(
                f"--service-command does not say {place}",
                next_act='say, for example, "DATABASE_URL={database_url} uvicorn app:app --port {port}"',
            )
    if not words:
        raise BadInput("--service-command names no program", next_act="put one after the environment")
    return ServiceCommand(words=tuple(words), environment=environment)


@contextlib.contextmanager
def running(service: ServiceCommand, database_url: str, work: Path) -> Iterator[str]:
    """
    The service's address, for as long as the block lasts.

    Raises:
        HeadwayError: it ends instead, or does not answer within a minute; with the end of its log.
    """
    port, log = ports.choose(), work / "service.log"
    filled = {DATABASE: database_url, PORT: str(port)}

    def fill(text: str) -> str:
        for place, value in filled.items():
            text = text.replace(place, value)
        return text

    environment = {name: fill(value) for name, value in service.environment.items()}
    identity = process.spawn(
        [fill(each) for each in service.words], cwd=service.folder or work.parent, log=log, env=environment
    )
    try:
        _wait(identity, port, log)
        yield f"http://{ports.HOST}:{port}"
    finally:
        process.stop(identity, (signal.SIGTERM, 8.0))


def _wait(identity: process.Identity, port: int, log: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while True:
        if not process.runs(identity):
            raise HeadwayError(f"the service ended at once:\n{process.tail(log)}", next_act="mend --service-command")
        connection = http.client.HTTPConnection(ports.HOST, port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException) as exc:
            if time.monotonic() > until:
                raise HeadwayError(
                    f"the service does not answer on port {port}", next_act="mend --service-command"
                ) from exc
            time.sleep(0.1)
        else:
            return
        finally:
            connection.close()
