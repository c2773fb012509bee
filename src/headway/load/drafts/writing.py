"""
A draft onto disk: all of its files, or none.

Everything is written into a folder beside the destination first and read back there, as the gate would; only then it
is moved. A file that is there already is left alone, unless it may be replaced.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from headway.errors import BadInput, HeadwayError
from headway.load import scenario as scenarios
from headway.load.drafts import text
from headway.promises import increment, proposals

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from headway.load.drafts.draft import Draft

SCENARIO_IN_INCREMENT = Path("scripts/scenario.toml")


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written: the scenario's file, the increment's folder (None: none was), every file."""

    scenario: Path
    increment: Path | None
    files: tuple[Path, ...]


def into_increment(draft: Draft, root: Path, *, service: str, against: str, force: bool) -> Written:
    """
    Write the draft as an increment below `root`, the scenario in its scripts/.

    Args:
        draft: what to write.
        root: the folder that has, or gets, .specweave.
        service: names the increment and SpecWeave's project.
        against: the URL that the increment's plan names.
        force: replace files that are there.

    Raises:
        BadInput: a file is there already; the folder cannot be written to.
    """
    folder = proposals.folder(root, f"performance-of-{service}")
    command = f"headway validate {folder.name[:4]} --performance --against {against}"
    promised = proposals.files(
        folder.name, draft.proposals, service=service, found=draft.found, baselines=draft.baselines, command=command,
        now=datetime.now(UTC),
    )  # fmt: skip
    beside = {str(SCENARIO_IN_INCREMENT.parent / name): lines for name, lines in draft.files.items()}
    whole = {**{name: [said] for name, said in promised.items()}, str(SCENARIO_IN_INCREMENT): [text.render(draft)]}
    files = _write(folder, {**beside, **whole}, scenario=SCENARIO_IN_INCREMENT, increment_too=True, force=force)
    return Written(scenario=folder / SCENARIO_IN_INCREMENT, increment=folder, files=files)


def as_scenario(draft: Draft, file: Path, *, force: bool) -> Written:
    """
    Write the scenario alone, its CSV and replay files beside it.

    Raises:
        BadInput: as for `into_increment`.
    """
    whole = {**draft.files, file.name: [text.render(draft)]}
    files = _write(file.parent, whole, scenario=Path(file.name), increment_too=False, force=force)
    return Written(scenario=file, increment=None, files=files)


def _write(
    folder: Path, files: Mapping[str, Iterable[str]], *, scenario: Path, increment_too: bool, force: bool
) -> tuple[Path, ...]:
    there = [folder / name for name in files if (folder / name).exists()]
    if there and not force:
        more = "" if len(there) == 1 else f" (and {len(there) - 1} more of its files)"
        raise BadInput(
            f"is there already{more}", next_act="say --force to replace it, or another --name", file=there[0]
        )
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".headway-init-", dir=folder) as room:
            stage = Path(room) / folder.resolve().name
            for name, lines in files.items():
                (stage / name).parent.mkdir(parents=True, exist_ok=True)
                with (stage / name).open("w", encoding="utf-8", errors="replace", newline="") as stream:
                    stream.writelines(lines)
            _read_back(stage, scenario, increment_too=increment_too)
            _move(stage, folder, list(files))
    except BaseException as error:
        for each in made:  # only what this call made, and only when nothing is in it
            with suppress(OSError):
                each.rmdir()
        if isinstance(error, OSError):
            raise BadInput(
                f"cannot be written: {error.strerror}", next_act="name a folder you can write to", file=folder
            ) from error
        raise
    return tuple(folder / name for name in files)


def _read_back(stage: Path, scenario: Path, *, increment_too: bool) -> None:
    """What is written must be understood: by the load, and by the gate without a question left."""
    scenarios.read(stage / scenario)
    if increment_too:
        for each in increment.read(stage).criteria:
            if not each.clauses:
                raise HeadwayError(
                    f"the criterion {each.text!r} would not be understood: {each.not_understood}",
                    next_act="this is a fault of Headway's: report it",
                )


def _move(stage: Path, folder: Path, names: list[str]) -> None:
    """Each file to its place; when one cannot be moved, all go back to what they were."""
    undo: list[tuple[Path, Path | None]] = []
    try:
        for name, kept in zip(names, _kept(stage), strict=False):
            target = folder / name
            made = [each for each in (target.parent, *target.parent.parents) if not each.exists()]
            target.parent.mkdir(parents=True, exist_ok=True)
            undo += [(each, each) for each in reversed(made)]
            if target.exists():
                shutil.copy2(target, kept)
                undo.append((target, kept))
            else:
                undo.append((target, None))
            (stage / name).replace(target)
    except BaseException:
        for target, kept_file in reversed(undo):
            with suppress(OSError):
                if kept_file is None:
                    target.unlink()
                elif kept_file == target:
                    target.rmdir()
                else:
                    kept_file.replace(target)
        raise


def _kept(stage: Path) -> Iterator[Path]:
    """Names for what is replaced, until all is in place."""
    number = 0
    while True:
        yield stage.parent / f"replaced-{number}"
        number += 1
