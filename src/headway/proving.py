"""From a finished run to proofs: reads the folder, lets the prove room work, and draws what it found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from headway import diagnosing
from headway.errors import BadInput
from headway.model import ProofState
from headway.prove import ledger, record, room, service
from headway.prove.clone import CopyBy
from headway.report import proofs_page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headway.model import Proof, Sources
    from headway.prove.ledger import Row
    from headway.prove.prediction import Prediction
    from headway.prove.room import Task, Wish


@dataclass(frozen=True, kw_only=True)
class Told:
    """What was to be tried and what came of it. `tried` False: there was no place, nothing was asked of any server."""

    folder: Path
    todo: tuple[Task, ...]
    tried: bool = False
    proofs: tuple[Proof, ...] = ()
    predictions: tuple[Prediction, ...] = ()

    @property
    def unproven(self) -> bool:
        """Whether something that was tried could not be proven."""
        return any(each.state is ProofState.UNPROVEN for each in self.proofs)


def prove(
    root: Path, run: str | None, chosen: Sequence[str], sources: Sources, wish: Wish, *, say: Callable[[str], None]
) -> Told:
    """
    Try the remedies of a run's findings, or say what would be tried where there is no place for it.

    Args:
        root: the folder that has `.headway`.
        run: its id, folder, "latest", "latest~1"; None: the latest.
        chosen: findings by the number that `headway diagnose` gives them, fingerprint or rule; none: all.
        sources: the real system.
        wish: where and how.
        say: gets lines of progress.

    Raises:
        BadInput: no such run or finding; or --apply without a place to prove on.
        BundleDamaged: the run's folder cannot be read.
        SourceRefused: a database that was named refuses.
    """
    found = diagnosing.diagnosis(root, run)
    evidence, findings = found.evidence, tuple(each.finding for each in found.ranked)
    folder = evidence.folder
    todo = room.tasks(findings, chosen)
    if wish.staging_url is None and wish.copy is None:
        if wish.apply:
            raise BadInput(
                "--apply puts in place what was proven, and there is no place to prove it on",
                next_act="add --copy backup, or --staging-url",
            )
        return Told(folder=folder, todo=todo)
    proofs = room.prove(evidence, findings, todo, sources, wish, root=root, say=say)
    told = Told(
        folder=folder, todo=todo, tried=True, proofs=proofs, predictions=record.predictions(folder) if proofs else ()
    )
    if proofs:
        say(f"report: {proofs_page.write(evidence, record.read(folder), told.predictions)}")
    return told


def copy_by(word: str | None) -> CopyBy | None:
    """
    The way to copy that was named.

    Raises:
        BadInput: there is none of that name.
    """
    if word is None:
        return None
    try:
        return CopyBy(word)
    except ValueError as exc:
        raise BadInput(f"--copy {word!r} is no way to copy", next_act="say --copy backup or --copy template") from exc


def with_service(
    wish: Wish, *, words: Sequence[str] | None, environment: Mapping[str, str], folder: Path | None
) -> Wish:
    """The wish, with a service that can be started against the copy."""
    if words is None:
        return wish
    made = service.ServiceCommand(words=tuple(words), environment=environment, folder=folder)
    return replace(wish, service=made)


def ledger_rows(root: Path) -> tuple[Row, ...]:
    """
    The ledger, folded by rule.

    Raises:
        BundleDamaged: a line of it cannot be read.
    """
    return ledger.rows(record.noted(root))
