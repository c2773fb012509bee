"""Findings that somebody accepted: ACCEPTED_FILE in the state folder, meant to be committed. One reason each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from headway.conventions import ACCEPTED_FILE, STATE_FOLDER
from headway.errors import BadInput
from headway.evidence import bundle, runfile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from headway.model import Finding

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A finding nobody wants to hear of again, and why."""

    fingerprint: str
    rule: str
    line: str  # as it was said then
    reason: str
    at: str  # ISO 8601, UTC


def read(root: Path) -> dict[str, Accepted]:
    """
    What was accepted, by fingerprint; nothing where there is no file.

    Raises:
        BadInput: the file cannot be read, or is of another version.
    """
    file = root / STATE_FOLDER / ACCEPTED_FILE
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        version, rows = content["format"], [runfile.typed(Accepted, row) for row in content["accepted"]]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise BadInput(f"cannot be read: {exc}", next_act="mend it, or take it back from git", file=file) from exc
    if version != FORMAT:
        raise BadInput(f"has format {version!r}, and this Headway reads {FORMAT}", next_act="update Headway", file=file)
    return {each.fingerprint: each for each in rows}


def accept(root: Path, finding: Finding, reason: str) -> Accepted:
    """
    Silence a finding from now on.

    Raises:
        BadInput: no reason, or the file that is there cannot be read.
        HeadwayError: it cannot be written.
    """
    if not reason.strip():
        raise BadInput("a finding is accepted for a reason", next_act="say it: --reason 'read once a month'")
    known: Mapping[str, Accepted] = read(root)
    new = Accepted(
        fingerprint=finding.fingerprint, rule=finding.rule, line=finding.line, reason=reason.strip(),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip
    rows = sorted({**known, finding.fingerprint: new}.values(), key=lambda each: (each.rule, each.fingerprint))
    (root / STATE_FOLDER).mkdir(parents=True, exist_ok=True)
    content = {"format": FORMAT, "accepted": [runfile.plain(each) for each in rows]}
    bundle.put_json(root / STATE_FOLDER / ACCEPTED_FILE, content)
    return new
