"""What a sampler wrote: read, cleaned, made short, kept as speedscope, read back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import BundleDamaged, HeadwayError
from headway.evidence import perf, stacks
from headway.evidence.stacks import CPU, WALL, Frame, Profile, RawFrame, RawSample, Samples


def _event(kind: str, name: str, ts: int, line: int = 1, file: str = "/app/a.py") -> dict[str, object]:
    return {"ph": kind, "name": name, "ts": ts, "tid": 7, "pid": 1, "args": {"filename": file, "line": line}}


def test_begins_and_ends_become_stretches_of_stacks() -> None:
    """Each stretch between two changes has the stack of that time, its thread, its unix time and its length."""
    events = [
        _event("B", 'thread (12): Main"Thread', 1_000, file=""), _event("B", "main", 1_000), _event("B", "work", 1_000),
        _event("E", "work", 41_000), _event("B", "rest", 41_000),
        _event("E", "rest", 81_000), _event("E", "main", 81_000),
    ]  # fmt: skip
    found = stacks.from_chrome_trace(events, 100.0)
    assert [
        (each.thread, round(each.at_s, 3), round(each.seconds, 3), [f.name for f in each.stack]) for each in found
    ] == [
        ('Main"Thread 12', 100.001, 0.04, ["main", "work"]),
        ('Main"Thread 12', 100.041, 0.04, ["main", "rest"]),
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["ph", "tid", "ts", "args", "name", "shared", "frames", "profiles", "samples"]), inner
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_what_is_not_a_profile_is_one_clear_error(content: object) -> None:
    """Any JSON is read as samples or refused with Headway's own error; nothing else comes out."""
    for trace in (True, False):
        try:
            found = stacks.from_chrome_trace(content, 0.0) if trace else stacks.from_speedscope(content)
        except HeadwayError as exc:
            assert exc.next_act
        else:
            assert isinstance(found, list)


def test_torn_stacks_are_told_by_their_outermost_frame() -> None:
    """A stack that begins in the middle of others is left out; a thread's real roots are kept."""
    root, work = RawFrame("<module>", "/app/a.py", 9), RawFrame("work", "/app/a.py", 3)
    good = [RawSample(thread="t", at_s=float(n), seconds=0.04, stack=(root, work)) for n in range(5)]
    torn = RawSample(thread="t", at_s=9.0, seconds=0.04, stack=(work,))
    moved = RawSample(thread="t", at_s=9.5, seconds=0.04, stack=(RawFrame("<module>", "/app/a.py", 12), work))
    other = RawSample(thread="u", at_s=9.0, seconds=5.0, stack=(work,))
    samples = [*good, torn, moved, other]
    assert stacks.without_torn(samples, stacks.usual_roots(samples)) == [*good, moved, other]


@pytest.mark.parametrize(
    ("file", "short", "own"),
    [
        ("/srv/shop/shop/routes/users.py", "shop/routes/users.py", True),
        ("/srv/other/lib/pricing.py", "other/lib/pricing.py", True),
        ("/srv/shop/.venv/lib/python3.12/site-packages/fastapi/routing.py", "fastapi/routing.py", False),
        ("/usr/lib/python3.11/asyncio/base_events.py", "asyncio/base_events.py", False),
        ("/usr/lib/python3/dist-packages/yaml/__init__.py", "yaml/__init__.py", False),
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", "libc.so.6", False),
        ("[kernel.kallsyms]", "[kernel.kallsyms]", False),
        ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap>", False),
        ("", "?", False),
    ],
)
def test_files_are_named_without_the_machine_s_folders(file: str, short: str, own: bool) -> None:
    """The service's own code from its folder, libraries from where they are installed, and which is which."""
    found = stacks.framed(RawFrame("f", file, 3), "/srv/shop")
    assert (found.file, found.own) == (short, own)


def _profile() -> Profile:
    frames = (
        Frame(name='<b>"f"\x1b[31m', file="a.py", line=1, own=True),
        Frame(name="g", file="lib.py", line=2, own=False),
    )
    wall = Samples(
        process="app", pid=1, thread="Main 1", clock=WALL, phase="p", at_s=(5.0, 5.5, 5.75), seconds=(0.5, 0.25, 1.0),
        stacks=((0,), (), (0, 1)),
    )  # fmt: skip
    cpu = Samples(
        process="app", pid=1, thread="Main 1", clock=CPU, phase="p", at_s=(), seconds=(0.25,), stacks=((0, 1),)
    )
    return Profile(
        frames=frames, threads=(cpu, wall), rates_per_s={CPU: 50, WALL: 25}, watched_s={"p": 2.0}, torn=3,
        notes=("one",), lines={"a.py:1": "x = 1"},
    )  # fmt: skip


def test_a_profile_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Frames, threads, times, rates, notes and lines survive the file."""
    profile = _profile()
    stacks.write(tmp_path / "p.json", profile, "run")
    found = stacks.read(tmp_path / "p.json")
    assert (found.frames, found.threads) == (profile.frames, profile.threads)
    assert (found.torn, found.notes, found.lines, found.watched_s) == (3, ("one",), {"a.py:1": "x = 1"}, {"p": 2.0})


@pytest.mark.parametrize("harm", ["cut", "foreign", "index", "weights"])
def test_a_damaged_file_is_named(tmp_path: Path, harm: str) -> None:
    """A file cut short, another tool's, or one whose indices lead nowhere is one error that names it."""
    content = stacks.as_speedscope(_profile(), "run")
    if harm == "foreign":
        del content["headway"]
    if harm == "index":
        content["profiles"][0]["samples"] = [[99]]
    if harm == "weights":
        content["profiles"][1]["weights"].pop()
    file = tmp_path / "p.json"
    text = json.dumps(content)
    file.write_text(text[: len(text) // 2] if harm == "cut" else text)
    with pytest.raises(BundleDamaged, match=r"p\.json"):
        stacks.read(file)


def test_what_perf_wrote_becomes_stacks_outermost_first() -> None:
    """Names with spaces and brackets are borne, broken chains are cut at their outer end, and noise is passed over."""
    text = (
        "my app  12/13 \n\t   401136 std::vector<int>::push(int) (/srv/app/bin/app)\n"
        "\t 400000 main (/srv/app/bin/app)\n"
        "\t 3832 [unknown] ([unknown])\n\nnoise\nmy app  12/14 \n\t ffff8 [unknown] ([unknown])\n"
    )
    (found,) = perf.parsed(text.splitlines(), rate_per_s=50)
    assert (found.thread, found.seconds) == ("my app 13", 0.02)
    assert [each.name for each in found.stack] == ["main", "std::vector<int>::push(int)"]


@given(st.lists(st.text(max_size=40), max_size=10))
def test_any_text_is_read_as_perf_s_or_passed_over(lines: list[str]) -> None:
    """Nothing that perf might print ends in an exception."""
    assert isinstance(perf.parsed(lines, rate_per_s=50), list)
