"""The commands a scenario has run before and after its load; what setup prints gives its `{name}`s values."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway.errors import BadInput, HeadwayError
from headway.load import document, known
from headway.load.environment import given
from headway.load.places import searched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from headway.model import Parameter, Scenario

TIMEOUT_S = 300.0
"""A command that takes longer is ended."""
MOST_BYTES = 16 << 20
POLL_S = 0.02
SHOWN = 200


class HookFailed(HeadwayError):
    """A setup or teardown command failed: mend the command."""


@contextmanager
def around(scenario: Scenario, target_url: str, interrupted: Callable[[], bool] = lambda: False) -> Iterator[Scenario]:
    """
    Run setup, give the scenario with what it printed, and run teardown afterwards, whatever came of it.

    The commands run in the scenario's folder, without a shell. They have HEADWAY_TARGET in their environment, teardown
    also what setup printed, in HEADWAY_SETUP. What they say on standard error is passed on.

    Args:
        scenario: the traffic.
        target_url: the service.
        interrupted: whether the run is to end; a command is ended then.

    Raises:
        HookFailed: a command failed, took over TIMEOUT_S, or setup printed no JSON object; teardown was run.
        BadInput: a name has no value after setup either.
    """
    runner = _Runner(scenario, target_url, interrupted)
    try:
        yield _with(scenario, runner.setup())
    except BaseException:
        runner.teardown_quietly()
        raise
    runner.teardown()


class _Runner:
    def __init__(self, scenario: Scenario, target_url: str, interrupted: Callable[[], bool]) -> None:
        self._scenario = scenario
        self._interrupted = interrupted
        self._environment = {**os.environ, "HEADWAY_TARGET": target_url, "HEADWAY_SETUP": "{}"}
        self._folder = scenario.file.parent if scenario.file is not None else Path()

    def setup(self) -> dict[str, Any]:
        """What the commands printed, together: a later one's value goes before an earlier one's."""
        found: dict[str, Any] = {}
        for command in self._scenario.setup:
            found |= self._printed(command, self._run("setup", command))
            self._environment["HEADWAY_SETUP"] = json.dumps(found)
        return found

    def teardown(self) -> None:
        """Every command, also after one that failed; the first failure is raised."""
        failures = []
        for command in self._scenario.teardown:
            try:
                self._run("teardown", command)
            except HookFailed as failed:
                failures.append(failed)
        if failures:
            raise failures[0]

    def teardown_quietly(self) -> None:
        """After a failure, which is the one to tell of."""
        try:
            self.teardown()
        except HookFailed as failed:
            print(f"headway: {failed}", file=sys.stderr)

    def _run(self, which: str, command: str) -> bytes:
        try:
            words = shlex.split(command)
        except ValueError as exc:
            raise self._failed(which, command, str(exc)) from exc
        # Files, not pipes: a command that starts a server leaves a child that holds them open.
        with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as said:
            try:
                process = subprocess.Popen(
                    words, cwd=self._folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=printed,
                    stderr=said, start_new_session=True,
                )  # fmt: skip
            except (OSError, ValueError) as exc:
                raise self._failed(which, command, getattr(exc, "strerror", None) or str(exc)) from exc
            why = self._waited(process, which)
            said.seek(0)
            words_said = said.read(MOST_BYTES).decode("utf-8", "replace")
            sys.stderr.write(words_said)
            if why is None and process.returncode:
                last = words_said.strip().rpartition("\n")[2].strip()
                why = f"exit code {process.returncode}" + (f": {last[:SHOWN]}" if last else "")
            if why is not None:
                raise self._failed(which, command, why)
            printed.seek(0)
            return printed.read(MOST_BYTES + 1)

    def _waited(self, process: subprocess.Popen[bytes], which: str) -> str | None:
        """Why it was ended; None when it ended by itself. Teardown is not interrupted: it cleans up."""
        until_s = time.monotonic() + TIMEOUT_S
        while process.poll() is None:
            late = time.monotonic() > until_s
            if late or (which == "setup" and self._interrupted()):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return f"took over {TIMEOUT_S:g} s" if late else "interrupted"
            time.sleep(POLL_S)
        return None

    def _printed(self, command: str, printed: bytes) -> Mapping[str, Any]:
        if not printed.strip():
            return {}
        try:
            found = json.loads(printed)
        except (ValueError, RecursionError) as exc:
            raise self._failed("setup", command, "it printed something that is not JSON") from exc
        if not isinstance(found, dict):
            raise self._failed("setup", command, "it printed JSON that is no object")
        return found

    def _failed(self, which: str, command: str, why: str) -> HookFailed:
        line, column = searched(self._scenario.file, command)
        return HookFailed(
            f"the {which} command {command!r} failed: {why}",
            next_act="mend it; on standard output it prints nothing, or one JSON object" if which == "setup"
            else "mend it; the run's evidence is kept",
            file=self._scenario.file, line=line, column=column,
        )  # fmt: skip


def _with(scenario: Scenario, printed: Mapping[str, Any]) -> Scenario:
    """The scenario with setup's values as parameters: one value, or a list to draw from."""
    found = [_value(scenario, name, value) for name, value in printed.items()]
    names = {each.name for each in found}
    kept = tuple(each for each in scenario.parameters if each.name not in names)
    ready = replace(scenario, parameters=(*kept, *found))
    for each in known.missing(ready):
        what, _ = known.why(ready, each)
        gave = f"setup gave {', '.join(sorted(names))}" if names else "setup gave nothing"
        raise BadInput(what, next_act=f"{gave}; print it there, or define it", file=scenario.file)
    return ready


def _value(scenario: Scenario, name: str, value: Any) -> Parameter:
    several = value if isinstance(value, list) else [value]
    texts = [text for each in several if (text := document.text(each)) is not None]
    if not name.isidentifier() or not texts or len(texts) < len(several):
        raise HookFailed(
            f"setup printed {name!r}, which has no value that can be put into a request",
            next_act="print names of letters, digits and _ with text, numbers, or lists of those",
            file=scenario.file,
        )
    return given(name, *texts)
