"""
Two revisions of a service, each checked out beside the repository, started, waited for, and ended again.

Whatever happens in between, what was started is ended by its process group, and what was checked out is removed.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from headway.errors import BadInput, TargetUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

PORT = "{port}"
GRACE_S = 10.0
POLL_S = 0.1
TOLD_LINES = 5


@contextmanager
def served(
    repository: Path, revisions: tuple[str, str], *, start: str, prepare: str | None, patience_s: float
) -> Iterator[tuple[str, str]]:
    """
    The URLs of both revisions, while the block lasts.

    Args:
        repository: a folder of the git repository.
        revisions: of A and of B: branches, tags, commits.
        start: the command that serves, run in the check-out; `{port}` in it, and PORT in its environment, is the port.
        prepare: a command run to its end in the check-out before; None: nothing.
        patience_s: how long it may take until it answers.

    Raises:
        BadInput: no repository, no such revision, no command, a command without {port}, or one that failed.
        TargetUnreachable: it was started and does not answer.
    """
    if PORT not in start:
        raise BadInput(f"--start {start!r} has no {PORT}", next_act=f"say where it is to listen: --port {PORT}")
    commits = [_commit(repository, each) for each in revisions]
    with ExitStack() as until_done:
        until_done.enter_context(_terminated_as_interrupted())
        home = Path(tempfile.mkdtemp(prefix="headway-revisions-"))
        until_done.callback(shutil.rmtree, home, ignore_errors=True)
        urls = []
        for name, revision, commit in zip("ab", revisions, commits, strict=True):
            tree = home / name
            until_done.callback(_remove, repository, tree)
            _git(repository, "worktree", "add", "--detach", "--quiet", str(tree), commit)
            if prepare is not None:
                _prepared(tree, prepare, revision)
            urls.append(until_done.enter_context(_running(tree, start, revision, patience_s)))
        yield urls[0], urls[1]


def _commit(repository: Path, revision: str) -> str:
    try:
        return _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except BadInput as error:
        raise BadInput(
            f"there is no revision {revision!r} in the git repository of {repository.resolve()}",
            next_act="name a branch, a tag or a commit, from within the repository",
        ) from error


def _git(repository: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(repository), *words], capture_output=True, text=True, check=False, timeout=120
        )
    except FileNotFoundError as error:
        raise BadInput("git is not installed", next_act="install it, or compare two URLs: --a URL --b URL") from error
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["it failed"]
        raise BadInput(f"git {words[0]}: {said[0]}", next_act="mend it, then compare again")
    return done.stdout.strip()


def _remove(repository: Path, tree: Path) -> None:
    with contextlib.suppress(BadInput):
        _git(repository, "worktree", "remove", "--force", str(tree))
    shutil.rmtree(tree, ignore_errors=True)
    with contextlib.suppress(BadInput):
        _git(repository, "worktree", "prune")


def _prepared(tree: Path, command: str, revision: str) -> None:
    log = tree.with_name(f"{tree.name}.prepare.log")
    with log.open("wb") as out:
        process = _started(_words(command), tree, {}, out.fileno())
        try:
            code = process.wait()
        finally:
            _end(process)
    if code:
        raise BadInput(f"--prepare failed at {revision} with exit code {code}{_told(log)}", next_act="mend the command")


@contextmanager
def _running(tree: Path, start: str, revision: str, patience_s: float) -> Iterator[str]:
    port = _free_port()
    log = tree.with_name(f"{tree.name}.log")
    words = [each.replace(PORT, str(port)) for each in _words(start)]
    with log.open("wb") as out:
        process = _started(words, tree, {"PORT": str(port)}, out.fileno())
        try:
            _wait(process, port, log, revision, patience_s)
            yield f"http://127.0.0.1:{port}"
        finally:
            _end(process)


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise BadInput(f"the command {command!r} can't be read: {error}", next_act="mend its quotes") from error
    if not words:
        raise BadInput("the command is empty", next_act="say how the service is started")
    return words


def _started(words: list[str], tree: Path, more: dict[str, str], out: int) -> subprocess.Popen[bytes]:
    """In a session of its own, so that Ctrl-C reaches Headway first, and all it starts can be ended together."""
    try:
        return subprocess.Popen(
            words, cwd=tree, env={**os.environ, **more}, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise BadInput(
            f"cannot start {words[0]!r}: {error.strerror}",
            next_act="name a program on PATH, by its whole path, or one that is in the repository",
        ) from error


def _wait(process: subprocess.Popen[bytes], port: int, log: Path, revision: str, patience_s: float) -> None:
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        if process.poll() is not None:
            raise TargetUnreachable(
                f"the service at {revision} ended with exit code {process.returncode} before it answered{_told(log)}",
                next_act="mend --start, or the revision",
            )
        if _answers(port):
            return
        time.sleep(POLL_S)
    raise TargetUnreachable(
        f"the service at {revision} did not answer on port {port} within {patience_s:g} s{_told(log)}",
        next_act=f"let --start listen on 127.0.0.1:{PORT}, or give it longer with --patience",
    )


def _answers(port: int) -> bool:
    """Whether anything that speaks HTTP answers; what it says does not matter."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _told(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines()[-TOLD_LINES:]
    return f"; it said: {' | '.join(lines)}" if lines else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the whole group to end, then end what is left of it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM between two loads would end Headway where it stands, and leave behind what it started."""

    def interrupted(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
