"""The verdict on disk: VERDICT_FILE in the run's folder."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway.conventions import VERDICT_FILE
from headway.evidence import bundle

if TYPE_CHECKING:
    from headway.model import Verdict


def write(folder: Path, verdict: Verdict) -> None:
    """
    Write the verdict beside its evidence.

    Raises:
        HeadwayError: the folder cannot be written.
    """
    bundle.put_json(folder / VERDICT_FILE, _plain(asdict(verdict)))


def _plain(value: Any) -> Any:
    """What JSON can hold: no bound is the word "inf", as JSON has no such number."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return str(value) if isinstance(value, Path) else value
