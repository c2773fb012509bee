"""What one statement for all keys is worth, and one round trip for all of a cache's, measured on real servers."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
import redis

import proving
from headway.model import Finding, Location, Proof, ProofState, Remedy, RemedyKind, Sources, Subject
from headway.prove.remedies import PROVERS

ONE = "SELECT id, user_id, title FROM posts WHERE user_id = $1"
LATEST = "SELECT id, title FROM posts WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2"


@pytest.fixture
def posts_url(postgres_url: str) -> str:
    """40,000 posts of 2,000 users, with the index that the single statements need."""
    proving.fill(postgres_url)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE INDEX ON posts (user_id, created_at)")
        connection.execute("ANALYZE posts")
    return postgres_url


def finding(statement: str, column: str = "user_id", **more: object) -> Finding:
    """An N+1 of 20 calls that take 20 of a request's 40 ms."""
    remedy = Remedy(
        kind=RemedyKind.BATCH, title="all at once", act="",
        parameters={
            "system": "postgresql", "statement": statement, "batched": "", "key_column": column, "statement_id": "1",
            "table": "posts", "calls": 20, "cost_ns": 20e6, "request_ns": 40e6, **more,
        },
    )  # fmt: skip
    return Finding(
        rule="n-plus-one", phase="ordinary", line="20 times", explains=(Subject.LATENCY,), share_ratio=0.5,
        share_of="requests", fingerprint="0" * 16, location=Location(route="GET /users"), remedies=(remedy,),
    )  # fmt: skip


def tried(found: Finding, url: str | None, work: Path, rows_per_call: float = 5, **more: object) -> Proof:
    """The proof of its remedy."""
    text = str(found.remedies[0].parameters["statement"])
    run = proving.evidence(work, proving.statement("1", text, rows_per_call=rows_per_call))
    return PROVERS[RemedyKind.BATCH](found, found.remedies[0], proving.grounds(run, url, work, budget_s=4.0, **more))


@pytest.mark.parametrize(("text", "how"), [(ONE, "= ANY($1)"), (LATEST, "CROSS JOIN LATERAL")])
def test_the_batched_statement_gives_the_same_rows_faster(posts_url: str, tmp_path: Path, text: str, how: str) -> None:
    """Twenty round trips against one; what that is worth to the request is said, and that it is predicted."""
    found = tried(finding(text), posts_url, tmp_path)
    assert found.state is ProofState.WORTH_IT, found.reason
    assert "the same rows" in found.reason
    assert "predicted" in found.reason
    assert how in found.remedy.parameters["batched"]
    (effect,) = found.effects
    assert effect.after_high < effect.before_low
    assert "20 keys" in effect.metric


def test_a_batch_that_saves_nothing_is_not_worth_it(postgres_url: str, tmp_path: Path) -> None:
    """Without an index each key is a scan of its own, in one statement as in twenty: that is where the time goes."""
    proving.fill(postgres_url)
    text = "SELECT count(*) FROM posts WHERE user_id = $1 AND md5(md5(title)) <> ''"
    found = tried(finding(text, calls=3), postgres_url, tmp_path)
    assert found.state is not ProofState.WORTH_IT, found.reason


def test_other_rows_are_no_proof(posts_url: str, tmp_path: Path) -> None:
    """A statement that answers differently each time can't be compared, and isn't called worth it."""
    found = tried(finding("SELECT id, random() AS luck FROM posts WHERE user_id = $1"), posts_url, tmp_path)
    assert found.state is ProofState.UNPROVEN
    assert "gives other rows" in found.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SELECT pg_sleep_for('1s'), id FROM posts WHERE user_id = $1", "may do more than read"),
        ("SELECT id FROM posts WHERE user_id = $1; DROP TABLE posts", "not one statement"),
        ("SELECT id FROM nowhere WHERE user_id = $1", "has no nowhere.user_id"),
        ("SELECT 'cut off by the SDK", "not asked by a key"),
    ],
)
def test_what_must_not_or_cannot_be_run_is_not(posts_url: str, tmp_path: Path, text: str, reason: str) -> None:
    """On the real database only what reads is run; hostile and broken texts give a reason, and nothing happens."""
    sources = Sources(target_url="http://127.0.0.1:1", database_url=posts_url)
    found = tried(finding(text), None, tmp_path, sources=sources)
    assert found.state is ProofState.UNPROVEN, found
    assert reason in found.reason
    with psycopg.connect(posts_url) as connection:
        assert connection.execute("SELECT count(*) FROM posts").fetchall() == [(proving.POSTS,)]


def test_the_real_database_is_only_read(posts_url: str, tmp_path: Path) -> None:
    """Without a copy it is asked itself, read-only; a function that writes is refused by the server."""
    with psycopg.connect(posts_url, autocommit=True) as connection:
        connection.execute("CREATE FUNCTION sum(integer, integer) RETURNS void LANGUAGE sql AS 'DELETE FROM posts'")
    sources = Sources(target_url="http://127.0.0.1:1", database_url=posts_url)
    assert tried(finding(ONE), None, tmp_path, sources=sources).state is ProofState.WORTH_IT
    writes = tried(finding("SELECT sum(1, 2) FROM posts WHERE user_id = $1"), None, tmp_path, sources=sources)
    assert writes.state is ProofState.UNPROVEN
    with psycopg.connect(posts_url) as connection:
        assert connection.execute("SELECT count(*) FROM posts").fetchall() == [(proving.POSTS,)]


def test_a_locked_table_ends_the_trial_soon(posts_url: str, tmp_path: Path) -> None:
    """Somebody's ALTER TABLE holds the table: the trial gives way after its lock timeout, and says so."""
    with psycopg.connect(posts_url) as connection:
        connection.execute("LOCK TABLE posts IN ACCESS EXCLUSIVE MODE")
        found = tried(finding(ONE), posts_url, tmp_path)
    assert found.state is ProofState.UNPROVEN


def test_without_a_database_nothing_is_claimed(tmp_path: Path) -> None:
    """The reason names the flag."""
    found = tried(finding(ONE), None, tmp_path)
    assert found.state is ProofState.UNPROVEN
    assert "--database-url" in found.reason


def test_many_keys_of_a_cache_in_one_round_trip(valkey_url: str, tmp_path: Path) -> None:
    """MGET gives what GET after GET gives, sooner; keys of another kind or template are left alone."""
    with redis.Redis.from_url(valkey_url) as client:
        client.mset({f"user:{number}": f"somebody {number}" for number in range(200)})
        client.hset("user:hash", "name", "another kind")
        client.set("visitor:1", "x")
    sources = Sources(target_url="http://127.0.0.1:1", cache_url=valkey_url)
    given = finding("GET user:?", system="redis")
    found = tried(given, None, tmp_path, sources=sources)
    assert found.state is ProofState.WORTH_IT, found.reason
    assert "20 keys" in found.effects[0].metric


def test_a_cache_without_such_keys_proves_nothing(valkey_url: str, tmp_path: Path) -> None:
    """No keys, no cache named, no command of one key: each has its reason."""
    sources = Sources(target_url="http://127.0.0.1:1", cache_url=valkey_url)
    assert "fewer than two keys" in tried(finding("GET user:?", system="redis"), None, tmp_path, sources=sources).reason
    assert "--cache-url" in tried(finding("GET user:?", system="redis"), None, tmp_path).reason
    assert "more than a key" in tried(finding("HGET u:? f", system="redis"), None, tmp_path, sources=sources).reason
