"""What earlier proofs predicted for a run, beside what it measured: for the verdict's notes and the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headway.conventions import RUNS_FOLDER, STATE_FOLDER
from headway.diagnose.words import one_line
from headway.errors import BundleDamaged
from headway.model import RemedyKind
from headway.promises.spoken import duration_text
from headway.prove import record
from headway.prove.prediction import measured_ns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from headway.model import Evidence, Proof
    from headway.prove.prediction import Prediction

MOST_NAMED = 5


def notes(evidence: Evidence) -> tuple[str, ...]:
    """
    One line a route: "with remedies 1-3, predicted P95 41 ms, measured 38 ms".

    Predictions are those of the newest earlier run of the same scenario beside this one that has any. What isn't known
    to be in place is said; where nothing is, nothing is compared.
    """
    found = _newest(evidence)
    if found is None:
        return ()
    run_id, predictions, proofs = found
    said = []
    for each in predictions:
        measured = measured_ns(evidence, each)
        if measured is None or (each.route is None and any(other.route is not None for other in predictions)):
            continue
        there = [_in_place(evidence, fingerprint, proofs) for fingerprint in each.remedies]
        if any(there):
            said.append(_line(each, measured, there, run_id))
    if not said and predictions:
        titles = ", ".join(one_line(title, 50) for title in dict.fromkeys(t for p in predictions for t in p.titles))
        said.append(f"proven in run {run_id} and not known to be in place, so nothing is compared: {titles}")
    return tuple(said[:MOST_NAMED])


def keep(evidence: Evidence) -> None:
    """
    Write what was predicted and measured into the ledger, once a run.

    Raises:
        HeadwayError: the state folder cannot be written.
    """
    if evidence.folder.parent.name == RUNS_FOLDER and evidence.folder.parents[1].name == STATE_FOLDER:
        root = evidence.folder.parents[2]
        if made := entries(evidence, record.noted(root)):
            record.note(root, made)


def entries(evidence: Evidence, before: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ledger lines of predicted and measured P95s of this run; none that the ledger has."""
    found = _newest(evidence)
    if found is None or any(each.get("kind") == "prediction" and each.get("run") == evidence.id for each in before):
        return []
    run_id, predictions, proofs = found
    made = []
    for each in predictions:
        measured = measured_ns(evidence, each)
        if measured is not None and all(_in_place(evidence, one, proofs) for one in each.remedies):
            made.append({
                "kind": "prediction", "run": evidence.id, "proven_in": run_id, "route": each.route, "phase": each.phase,
                "before_ns": each.before_ns, "predicted_ns": each.predicted_ns, "measured_ns": measured,
                "by": each.by, "remedies": list(each.remedies),
            })  # fmt: skip
    return made


def _line(prediction: Prediction, measured: float, there: Sequence[bool], run_id: str) -> str:
    n = len(there)
    what = "remedy 1" if n == 1 else f"remedies 1-{n}"
    route = f" of {one_line(prediction.route, 60)}" if prediction.route else ""
    text = (
        f"with {what} of run {run_id}, predicted P95{route} {words(prediction)}, measured"
        f" {duration_text(measured)}; before it was {duration_text(prediction.before_ns)}"
    )
    absent = [one_line(t, 50) for t, is_there in zip(prediction.titles, there, strict=True) if not is_there]
    return text + (f"; not known to be in place: {', '.join(absent)}" if absent else "")


def words(prediction: Prediction) -> str:
    """The predicted time with its interval; "at most" where the run was overloaded."""
    if prediction.at_most:
        return f"at most {duration_text(prediction.high_ns)}"
    ends = f"{duration_text(prediction.low_ns)} to {duration_text(prediction.high_ns)}"
    return f"{duration_text(prediction.predicted_ns)} ({ends})"


def _newest(evidence: Evidence) -> tuple[str, tuple[Prediction, ...], tuple[Proof, ...]] | None:
    folder: Path = evidence.folder
    try:
        siblings = sorted((each for each in folder.parent.iterdir() if each.name < folder.name), reverse=True)
    except OSError:
        return None
    for each in siblings:
        try:
            predictions = tuple(p for p in record.predictions(each) if p.scenario == evidence.scenario.name)
            if predictions:
                return each.name, predictions, record.read(each)
        except BundleDamaged:
            continue
    return None


def _in_place(evidence: Evidence, fingerprint: str, proofs: Sequence[Proof]) -> bool:
    """Whether this run shows the remedy, or Headway put it there itself."""
    for proof in proofs:
        if proof.fingerprint != fingerprint:
            continue
        if proof.applied:
            return True
        if proof.remedy.kind is RemedyKind.INDEX:
            table = str(proof.remedy.parameters.get("table"))
            wanted = [_bare(str(each)) for each in proof.remedy.parameters.get("columns") or ()]
            return any(
                index.table == table
                and index.valid
                and [_bare(each) for each in index.columns[: len(wanted)]] == wanted
                for index in evidence.indexes
            )
    return False


def _bare(column: str) -> str:
    """A key without its order: "created_at DESC" is the column created_at."""
    words = column.strip().strip('"').split()
    return words[0].strip('"').lower() if words else ""
