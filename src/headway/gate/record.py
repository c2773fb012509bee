"""The verdict on disk: VERDICT_FILE in the run's folder."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway.conventions import VERDICT_FILE
from headway.errors import HeadwayError

if TYPE_CHECKING:
    from headway.model import Verdict


def write(folder: Path, verdict: Verdict) -> None:
    """
    Write the verdict beside its evidence.

    Raises:
        HeadwayError: the folder cannot be written.
    """
    text = json.dumps(_plain(asdict(verdict)), indent=1)
    part = folder / f"{VERDICT_FILE}.part"
    try:
        part.write_text(text + "\n", encoding="utf-8")
        part.replace(folder / VERDICT_FILE)
    except OSError as exc:
        raise HeadwayError(
            f"cannot write {folder / VERDICT_FILE}: {exc.strerror}", next_act="make room, then judge the run again"
        ) from exc


def _plain(value: Any) -> Any:
    """What JSON can hold: no bound is the word "inf", as JSON has no such number."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return str(value) if isinstance(value, Path) else value
