"""The lab: one folder, brought to a stage, looked at, taken down."""

from __future__ import annotations

import secrets
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from headway.errors import BadInput, LabFailed
from headway.lab import converge, room, stages, state
from headway.lab.converge import Convergence
from headway.lab.edge import Balance
from headway.lab.shop import shop_folder
from headway.lab.state import Memory
from headway.lab.status import look
from headway.lab.steps import Steps, Wish
from headway.servers import process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headway.lab.room import Folders
    from headway.lab.status import LabStatus

_SWEEPS = 5  # what the first leaves is what a parent that ended left behind


def to_stderr(text: str) -> None:
    """One line of progress."""
    print(f"headway: {text}", file=sys.stderr, flush=True)


class Lab:
    """
    The embedded lab in one state folder.

    Args:
        folder: the state folder; made by `up`.
        say: gets progress, one line a time; stderr by default.
    """

    def __init__(self, folder: Path, *, say: Callable[[str], None] = to_stderr) -> None:
        self._state = folder.absolute().resolve()
        self._say = say

    def up(
        self,
        stage: int | None = None,
        scale: float | None = None,
        *,
        data: bool = True,
        settings: Mapping[str, str] | None = None,
        database_url: str | None = None,
        cache_url: str | None = None,
        shop_dir: Path | None = None,
        balance: Balance = Balance.LEAST_CONN,
        tell_edge: bool = False,
        app_servers: int | None = None,
    ) -> LabStatus:
        """
        Bring the lab to a stage. What is right stays, what changed is restarted, what the stage lacks is stopped.

        Args:
            stage: 1 to 4; None: the one it was at, else 1.
            scale: 1.0 is 200,000 users, 1,000,000 posts; None: the one loaded, else 1.0.
            data: load the shop's data when it is not there at that scale.
            settings: the shop's settings that shall differ from the stage's.
            database_url: somebody's PostgreSQL to use; it is never stopped.
            cache_url: somebody's Redis or Valkey to use; it is never stopped.
            shop_dir: the shop's folder; None finds it.
            balance: how nginx chooses the app server, from stage 3 on.
            tell_edge: have the shop tell nginx of updates, which then may keep single users and products as well.
            app_servers: other than the stage's, where nginx balances them (from stage 3 on).

        Raises:
            LabFailed: a server does not start, the folder cannot be written, another command is at work.
            BadInput: no such stage, scale or shop.
        """
        before = state.read(self._state) or Memory(secret="", room=self._state)
        wish = Wish(
            stage=stages.stage(stage if stage is not None else before.stage or stages.FIRST),
            scale=scale if scale is not None else before.scale or 1.0, data=data, settings=settings or {},
            shop=shop_folder(shop_dir), database_url=database_url, cache_url=cache_url,
            balance=balance, tell_edge=tell_edge, app_servers=app_servers,
        )  # fmt: skip
        account = process.unprivileged()
        folders = room.prepare(self._state, account)
        with state.locked(self._state):
            memory = self._known(folders)
            self._sweep(memory)
            work = Convergence(folders, memory, self._say)
            try:
                Steps(work, wish, account).run()
            except OSError as exc:
                self._sweep(work.memory)
                raise state.unwritable(self._state, exc) from exc
            except BaseException:
                # Ctrl-C as well: what was started and not yet written down would be nobody's.
                self._sweep(work.memory)
                raise
            return look(self._state, work.memory)

    def status(self) -> LabStatus:
        """
        What stands now. Looks, and changes nothing.

        Raises:
            LabFailed: the state file is damaged.
        """
        return look(self._state, state.read(self._state))

    def down(self, *, purge: bool = False) -> LabStatus:
        """
        Stop everything the lab started, also what nobody remembers. Data stays for the next `up`, unless `purge`.

        Raises:
            LabFailed: a process survives, another command is at work, or the state file is damaged and not `purge`.
        """
        if not self._state.is_dir():
            self._sweep(None)  # somebody removed the folder under a running lab
            room.remove_outside(self._state)
            return look(self._state, None)
        with state.locked(self._state):
            try:
                memory = state.read(self._state)
            except LabFailed:
                if not purge:
                    raise
                memory = None
            if memory is not None:
                memory = self._stop(memory)
            self._sweep(memory)
            room.remove_outside(self._state)
            if purge:
                room.empty(self._state)
                memory = None
        return look(self._state, memory)

    def logs(self, name: str | None = None, *, lines: int = 40) -> dict[str, str]:
        """
        The last lines of the logs of each service and one-off command, by name.

        Raises:
            BadInput: there is no log of that name.
        """
        found = {path.stem: path for path in sorted((self._state / room.LOGS).glob("*.log"))}
        if name is not None and name not in found:
            raise BadInput(f"the lab in {self._state} has no log {name!r}", next_act=f"choose from: {', '.join(found)}")
        return {
            each: process.tail(path, lines, indent="") for each, path in found.items() if name is None or each == name
        }

    def _known(self, folders: Folders) -> Memory:
        """What is known of the lab at the start of an `up`, its services' folder being where it can be now."""
        if folders.room != self._state:
            self._say(
                f"{process.UNPRIVILEGED} cannot enter {self._state}: the services' files are in {folders.room}"
                " until 'headway lab down', which removes them"
            )
        memory = state.read(self._state)
        if memory is not None and memory.room != folders.room:
            self._say(f"the services' files move from {memory.room} to {folders.room}; data is loaded anew")
            memory = replace(self._stop(memory), room=folders.room, scale=None)
        if memory is not None:
            return memory
        if any((folders.room / name).exists() for name in ("postgres", "replica")):
            self._say("the folder holds a database whose password is lost with the state file; it is made anew")
            self._sweep(None)
            for name in ("postgres", "replica"):
                shutil.rmtree(folders.room / name, ignore_errors=True)
        return Memory(secret=secrets.token_hex(16), room=folders.room)

    def _stop(self, memory: Memory) -> Memory:
        folders = room.Folders(state=self._state, logs=self._state / room.LOGS, room=memory.room)
        work = Convergence(folders, memory, self._say, must_write=False)
        work.drop_all_but(frozenset())
        shutil.rmtree(memory.room / "replica", ignore_errors=True)
        gone_with_the_room = memory.room != self._state
        work.remember(replace(work.memory, settings={}, scale=None if gone_with_the_room else work.memory.scale))
        return work.memory

    def _sweep(self, memory: Memory | None) -> None:
        """Stop this lab's processes that are written down nowhere: left by a command that was killed."""
        known: set[int] = set()
        for started in memory.services.values() if memory else ():
            if process.runs(started.identity):
                family = psutil.Process(started.identity.pid).children(recursive=True)
                known |= {started.identity.pid, *(each.pid for each in family)}
        for _ in range(_SWEEPS):
            left = [each for each in process.strays(self._state / room.LOGS) if each[1].pid not in known]
            pids = {identity.pid for _, identity in left}
            roots = [each for each in left if process.parent(each[1]) not in pids]  # the others end with their parent
            if not roots:
                return
            for name, identity in roots:
                self._say(f"stopping process {identity.pid} of {name}, left by an earlier command")
                converge.stop(name, identity)
