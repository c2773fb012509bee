"""The pure parts of the cache: keys, the wire, the choice, the breaker, the policy."""

from __future__ import annotations

import datetime as dt
import struct
import subprocess
import sys
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest
import redis.asyncio
from hypothesis import given
from hypothesis import strategies as st

from headway.runtime.cache import Json, KeyTemplate, MessagePack, NotCacheable, Pickle, Policy, reading, wire, writing
from headway.runtime.cache.breaker import Breaker
from headway.runtime.cache.core import Core
from headway.runtime.cache.entry import Choice, Entry, choose
from headway.runtime.cache.keys import text_of
from headway.runtime.cache.lean import packed
from headway.runtime.cache.server_clock import ServerClock

FIELDS = st.one_of(
    st.integers(),
    st.text(),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=False),
    st.binary(),
    st.uuids(),
    st.dates(),
    st.datetimes(),
    st.decimals(allow_nan=False),
)


class User(msgspec.Struct):
    """Something a service would cache."""

    name: str
    born: dt.date


@given(one=FIELDS, other=FIELDS)
def test_two_values_share_a_key_only_when_they_are_the_same(one: object, other: object) -> None:
    """1, "1", True, 1.0, b"1" and None are six keys; no text escapes from its field."""
    assert (text_of(one) == text_of(other)) == (type(one) is type(other) and repr(one) == repr(other))
    assert ":" not in text_of(one)


@given(one=st.tuples(st.text(), st.text()), other=st.tuples(st.text(), st.text()))
def test_fields_do_not_run_into_each_other(one: tuple[str, str], other: tuple[str, str]) -> None:
    """A colon or a percent sign in one field never makes the key of other fields."""
    key = KeyTemplate("a:{x}:{y}").key
    assert (key(x=one[0], y=one[1]) == key(x=other[0], y=other[1])) == (one == other)


def test_a_long_key_is_shortened_and_still_its_own() -> None:
    """Past 200 characters a digest stands for the rest."""
    key = KeyTemplate("page:{text}").key
    assert len(key(text="a" * 5000)) < 110
    assert key(text="a" * 5000) != key(text="a" * 5001)


@pytest.mark.parametrize("value", [object(), [1], {"a": 1}, (1, 2), 1j])
def test_what_has_no_safe_text_is_refused(value: object) -> None:
    """A repr with an address in it would be a key that is never found again."""
    with pytest.raises(NotCacheable, match="no safe text"):
        KeyTemplate("a:{x}").key(x=value)


@pytest.mark.parametrize("template", ["a:{}", "a:{x!r}", "a:{x:>3}", "a:{x}:{x}", "{x}{y}", "a:{x}b{y}"])
def test_a_template_that_could_mix_fields_is_refused(template: str) -> None:
    """When it is written, not when two users get each other's data."""
    with pytest.raises(ValueError, match="key template"):
        KeyTemplate(template)


def test_a_parameter_left_out_of_the_template_is_refused() -> None:
    """`user:{user_id}` for (user_id, language) would give one language to all."""

    def page(user_id: int, language: str = "en") -> str:
        return f"{user_id}{language}"

    with pytest.raises(ValueError, match="language"):
        KeyTemplate("user:{user_id}").of_call(page)
    key = KeyTemplate("user:{user_id}:{language}").of_call(page)
    assert key(5) == key(user_id=5) == key(5, language="en") == "user:5:en"


@pytest.mark.parametrize("codec", [MessagePack(), Json(), Pickle()])
def test_a_value_comes_back_as_its_type(codec: MessagePack | Json | Pickle) -> None:
    """A struct with a date, compressed or not, with its tags and times."""
    value = User("Ada" * 3000, dt.date(1815, 12, 10))
    for limit in (None, 100):
        body = wire.body(value, codec=codec, delta_s=0.25, tags=("a", "ü"), compress_over_bytes=limit)
        read = wire.read(bytes(16) + body, codec=codec, kind=User)
        assert read is not None
        assert (read.value, read.tags, read.delta_s) == (value, ("a", "ü"), 0.25)
        assert (len(body) < 2000) == (limit is not None)


@given(blob=st.binary(max_size=80))
def test_bytes_that_are_no_entry_are_a_miss(blob: bytes) -> None:
    """Whatever lies under the key, reading it raises nothing."""
    wire.read(blob, codec=MessagePack(), kind=User)
    wire.read(bytes(16) + b"H1\x01\x00" + blob, codec=MessagePack(), kind=User)


def test_an_entry_of_another_codec_or_type_is_a_miss() -> None:
    """A pickle is never loaded because an entry says that it is one."""
    pickled = bytes(16) + wire.body(1, codec=Pickle(), delta_s=0, tags=(), compress_over_bytes=None)
    assert wire.read(pickled, codec=MessagePack(), kind=int) is None
    number = bytes(16) + wire.body(1, codec=MessagePack(), delta_s=0, tags=(), compress_over_bytes=None)
    assert wire.read(number, codec=MessagePack(), kind=User) is None


def test_a_value_that_cannot_be_written_says_what_to_do() -> None:
    """The error names the type and the ways out."""
    with pytest.raises(NotCacheable, match=r"object cannot be cached.*msgspec\.Struct"):
        wire.body(object(), codec=MessagePack(), delta_s=0, tags=(), compress_over_bytes=None)


@given(
    ttl_s=st.floats(0.1, 100),
    stale_s=st.floats(0, 100),
    fail_safe_s=st.floats(0, 100),
    delta_s=st.floats(0, 10),
    age_s=st.floats(0, 400),
    chance=st.floats(0, 0.999999),
)
def test_nothing_is_served_past_its_bound(
    ttl_s: float, stale_s: float, fail_safe_s: float, delta_s: float, age_s: float, chance: float
) -> None:
    """Without asking: never past ttl and stale time, whatever the dice say; fresh and not due is served untouched."""
    policy = Policy(ttl_s=ttl_s, stale_s=stale_s, fail_safe_s=fail_safe_s, jitter_ratio=0)
    entry = Entry(1, stamp=1, born_at=0, fresh_until=ttl_s, delta_s=delta_s).under(policy, 0, lambda: chance)
    choice = choose(entry, age_s, policy)
    assert (choice is Choice.LOOK) == (age_s >= ttl_s + stale_s)
    assert entry.refresh_at <= entry.fresh_until <= entry.stale_until <= entry.keep_until
    if choice is Choice.SERVE:
        assert age_s < ttl_s


def test_the_breaker_opens_tries_once_and_closes() -> None:
    """Three failures open it; after its time one may try; a failed trial doubles the time; an answer closes it."""
    breaker = Breaker(failures=3, open_s=1, longest_s=3)
    for _ in range(3):
        assert breaker.allows(0)
        breaker.failed(0)
    assert breaker.is_open
    assert not breaker.allows(0.9)
    assert breaker.allows(1.0)
    assert not breaker.allows(1.0)
    breaker.failed(1.0)
    assert not breaker.allows(2.9)
    assert breaker.allows(3.0)
    breaker.succeeded()
    assert breaker.allows(3.0)
    assert not breaker.is_open


def test_the_server_s_clock_is_never_estimated_behind() -> None:
    """An answer that took long makes an entry look older, never younger."""
    clock = ServerClock()
    clock.learn(server_ms=1_000_000, asked_at=10.0)  # read at 10.2 in truth
    assert clock.to_local(1_005_000) == pytest.approx(15.0)
    assert clock.unsure(41.0)


def test_an_invalidation_fences_a_read_on_its_way() -> None:
    """What was read before it is not kept after it; and who asks after it begins anew."""
    core = Core(
        namespace="t", version=1, codec=MessagePack(), remote=True, strict=False, max_entries=10, max_bytes=1000
    )
    policy = Policy()
    flight, _ = core.board("k")
    core.drop(["k"])
    core.keep(
        "k", flight, Entry(1, stamp=5, born_at=0, fresh_until=core.now() + 60).under(policy, 0, lambda: 0), policy
    )
    assert core.peek("k") is None
    assert core.board("k")[1]


@pytest.mark.parametrize("newer", [True, False])
def test_a_write_that_another_has_overtaken_is_not_kept(newer: bool) -> None:
    """Its reply comes after the other's message: the local level must not hold the older of the two."""
    core = Core(
        namespace="t", version=1, codec=MessagePack(), remote=True, strict=False, max_entries=10, max_bytes=1000
    )
    steps = writing.put(core, "k", 1, Policy())
    next(steps)
    if newer:
        core.hear(struct.pack(">d", 11.0) + msgspec.msgpack.encode(("another", "key", ("k",))))
    with pytest.raises(StopIteration):
        steps.send([b"10", b"1000.0"])
    assert (core.peek("k") is None) == newer


def test_barriers_are_held_to_also_when_a_flush_comes_while_others_are_asked_for() -> None:
    """The channel's loss empties what is known in the middle of a read: what was cleared is not served for that."""
    core = Core(
        namespace="t", version=1, codec=MessagePack(), remote=True, strict=False, max_entries=10, max_bytes=1000
    )
    core.listening = True
    core.clock.learn(1_000.0, core.now())
    core.raise_barriers(["*"], 50.0)
    body = wire.body(1, codec=core.codec, delta_s=0.0, tags=("team",), compress_over_bytes=None)
    steps = reading.read(core, "k", Policy())
    next(steps)
    asked = steps.send(struct.pack(">dd", 61_000.0, 40.0) + body)
    core.flush()
    with pytest.raises(StopIteration) as ended:
        steps.send([None] * len(asked.words[1:]))
    assert ended.value.value is None


@pytest.mark.parametrize(
    "parts",
    [
        {"ttl_s": 0},
        {"ttl_s": float("nan")},
        {"jitter_ratio": 1},
        {"stale_s": -1},
        {"hard_timeout_s": 0},
        {"sliding": True},
        {"sliding": True, "max_age_s": 1, "ttl_s": 2},
        {"ttl_s": 31 * 86_400},
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(parts: dict[str, float]) -> None:
    """When it is made, with the name of the part."""
    with pytest.raises(ValueError, match=r"_s|ratio|ttl"):
        Policy(**parts)  # type: ignore[arg-type]


WORDS = st.one_of(st.text(), st.binary(max_size=9000), st.integers(), st.floats())


@given(st.sampled_from(["GET", "EVALSHA"]), st.lists(WORDS))
def test_a_command_is_sent_as_redis_py_sends_it(name: str, words: list[object]) -> None:
    """Byte by byte, whatever its words are."""
    connection = redis.asyncio.Connection()
    usual = b"".join(connection.pack_command(name, *words))  # type: ignore[arg-type]
    assert packed((name, *words), connection.encoder.encode) == usual


def test_a_service_imports_little() -> None:
    """Neither a room of Headway nor a heavy library comes with the cache."""
    script = (
        "import sys, headway.runtime.cache, headway.runtime.debounce\n"
        "print(sorted(n for n in sys.modules if n.startswith('headway.') and not n.startswith('headway.runtime')),"
        "[n for n in ('numpy','duckdb','pyarrow','typer','rich','psycopg') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"


def test_fields_of_every_kind_have_the_text_the_page_shows() -> None:
    """The forms are part of the wire: a change would lose every cache at once."""
    texts = [text_of(each) for each in (5, "5", "a b:c", "", True, None, 0.5, b"\0\xff", dt.date(2026, 1, 31))]
    assert texts == ["5", "'5", "a%20b%3Ac", "'", "~b1", "~n", "~f0.5", "~x00ff", "~d2026-01-31"]
    assert text_of(UUID(int=1)).startswith("~u")
    assert text_of(Decimal("1.0")) == "~D1.0"
