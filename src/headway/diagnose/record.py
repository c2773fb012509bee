"""Findings on disk: FINDINGS_FILE in the run's folder."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from headway.conventions import FINDINGS_FILE
from headway.errors import BundleDamaged, HeadwayError
from headway.model import Finding, Subject

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def write(folder: Path, findings: Sequence[Finding]) -> None:
    """
    Write the findings beside their evidence.

    Raises:
        HeadwayError: the folder cannot be written.
    """
    part = folder / f"{FINDINGS_FILE}.part"
    try:
        part.write_text(json.dumps([asdict(each) for each in findings], indent=1) + "\n", encoding="utf-8")
        part.replace(folder / FINDINGS_FILE)
    except OSError as exc:
        raise HeadwayError(
            f"cannot write {folder / FINDINGS_FILE}: {exc.strerror}", next_act="make room, then judge the run again"
        ) from exc


def read(folder: Path) -> tuple[Finding, ...]:
    """
    The findings of a run that was judged.

    Raises:
        BundleDamaged: there are none on disk, or they cannot be read.
    """
    file = folder / FINDINGS_FILE
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        return tuple(
            Finding(
                **row | {"explains": tuple(map(Subject, row["explains"])), "details": tuple(row["details"])},
            )
            for row in rows
        )
    except (OSError, ValueError, TypeError, KeyError) as exc:
        raise BundleDamaged(f"cannot read the findings: {exc}", next_act="judge the run again", file=file) from exc
