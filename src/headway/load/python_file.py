"""A scenario written as Python: the module's `scenario`."""

from __future__ import annotations

import contextlib
import sys
import traceback
from dataclasses import replace
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

from headway.errors import BadInput, HeadwayError
from headway.model import Scenario

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = 'scenario = Scenario(routes=[get("/")])'
MODULE = "headway_scenario"


def read(path: Path) -> Scenario:
    """
    Run the file and take its `scenario`. What it prints goes to standard error.

    Raises:
        BadInput: it cannot be read or run, or has no `scenario`; with the line of the file that failed.
    """
    try:
        code = compile(path.read_bytes(), str(path), "exec")
    except OSError as exc:
        raise BadInput(f"cannot read the scenario: {exc.strerror}", next_act="name a file", file=path) from exc
    except SyntaxError as exc:
        raise BadInput(
            f"not Python: {exc.msg}", next_act="mend that line", file=path, line=exc.lineno, column=exc.offset
        ) from exc
    except (ValueError, RecursionError) as exc:
        raise BadInput(f"not Python: {exc}", next_act="save it as UTF-8 text", file=path) from exc
    found = _run(path, code).__dict__.get("scenario")
    if not isinstance(found, Scenario):
        said = "has no scenario" if found is None else f"has a scenario that is a {type(found).__name__}"
        raise BadInput(f"the file {said}", next_act=f"say {EXAMPLE}", file=path)
    return replace(found, file=path)


def _run(path: Path, code: CodeType) -> ModuleType:
    """The module. Its folder is where it imports from, as when Python runs it."""
    module = ModuleType(MODULE)
    module.__file__ = str(path)
    folder = str(path.parent.resolve())
    sys.path.insert(0, folder)
    before = sys.modules.get(MODULE)
    sys.modules[MODULE] = module  # dataclasses and pickle look a class's module up
    try:
        with contextlib.redirect_stdout(sys.stderr):
            exec(code, module.__dict__)  # noqa: S102 - the user's own file, as asked
    except HeadwayError:
        raise
    except (Exception, SystemExit) as exc:
        raise BadInput(
            f"it failed: {type(exc).__name__}: {exc}".rstrip(": "), next_act="mend that line",
            file=path, line=_line(path, exc),
        ) from exc  # fmt: skip
    finally:
        sys.path.remove(folder)
        if before is None:
            sys.modules.pop(MODULE, None)
        else:
            sys.modules[MODULE] = before
    return module


def _line(path: Path, exc: BaseException) -> int | None:
    """The last line of the user's own file on the way to the error."""
    lines = [each.lineno for each in traceback.extract_tb(exc.__traceback__) if each.filename == str(path)]
    return lines[-1] if lines else None
