"""What an index is worth, measured on a real PostgreSQL."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

import proving
from headway.model import ProofState, RemedyKind, Sources
from headway.prove import acting
from headway.prove.remedies import index


@pytest.fixture
def posts_url(postgres_url: str) -> str:
    """20,000 posts of 1,000 users."""
    proving.fill(postgres_url)
    return postgres_url


def test_a_missing_index_is_proven_with_its_price(posts_url: str, tmp_path: Path) -> None:
    """The index the statement needs is worth it; what it costs the writes stands beside, and nothing is left behind."""
    run = proving.evidence(
        tmp_path, proving.statement("1", proving.READ),
        proving.statement("2", proving.INSERT, rows_per_call=1, calls=50),
        proving.statement("3", proving.RENAME, rows_per_call=0, calls=50),
    )  # fmt: skip
    finding = proving.finding("user_id", "created_at DESC")
    before = proving.indexes(posts_url)
    found = index.prove(finding, finding.remedies[0], proving.grounds(run, posts_url, tmp_path))
    assert found.state is ProofState.WORTH_IT, found.reason
    decides = next(each for each in found.effects if each.decides)
    assert decides.after_high < decides.before_low
    assert decides.before_low <= decides.before <= decides.before_high
    prices = {each.what.split(" of ")[0]: each for each in found.prices}
    records = next(each for each in found.prices if each.what.startswith("WAL records of INSERT"))
    assert records.before is not None
    assert records.after == pytest.approx(records.before + 1, abs=0.5)
    hot = next(each for each in found.prices if each.what.startswith("HOT updates of UPDATE"))
    assert hot.before is not None
    assert prices["size"].after > 100_000
    assert proving.indexes(posts_url) == before


def test_an_index_that_does_nothing_is_not_worth_it(posts_url: str, tmp_path: Path) -> None:
    """A column the statement does not ask for: the planner leaves the index alone, and the proof says so."""
    run = proving.evidence(tmp_path, proving.statement("1", "SELECT count(*) FROM posts WHERE flag = $1"))
    finding = proving.finding("title")
    found = index.prove(finding, finding.remedies[0], proving.grounds(run, posts_url, tmp_path))
    assert found.state is ProofState.NOT_WORTH_IT, found.reason
    assert "planner does not use" in found.reason


def test_writes_can_make_an_index_not_worth_it(posts_url: str, tmp_path: Path) -> None:
    """What many writes pay outweighs what one read saves. Each writes enough to be told from the machine's noise."""
    many = "INSERT INTO posts (user_id, title, created_at) SELECT n, 'title', now() FROM generate_series(1, 500) n"
    run = proving.evidence(
        tmp_path, proving.statement("1", proving.READ, calls=1),
        proving.statement("2", many, rows_per_call=500, calls=1_000_000),
    )  # fmt: skip
    finding = proving.finding("user_id")
    found = index.prove(finding, finding.remedies[0], proving.grounds(run, posts_url, tmp_path, budget_s=20.0))
    assert found.state is ProofState.NOT_WORTH_IT, found.reason
    assert "writes pay" in found.reason


def test_writes_too_slow_to_be_priced_leave_an_index_unproven(posts_url: str, tmp_path: Path) -> None:
    """A price that could not be measured is not a price of nothing."""
    slow = "INSERT INTO posts (user_id, title, created_at) SELECT 1, pg_sleep(0.1), now() FROM generate_series(1, 5)"
    run = proving.evidence(
        tmp_path, proving.statement("1", proving.READ), proving.statement("2", slow, rows_per_call=5)
    )
    finding = proving.finding("user_id")
    found = index.prove(finding, finding.remedies[0], proving.grounds(run, posts_url, tmp_path))
    assert found.state is ProofState.UNPROVEN, found.reason
    assert "what its writes would pay" in found.reason
    assert "--budget" in found.reason


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        ("SELECT dblink_exec('host=production', 'DROP TABLE users')", ("user_id",), "acts on its tables only"),
        ("SELECT 1; DROP TABLE posts", ("user_id",), "one statement"),
        (proving.READ, ("user_id) ; DROP TABLE posts; --",), "make no CREATE INDEX"),
        (proving.READ, ("nothing_like_it",), "does not exist"),
    ],
)
def test_hostile_and_wrong_input_is_refused_in_words(
    posts_url: str, tmp_path: Path, text: str, columns: tuple[str, ...], said: str
) -> None:
    """Texts from outside can't make a second statement, and an index that can't be is a reason, not a traceback."""
    run = proving.evidence(tmp_path, proving.statement("1", text))
    finding = proving.finding(*columns)
    found = index.prove(finding, finding.remedies[0], proving.grounds(run, posts_url, tmp_path))
    assert found.state is ProofState.UNPROVEN
    assert said in found.reason
    assert proving.indexes(posts_url) == {"posts_pkey"}


def test_without_a_place_nothing_is_claimed(tmp_path: Path) -> None:
    """No copy, no proof: the reason says how to name one."""
    finding = proving.finding("user_id")
    run = proving.evidence(tmp_path, proving.statement("1", proving.READ))
    found = index.prove(finding, finding.remedies[0], proving.grounds(run, None, tmp_path))
    assert found.state is ProofState.UNPROVEN
    assert "--copy" in found.reason


def test_applied_on_the_real_system_without_holding_anybody_up(posts_url: str, tmp_path: Path) -> None:
    """CREATE INDEX CONCURRENTLY, valid, and said; a second time it gets another name instead of failing."""
    finding = proving.finding("user_id")
    run = proving.evidence(tmp_path, proving.statement("1", proving.READ))
    grounds = proving.grounds(run, None, tmp_path, sources=Sources(target_url="http://x", database_url=posts_url))
    unproven = index.prove(finding, finding.remedies[0], grounds)
    found = acting.create_index(replace(unproven, state=ProofState.WORTH_IT), grounds)
    assert found.applied, found.notes
    assert "posts_user_id_idx" in proving.indexes(posts_url)


def test_a_transaction_that_stays_open_is_not_waited_for_and_no_invalid_index_stays(
    posts_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that isn't had within the timeout ends the build; the invalid index is dropped, and that is said."""
    monkeypatch.setattr(acting, "TRIES", 1)
    finding = proving.finding("user_id")
    run = proving.evidence(tmp_path, proving.statement("1", proving.READ))
    grounds = proving.grounds(run, None, tmp_path, sources=Sources(target_url="http://x", database_url=posts_url))
    unproven = index.prove(finding, finding.remedies[0], grounds)
    with psycopg.connect(posts_url) as holder:
        holder.execute("UPDATE posts SET title = 'held' WHERE id = 1")
        waited: list[float] = []

        def write() -> None:
            began = time.monotonic()
            with psycopg.connect(posts_url, autocommit=True) as other:
                other.execute("UPDATE posts SET title = 'other' WHERE id = 2")
            waited.append(time.monotonic() - began)

        writer = threading.Timer(0.5, write)
        writer.start()
        release = threading.Timer(4.0, holder.rollback)
        release.start()
        found = acting.create_index(replace(unproven, state=ProofState.WORTH_IT), grounds)
        writer.join()
        release.join()
    assert not found.applied
    assert "a transaction was open" in found.notes[-1]
    assert proving.indexes(posts_url) == {"posts_pkey"}
    assert waited[0] < 1.5
    assert found.remedy.kind is RemedyKind.INDEX
