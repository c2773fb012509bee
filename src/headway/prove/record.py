"""Proofs on disk: PROOFS_FILE in the run's folder, one line each in LEDGER_FILE of the state folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from headway.conventions import LEDGER_FILE, PROOFS_FILE, STATE_FOLDER
from headway.errors import BundleDamaged
from headway.evidence import bundle, runfile
from headway.model import Proof
from headway.prove.prediction import Prediction

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FORMAT = 1


def merged(folder: Path, proofs: Sequence[Proof]) -> tuple[Proof, ...]:
    """
    The run's proofs with these added. One of the same remedy replaces the one made before, unless that was applied:
    what is in place already saves nothing a second time.

    Raises:
        BundleDamaged: those made before cannot be read.
    """
    before = read(folder)
    applied = {_key(each) for each in before if each.applied}
    fresh = [each for each in proofs if each.applied or _key(each) not in applied]
    replaced = {_key(each) for each in fresh}
    return (*(each for each in before if _key(each) not in replaced), *fresh)


def write(folder: Path, proofs: Sequence[Proof], predictions: Sequence[Prediction]) -> None:
    """
    Write all proofs of a run beside its evidence.

    Raises:
        HeadwayError: the folder cannot be written.
    """
    content = {
        "format": FORMAT,
        "proofs": [runfile.plain(each) for each in proofs],
        "predictions": [runfile.plain(each) for each in predictions],
    }
    bundle.put_json(folder / PROOFS_FILE, content)


def read(folder: Path) -> tuple[Proof, ...]:
    """
    The proofs of a run; none when nothing was proven.

    Raises:
        BundleDamaged: the file cannot be read.
    """
    return tuple(_typed(Proof, row, folder) for row in _content(folder).get("proofs", ()))


def predictions(folder: Path) -> tuple[Prediction, ...]:
    """
    What the run's proofs promise for the next one; none when nothing does.

    Raises:
        BundleDamaged: the file cannot be read.
    """
    return tuple(_typed(Prediction, row, folder) for row in _content(folder).get("predictions", ()))


def note(root: Path, entries: Sequence[dict[str, Any]]) -> None:
    """
    Add lines to the ledger, each whole.

    Raises:
        HeadwayError: the state folder cannot be written.
    """
    file = root / STATE_FOLDER / LEDGER_FILE
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as stream:
            stream.write("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in entries))
    except OSError as exc:
        raise bundle.unwritable(file, exc) from exc


def noted(root: Path) -> list[dict[str, Any]]:
    """The ledger's lines; a last one that a kill cut short is passed over."""
    file = root / STATE_FOLDER / LEDGER_FILE
    if not file.exists():
        return []
    found = []
    lines = file.read_text("utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            found.append(dict(json.loads(line)))
        except (ValueError, TypeError) as exc:
            if number < len(lines):
                raise BundleDamaged(
                    f"cannot be read: {exc}", next_act="remove that line", file=file, line=number
                ) from exc
    return found


def _key(proof: Proof) -> tuple[str, str, str]:
    return proof.fingerprint, proof.remedy.kind.value, proof.remedy.title


def _content(folder: Path) -> dict[str, Any]:
    file = folder / PROOFS_FILE
    if not file.exists():
        return {}
    content = bundle.get_json(file)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BundleDamaged("is not a file of proofs of this version", next_act="prove the run again", file=file)
    return content


def _typed(kind: type[Any], row: Any, folder: Path) -> Any:
    try:
        return runfile.typed(kind, row)
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise BundleDamaged(
            f"cannot be read: {exc}", next_act="prove the run again", file=folder / PROOFS_FILE
        ) from exc
