"""Findings on disk: FINDINGS_FILE in the run's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headway.conventions import FINDINGS_FILE
from headway.errors import BundleDamaged
from headway.evidence import bundle, runfile
from headway.model import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def write(folder: Path, findings: Sequence[Finding]) -> None:
    """
    Write the findings beside their evidence.

    Raises:
        HeadwayError: the folder cannot be written.
    """
    bundle.put_json(folder / FINDINGS_FILE, [runfile.plain(each) for each in findings])


def read(folder: Path) -> tuple[Finding, ...]:
    """
    The findings of a run that was judged.

    Raises:
        BundleDamaged: there are none on disk, or they cannot be read.
    """
    file = folder / FINDINGS_FILE
    try:
        return tuple(runfile.typed(Finding, row) for row in bundle.get_json(file))
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise BundleDamaged(f"cannot read the findings: {exc}", next_act="judge the run again", file=file) from exc
