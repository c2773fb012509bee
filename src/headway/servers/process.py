"""Start, recognise and stop one server process that outlives the command that started it."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from headway.errors import LabFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

POLICY = os.SCHED_IDLE
"""Services get every moment that no ordinary process wants, so that a load generator on the same cores is scheduled
first and its own lateness stays out of the service's latency. At nice +5 a generator using 1% of a core beside a
hundred busy backends was 38 ms late at P99. Source: sched(7), SCHED_IDLE."""

UNPRIVILEGED = "nobody"


_started: dict[int, subprocess.Popen[bytes]] = {}  # children of this very process, to be reaped when they end


@dataclass(frozen=True, kw_only=True)
class Account:
    """The user a service runs as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True)
class Identity:
    """
    A process, told from a later one that got the same number.

    `born` is the boot's id and the process's start in clock ticks since boot: it doesn't move when the clock is set,
    as a creation time in unix seconds does.
    """

    pid: int
    born: str


def unprivileged() -> Account | None:
    """The account services drop to when run by root; None for an ordinary user, who stays themselves."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError as exc:
        raise LabFailed(
            f"run as root, but the user {UNPRIVILEGED!r} does not exist; PostgreSQL refuses to run as root",
            next_act="run as an ordinary user",
        ) from exc
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)


def invoking_user() -> str:
    """The name of the user of this command; the number when it has none, as in some containers."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def own(path: Path, account: Account | None) -> None:
    """Give a file or folder to the account a service runs as."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


def permits(account: Account | None, test: str, path: Path) -> bool:
    """Whether `account` passes `test -<test> path`: asked of the kernel, so that ACLs and mounts count."""
    command = ["/bin/sh", "-c", f'test -{test} "$1"', "sh", str(path)]
    user, group, groups = _drop_to(account)
    done = subprocess.run(
        command, cwd="/", check=False, capture_output=True, user=user, group=group, extra_groups=groups
    )
    return done.returncode == 0


def spawn(
    argv: Sequence[str],
    *,
    cwd: Path,
    log: Path,
    account: Account | None = None,
    env: Mapping[str, str] | None = None,
) -> Identity:
    """
    Start a server in its own session, so that neither Ctrl-C nor its parent's death reaches it.

    Both its output streams are appended to `log`; `strays` recognises a lab's processes by that.

    Raises:
        LabFailed: the log cannot be opened, or the program cannot be executed.
    """
    user, group, groups = _drop_to(account)
    try:
        with log.open("ab") as out:
            child = subprocess.Popen(
                list(argv),
                cwd=cwd,
                env=environment(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                user=user,
                group=group,
                extra_groups=groups,
            )
    except OSError as exc:
        raise LabFailed(f"cannot start {argv[0]}: {exc}", next_act="mend what it names, then try again") from exc
    _started[child.pid] = child
    with contextlib.suppress(ProcessLookupError):  # it ended at once; whoever waits for it says so
        os.sched_setscheduler(child.pid, POLICY, os.sched_param(0))
    identity = identify(child.pid)
    return identity or Identity(pid=child.pid, born="gone")


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    log: Path,
    doing: str,
    account: Account | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 1800.0,
    say: Callable[[str], None] | None = None,
) -> None:
    """
    Run one command to its end, its output appended to `log`. It is stopped when this process is interrupted.

    Args:
        argv, cwd, log, account, env: as for `spawn`.
        doing: what it does, for messages.
        timeout_s: seconds it may take.
        say: gets each line it writes.

    Raises:
        LabFailed: it could not start, failed, or took too long.
    """
    start = log.stat().st_size if log.exists() else 0
    identity = spawn(argv, cwd=cwd, log=log, account=account, env=env)
    child = _started[identity.pid]
    until = time.monotonic() + timeout_s
    try:
        while child.poll() is None:
            if time.monotonic() > until:
                raise LabFailed(f"{doing} took more than {timeout_s:.0f} s", next_act=f"read {log}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=0.25)
            if say is not None:
                start = _relay(log, start, say)
        code = child.returncode
    finally:
        if child.poll() is None:
            stop(identity, (signal.SIGTERM, 3.0))
        _started.pop(identity.pid, None)
    if code != 0:
        raise LabFailed(f"{doing} failed with exit code {code}:\n{tail(log)}", next_act=f"read {log}")


def _relay(log: Path, start: int, say: Callable[[str], None]) -> int:
    """Say the whole lines written to `log` from byte `start` on; returns where the next ones start."""
    with log.open("rb") as stream:
        stream.seek(start)
        text, newline, _rest = stream.read().rpartition(b"\n")
    for line in text.decode(errors="replace").splitlines():
        say(line)
    return start + len(text) + len(newline)


def environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """This process's environment without libpq's variables, which would redirect a server's own clients."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PG") or k == "PG_BIN_DIR"}
    return {**kept, **(extra or {})}


def identify(pid: int) -> Identity | None:
    """The process with that number now; None when there is none, or only the remains of one."""
    child = _started.get(pid)
    if child is not None and child.poll() is not None:
        del _started[pid]
        return None
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return Identity(pid=pid, born=_born(pid, process))
    except (psutil.Error, OSError, IndexError):
        return None


def runs(identity: Identity | None) -> bool:
    """Whether that very process still runs."""
    return identity is not None and identify(identity.pid) == identity


def stop(identity: Identity, *ladder: tuple[signal.Signals, float]) -> None:
    """
    End a process and its descendants: each signal in turn with the seconds it gets, then SIGKILL.

    Raises:
        LabFailed: it is still there two seconds after SIGKILL (a process stuck in the kernel).
    """
    if not runs(identity):
        return
    with contextlib.suppress(psutil.Error):
        family = psutil.Process(identity.pid).children(recursive=True)
        for sign, patience_s in (*ladder, (signal.SIGKILL, 2.0)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(identity.pid, sign)
            if _gone(identity, patience_s):
                break
        _, left = psutil.wait_procs(family, timeout=1.0)
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=2.0)
    if runs(identity):
        raise LabFailed(
            f"process {identity.pid} survives SIGKILL", next_act=f"see: ps -o stat,wchan,cmd {identity.pid}"
        )


def strays(logs: Path) -> Iterator[tuple[str, Identity]]:
    """
    Processes whose output goes to a file under `logs`, with that file's stem: a lab's own, whoever remembers them.

    A parent killed between starting a server and writing down its number leaves such a process. Linux only; elsewhere
    nothing is found.
    """
    prefix = f"{logs}/"
    found: dict[int, tuple[str, Identity]] = {}
    # No glob over /proc: in Python 3.11 it fails when a process ends meanwhile.
    for pid, stream in itertools.product(psutil.pids(), (1, 2)):
        try:
            target = str(Path(f"/proc/{pid}/fd/{stream}").readlink())
        except OSError:
            continue  # another user's, or gone since
        if target.startswith(prefix) and pid != os.getpid():
            identity = identify(pid)
            if identity is not None:
                # A removed file is shown as "/path/name.log (deleted)".
                found[pid] = target.removeprefix(prefix).partition(".")[0], identity
    return iter(found.values())


def parent(identity: Identity) -> int | None:
    """The number of a process's parent; None when it is gone."""
    try:
        return psutil.Process(identity.pid).ppid()
    except psutil.Error:
        return None


def tail(log: Path, lines: int = 12, *, indent: str = "    ") -> str:
    """The last lines of a log, indented, for a message."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 65_536))
            text = stream.read().decode(errors="replace")
    except OSError as exc:
        return f"{indent}(no log: {exc})"
    return "\n".join(f"{indent}{line}" for line in text.splitlines()[-lines:])


def _drop_to(account: Account | None) -> tuple[int | None, int | None, list[str | int] | None]:
    return (account.uid, account.gid, []) if account else (None, None, None)


def _born(pid: int, process: psutil.Process) -> str:
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return f"{process.create_time():.2f}"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    # Field 22 of proc(5); the second field, the program's name, may hold spaces and brackets.
    return f"{boot}:{stat.read_text().rpartition(')')[2].split()[19]}"


def _gone(identity: Identity, patience_s: float) -> bool:
    until = time.monotonic() + patience_s
    while runs(identity):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
