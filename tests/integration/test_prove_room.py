"""The prove room whole: copies made and given back, proofs written down, predictions compared."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest

import proving
from headway.errors import BadInput
from headway.model import Index, ProofState, Sources
from headway.prove import foretold, ledger, record, room
from headway.prove.clone import CopyBy, NoCopy, clone
from headway.prove.lifeline import COPY_PREFIX, PREFIX, lifeline

HOLD = """
import sys
from pathlib import Path
from headway.prove.clone import CopyBy, clone
from headway.prove.lifeline import lifeline
url, by, folder = sys.argv[1], CopyBy(sys.argv[2]), Path(sys.argv[3])
with lifeline() as life, clone(url, by, life, lambda _t: None, folder=folder, fast=True) as made:
    print(made.url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def posts_url(postgres_url: str) -> str:
    """20,000 posts of 1,000 users."""
    proving.fill(postgres_url, 20_000)
    return postgres_url


def copies(url: str) -> list[str]:
    """Names of copies on the server."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (COPY_PREFIX,))
        return [str(row[0]) for row in rows]


def count(url: str) -> int:
    """Rows of posts."""
    with psycopg.connect(url) as connection:
        return int(connection.execute("SELECT count(*) FROM posts").fetchone()[0])  # type: ignore[index]  # one row


def test_a_copy_holds_every_row_and_is_gone_afterwards(posts_url: str, service_room: Path) -> None:
    """It is the whole database, and may be changed at will; the source stays as it was."""
    by = CopyBy.TEMPLATE
    with lifeline() as life:
        with clone(posts_url, by, life, lambda _text: None, folder=service_room, fast=True) as made:
            assert count(made.url) == 20_000
            with psycopg.connect(made.url, autocommit=True) as connection:
                connection.execute("DROP TABLE posts")
            assert not made.private
            assert "a copy of database" in made.where
        assert count(posts_url) == 20_000
        assert copies(posts_url) == []
        assert not list(service_room.glob(f"{PREFIX}*"))


def test_a_template_that_somebody_uses_falls_back_to_a_backup_and_says_so(posts_url: str, service_room: Path) -> None:
    """A session in the source forbids a template copy: the reason is told, and the other way is taken."""
    said: list[str] = []
    with (
        psycopg.connect(posts_url),
        lifeline() as life,
        clone(posts_url, CopyBy.TEMPLATE, life, said.append, folder=service_room, fast=True) as made,
    ):
        assert made.private
        assert count(made.url) == 20_000
    assert any("nobody else" in each and "1 sessions" in each for each in said)


def test_a_role_that_may_not_copy_is_a_reason(posts_url: str, service_room: Path) -> None:
    """A read-only role can make neither copy; both reasons stand in one error."""
    with psycopg.connect(posts_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS headway_reader")
        connection.execute("CREATE ROLE headway_reader LOGIN PASSWORD 'x'")
        connection.execute("GRANT pg_read_all_stats TO headway_reader")
    reader = "postgresql://headway_reader:x@" + posts_url.partition("@")[2]
    with (
        lifeline() as life,
        pytest.raises(NoCopy, match=r"permission denied.*pg_basebackup"),
        clone(reader, CopyBy.TEMPLATE, life, lambda _text: None, folder=service_room, fast=True),
    ):
        pass
    with psycopg.connect(posts_url, autocommit=True) as connection:
        connection.execute("DROP ROLE headway_reader")


@pytest.mark.parametrize(("by", "sign"), [(CopyBy.BACKUP, signal.SIGKILL), (CopyBy.TEMPLATE, signal.SIGINT)])
def test_a_killed_proof_leaves_nothing_behind(
    posts_url: str, service_room: Path, by: CopyBy, sign: signal.Signals
) -> None:
    """Killed or interrupted in the middle: the copy's server ends, its files and databases go."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, posts_url, by.value, str(service_room)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, "PYTHONPATH": "src"},
    )  # fmt: skip
    with child:
        assert child.stdout is not None
        assert count(child.stdout.readline().strip()) == 20_000
        child.send_signal(sign)
        child.wait()
    until = time.monotonic() + 15
    while (copies(posts_url) or any(service_room.glob(f"{PREFIX}*"))) and time.monotonic() < until:
        time.sleep(0.1)
    assert copies(posts_url) == []
    assert not list(service_room.glob(f"{PREFIX}*"))
    running = [" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])]
    assert not [each for each in running if f"{service_room}/{PREFIX}" in each]


def test_the_real_database_is_no_place_to_try_things_on(posts_url: str, tmp_path: Path) -> None:
    """--staging-url that leads to the real database, however it is written, is refused before anything is sent."""
    run = proving.evidence(tmp_path, proving.statement("1", proving.READ))
    findings = (proving.finding("user_id"),)
    with pytest.raises(BadInput, match="real database itself"):
        room.prove(
            run, findings, room.tasks(findings, ()), Sources(target_url="http://x", database_url=posts_url),
            room.Wish(staging_url=f"{posts_url}?application_name=other"), root=tmp_path, say=lambda _text: None,
        )  # fmt: skip
    assert proving.indexes(posts_url) == {"posts_pkey"}


def test_of_two_indexes_that_do_the_same_one_is_kept_and_the_next_run_is_compared(
    posts_url: str, tmp_path: Path, service_room: Path
) -> None:
    """Leave-one-out keeps the smallest set; proofs, ledger and prediction are written, and the next run is compared."""
    folder = tmp_path / ".headway/runs/20260101T000000.000Z-shop"
    folder.mkdir(parents=True)
    run = proving.evidence(
        folder, proving.statement("1", proving.READ), proving.statement("2", proving.INSERT, calls=20)
    )
    twin = replace(proving.finding("user_id"), fingerprint="beef0000beef0000")
    findings = (proving.finding("user_id", "created_at DESC"), twin)
    wish = room.Wish(copy=CopyBy.TEMPLATE, budget_s=5, apply=True, folder=service_room, fast=True)
    proofs = room.prove(
        run, findings, room.tasks(findings, ()), Sources(target_url="http://x", database_url=posts_url), wish,
        root=tmp_path, say=lambda _text: None,
    )  # fmt: skip
    assert sorted(each.state for each in proofs) == sorted([ProofState.WORTH_IT, ProofState.NOT_WORTH_IT]), proofs
    kept = next(each for each in proofs if each.state is ProofState.WORTH_IT)
    assert kept.applied, kept.notes
    assert len(proving.indexes(posts_url)) == 2
    assert copies(posts_url) == []
    assert record.read(folder) == proofs
    rows = ledger.rows(record.noted(tmp_path))
    assert {(each.by, each.proofs, each.signs_right) for each in rows} == {("planner cost", 2, 2)}
    later = replace(run, folder=folder.with_name("20260102T000000.000Z-shop"), id="later")
    index = Index(
        table="posts", name="i", columns=tuple(kept.remedy.parameters["columns"]), definition="", method="btree",
        unique=False, primary=False, constraint=False, valid=True, size_bytes=1, scans=1,
    )  # fmt: skip
    notes = foretold.notes(replace(later, indexes=(index,)))
    assert notes
    assert notes[0].startswith("with remedy 1 of run 20260101")
    assert "measured" in notes[0]
    foretold.keep(later)
    foretold.keep(later)
    assert [each["kind"] for each in record.noted(tmp_path)].count("prediction") <= len(record.predictions(folder))


def test_findings_are_named_by_number_fingerprint_or_rule() -> None:
    """What names no finding is refused with what could be named."""
    findings = (proving.finding("user_id"), proving.finding("flag"))
    assert [each.number for each in room.tasks(findings, ())] == [1, 2]
    assert [each.number for each in room.tasks(findings, ("2",))] == [2]
    assert [each.number for each in room.tasks(findings, ("0123",))] == [1]
    assert [each.number for each in room.tasks(findings, ("missing-index",))] == [1, 2]
    with pytest.raises(BadInput, match="no finding 3"):
        room.tasks(findings, ("3",))
    with pytest.raises(BadInput, match="diagnose another run"):
        room.tasks((), ("1",))
