"""The run's folder: `<root>/.headway/runs/<utc-time>-<slug>/`. Every file in it is written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headway.conventions import RUN_FILE, RUNS_FOLDER, STATE_FOLDER
from headway.errors import BadInput, BundleDamaged, HeadwayError

if TYPE_CHECKING:
    from pathlib import Path

SLUG_MAX_CHARS = 40
LATEST = "latest"
_BEFORE = re.compile(r"latest(?:~(\d{1,6}))?")
_CURES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space: the quota is used up",
    errno.EROFS: "choose a folder on a file system that is not read-only",
    errno.EACCES: "choose a folder you may write to",
    errno.EPERM: "choose a folder you may write to",
}


def create(root: Path, slug: str) -> Path:
    """
    Make the folder of a new run.

    Args:
        root: the folder that has, or gets, `.headway/runs`.
        slug: what the run is about; made safe for a file name.

    Returns:
        The folder, fresh and empty; names sort by time.

    Raises:
        HeadwayError: the disk is full or read-only, or the folder belongs to someone else.
    """
    safe = re.sub(r"[^a-z0-9]+", "-", slug.lower()).strip("-")[:SLUG_MAX_CHARS].strip("-") or "run"
    now = datetime.now(UTC)
    name = f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z-{safe}"
    runs = root / STATE_FOLDER / RUNS_FOLDER
    for number in range(1, 1000):
        folder = runs / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError as exc:
            if not runs.is_dir():  # a file stands where a folder should
                raise unwritable(runs, exc) from exc
        except OSError as exc:
            raise unwritable(runs, exc) from exc
        else:
            return folder
    raise HeadwayError(f"cannot make a run's folder in {runs}: all names are taken", next_act="remove old runs")


def discard(folder: Path) -> None:
    """Remove the folder of a run that never sent a request, and the folders above it that it left empty."""
    with contextlib.suppress(OSError):
        for file in folder.iterdir():
            file.unlink()
        for each in (folder, folder.parent, folder.parent.parent):
            each.rmdir()


def find(root: Path, reference: str | None) -> Path:
    """
    The folder of one run.

    Args:
        root: the folder that has `.headway/runs`.
        reference: None or "latest" for the latest, "latest~1" for the one before; else a path, an id, or a part of one
            id only.

    Raises:
        BadInput: there is none, or more than one.
    """
    runs = root / STATE_FOLDER / RUNS_FOLDER
    named = LATEST if reference is None else reference
    before = _BEFORE.fullmatch(named)
    if before is None:
        for direct in (root / named, runs / named):
            if (direct / RUN_FILE).is_file():
                return direct
    ids = sorted(file.parent.name for file in runs.glob(f"*/{RUN_FILE}"))
    if not ids:
        raise BadInput(f"no runs in {runs}", next_act="make one with: headway run SCENARIO --against URL")
    if before is not None:
        back = int(before[1] or 0)
        if back < len(ids):
            return runs / ids[-1 - back]
        raise BadInput(f"there is no {named}: {runs} has {len(ids)} runs", next_act="name one of them, or make another")
    fitting = [each for each in ids if named in each]
    if len(fitting) == 1:
        return runs / fitting[0]
    several = ", ".join(fitting[-5:] or ids[-5:])
    what = f"{len(fitting)} runs fit {named!r}" if fitting else f"no run fits {named!r}"
    raise BadInput(what, next_act=f"name one of: {several}")


def put(path: Path, content: bytes) -> None:
    """
    Write a file whole or not at all: beside it first, then renamed.

    Raises:
        HeadwayError: the disk is full or read-only.
    """
    half = path.with_name(f".{path.name}.half")
    try:
        half.write_bytes(content)
        half.replace(path)
    except OSError as exc:
        with contextlib.suppress(OSError):
            half.unlink(missing_ok=True)
        raise unwritable(path, exc) from exc


def put_json(path: Path, content: object) -> None:
    """
    Write JSON, indented for people.

    Raises:
        HeadwayError: as `put`.
    """
    put(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))


def get_json(path: Path) -> Any:
    """
    Read JSON.

    Raises:
        BundleDamaged: missing, cut short, not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as exc:
        raise BundleDamaged("is missing", next_act="name the folder of a run", file=path) from exc
    except (OSError, ValueError, RecursionError) as exc:
        raise BundleDamaged(f"cannot be read: {exc}", next_act="run again", file=path) from exc


def unwritable(path: Path, exc: OSError) -> HeadwayError:
    """Why a file or folder can't be written, with the cure."""
    cure = _CURES.get(exc.errno or 0, "choose another folder with --root")
    return HeadwayError(f"cannot write {path}: {exc.strerror or exc}", next_act=cure)
