"""The prove room: findings go in, each remedy is tried where it harms nobody, proofs come out and are written down."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from headway.diagnose.words import one_line
from headway.errors import BadInput, HeadwayError
from headway.evidence.collector import in_words
from headway.model import ProofState
from headway.prove import applying, ledger, minimal, outcome, record
from headway.prove.clone import ROOM, Clone, CopyBy, NoCopy, clone
from headway.prove.grounds import Grounds
from headway.prove.lifeline import PREFIX, lifeline
from headway.prove.prediction import predict
from headway.prove.remedies import PROVERS
from headway.prove.session import same_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from headway.model import Evidence, Finding, Proof, Remedy, Sources
    from headway.prove.service import ServiceCommand


@dataclass(frozen=True, kw_only=True)
class Wish:
    """
    How to prove. `staging_url`: a database to try things on; `copy`: or how to make one. Neither: nothing is tried on
    a database. `budget_s` is for one proof. `folder` gets a copy's files. `fast`: the source may write its checkpoint
    at once.
    """

    budget_s: float = 60.0
    apply: bool = False
    staging_url: str | None = None
    copy: CopyBy | None = None
    service: ServiceCommand | None = None
    folder: Path = ROOM
    fast: bool = False
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Task:
    """One remedy of one finding. `number` is the finding's, as it is ranked, from 1."""

    number: int
    finding: Finding
    remedy: Remedy

    @property
    def provable(self) -> bool:
        """Whether anything here could try it."""
        return self.remedy.kind in PROVERS


def tasks(findings: Sequence[Finding], chosen: Sequence[str]) -> tuple[Task, ...]:
    """
    The remedies to try.

    Args:
        findings: of the run, ranked.
        chosen: numbers as ranked, fingerprints or their beginnings, names of rules; none: all findings.

    Raises:
        BadInput: one of them names no finding of the run.
    """
    kept: set[int] = set()
    for word in chosen:
        fitting = {number for number, each in enumerate(findings, start=1) if _fits(word, number, each)}
        if not fitting:
            raise BadInput(
                f"the run has no finding {one_line(word, 40)}",
                next_act=f"name a number from 1 to {len(findings)}, a fingerprint or a rule" if findings
                else "it has none: diagnose another run",
            )  # fmt: skip
        kept |= fitting
    found, seen = [], set()
    for number, finding in enumerate(findings, start=1):
        for remedy in finding.remedies if not chosen or number in kept else ():
            key = (finding.fingerprint, remedy.kind, remedy.title)  # the same finding in another phase is the same
            if key not in seen:
                seen.add(key)
                found.append(Task(number=number, finding=finding, remedy=remedy))
    return tuple(found)


def prove(
    evidence: Evidence, findings: Sequence[Finding], todo: Sequence[Task], sources: Sources, wish: Wish, *, root: Path,
    say: Callable[[str], None],
) -> tuple[Proof, ...]:  # fmt: skip
    """
    Try each remedy, apply what proved worth it if that was asked, and write proofs, predictions and ledger.

    What was proven before an interrupt is written too.

    Raises:
        BadInput: the staging database is the real one.
        SourceRefused: a database that was named refuses.
        HeadwayError: the run's folder cannot be written.
    """
    proofs: list[Proof] = []
    try:
        with _grounds(evidence, sources, wish, say) as (grounds, why_not):
            for place, task in enumerate(todo, start=1):
                say(f"{place} of {len(todo)}: {one_line(task.remedy.title)}")
                proofs.append(_tried(task, grounds, why_not))
                say(f"{proofs[-1].state.value}: {one_line(proofs[-1].reason, 200)}")
            proofs[:] = minimal.without_needless(proofs, grounds)
            if wish.apply:
                for number, each in enumerate(proofs):
                    proofs[number] = applying.apply(each, grounds)
    finally:
        if proofs:
            known = record.merged(evidence.folder, proofs)
            record.write(evidence.folder, known, predict(evidence, findings, known))
            record.note(root, ledger.entries(evidence.id, proofs))
    return tuple(proofs)


def tally(proofs: Sequence[Proof]) -> Counter[ProofState]:
    """How many of each state."""
    return Counter(each.state for each in proofs)


def _fits(word: str, number: int, finding: Finding) -> bool:
    if word.isdecimal() and len(word) < 4:
        return int(word) == number
    return finding.rule == word or (len(word) >= 4 and finding.fingerprint.startswith(word))


@contextlib.contextmanager
def _grounds(
    evidence: Evidence, sources: Sources, wish: Wish, say: Callable[[str], None]
) -> Iterator[tuple[Grounds, str | None]]:
    """The place to try things on, made and given back; and why there is none."""
    with contextlib.ExitStack() as until_done:
        life = until_done.enter_context(lifeline())
        work = Path(tempfile.mkdtemp(prefix=PREFIX))
        until_done.callback(shutil.rmtree, work, ignore_errors=True)
        life.folder(work)
        place, why_not = None, None
        if wish.staging_url is not None:
            place = _staging(wish.staging_url, sources)
        elif wish.copy is not None and sources.database_url is not None:
            try:
                place = until_done.enter_context(
                    clone(sources.database_url, wish.copy, life, say, folder=wish.folder, fast=wish.fast)
                )
            except NoCopy as exc:
                why_not = f"{exc.what}; {exc.next_act}"
        elif wish.copy is not None:
            why_not = "no database was named to copy; name it with --database-url"
        grounds = Grounds(
            evidence=evidence, sources=sources, work=work, budget_s=wish.budget_s, say=say, apply=wish.apply,
            staging_url=place.url if place else None, seed=wish.seed, where=place.where if place else "",
            service=wish.service, private=place.private if place else False, clone=place,
        )  # fmt: skip
        yield grounds, why_not


def _staging(url: str, sources: Sources) -> Clone:
    if sources.database_url is not None and same_database(url, sources.database_url):
        raise BadInput("--staging-url is the real database itself", next_act="name a copy of it, or say --copy backup")
    from headway.evidence.session import place_of

    return Clone(url=url, where=f"the staging database {place_of(url)}", private=False)


def _tried(task: Task, grounds: Grounds, why_not: str | None) -> Proof:
    prover = PROVERS.get(task.remedy.kind)
    if prover is None:
        what = f"nothing here can try a {task.remedy.kind.value}; it is told, not proven"
        return outcome.unproven(task.finding, task.remedy, grounds, what)
    try:
        found = prover(task.finding, task.remedy, grounds)
    except HeadwayError as exc:
        return outcome.unproven(task.finding, task.remedy, grounds, f"{exc.what}; {exc.next_act}")
    except psycopg.Error as exc:
        return outcome.unproven(task.finding, task.remedy, grounds, f"the database refused: {in_words(exc)}")
    if found.state is ProofState.UNPROVEN and found.reason == outcome.NO_PLACE and why_not is not None:
        return replace(found, reason=f"there is no place to try it: {why_not}")
    return found
