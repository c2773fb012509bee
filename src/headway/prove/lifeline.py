"""
What was borrowed is given back even when Headway is killed: a small process that waits for its parent's end.

`python -m headway.prove.lifeline` reads one JSON object a line from its standard input: a server's process to stop, a
folder to remove, a database to drop. When that input closes, for whatever reason, it does so and ends. What the parent
has given back itself is found gone.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headway.servers.process import Identity

PREFIX = "headway-prove-"
COPY_PREFIX = "headway_prove_"
"""Only folders and databases whose names begin so are ever removed."""


class Lifeline:
    """The parent's end."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe

    def process(self, identity: Identity) -> None:
        """A server to stop."""
        self._say({"pid": identity.pid, "born": identity.born})

    def folder(self, path: Path) -> None:
        """A folder to remove."""
        self._say({"folder": str(path)})

    def database(self, url: str, name: str) -> None:
        """A database to drop, by a connection to another one of its server."""
        self._say({"url": url, "database": name})

    def _say(self, what: dict[str, object]) -> None:
        self._pipe.write(json.dumps(what).encode() + b"\n")
        self._pipe.flush()


@contextlib.contextmanager
def lifeline() -> Iterator[Lifeline]:
    """A lifeline for as long as the block lasts; it ends, and with it all that was named, when the block does."""
    # A session of its own: Ctrl-C at the terminal, and the end of its parent's group, are not for it.
    child = subprocess.Popen(
        [sys.executable, "-m", "headway.prove.lifeline"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    pipe = cast("IO[bytes]", child.stdin)
    try:
        yield Lifeline(pipe)
    finally:
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
        child.wait()


def main() -> None:
    """Read until the end, then give back, the newest first."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    named: list[dict[str, Any]] = []
    for line in sys.stdin.buffer:
        with contextlib.suppress(ValueError):  # the parent was killed in the middle of a line
            named.append(json.loads(line))
    for each in reversed(named):
        _give_back(each)


def _give_back(what: dict[str, Any]) -> None:
    from headway.errors import HeadwayError
    from headway.servers import postgres, process

    if "pid" in what:
        with contextlib.suppress(HeadwayError):
            postgres.stop(process.Identity(pid=int(what["pid"]), born=str(what["born"])))
    elif "folder" in what and str(what["folder"]).rpartition("/")[2].startswith(PREFIX):
        shutil.rmtree(what["folder"], ignore_errors=True)
    elif "database" in what and str(what["database"]).startswith(COPY_PREFIX):
        drop(str(what["url"]), str(what["database"]))


def drop(url: str, database: str) -> None:
    """Drop a copy made on somebody's server, with the sessions in it."""
    import psycopg

    from headway.prove.session import TrialSession

    with contextlib.suppress(psycopg.Error), TrialSession(url, statement_s=60) as session:
        session.ask("drop_copy", copy=database)


if __name__ == "__main__":
    main()
