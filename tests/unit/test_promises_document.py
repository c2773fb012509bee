"""Round trip: what is read is written back byte for byte, but for the one place that was changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.errors import BadInput
from headway.promises.criteria import criteria_of
from headway.promises.document import LARGEST_BYTES, Document

GOLDEN = Path(__file__).parents[1] / "golden" / "increments"
SPEC = GOLDEN / "0050-performance-optimization" / "spec.md"

quick = settings(max_examples=100, deadline=None)
LINES = st.one_of(
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\n\r`~<"), max_size=30),
    st.sampled_from(("## Heading", "- [ ] a task", "  - **Priority**: P1", "é ✅ 中文 \u2028 \x85 x", "---", "\t")),
)
ENDS = st.sampled_from(("\n", "\r\n"))


@quick
@given(st.lists(st.tuples(LINES, ENDS)), LINES, st.sampled_from(("", "\ufeff")), st.data())
def test_ticking_a_box_changes_that_box_only(
    lines: list[tuple[str, str]], last: str, mark: str, data: st.DataObject
) -> None:
    """One byte differs after a tick, none after ticking back: line ends, BOM and the missing last line end stay."""
    at = data.draw(st.integers(0, len(lines)))
    end = data.draw(ENDS)
    before = "".join(text + end for text, end in lines[:at] if not text.startswith("---"))
    after = "".join(text + end for text, end in lines[at:])
    text = f"{mark}# Title{end}{before}- [ ] **AC-US7-77**: P95 < 100 ms{end}{after}{last}"
    document = Document(path=Path("spec.md"), text=text)
    ticked = document.with_checked("AC-US7-77", True)
    changed = [index for index, (one, other) in enumerate(zip(text, ticked.text, strict=True)) if one != other]
    assert [ticked.text[index] for index in changed] == ["x"]
    assert text[changed[0] - 3 : changed[0] + 5] == "- [ ] **"
    assert ticked.with_checked("AC-US7-77", True) == ticked
    assert ticked.with_checked("AC-US7-77", False).text == text


@quick
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode()))
def test_writing_back_gives_the_same_bytes(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    """Reading and writing without a change gives the same bytes, or the file is refused as no UTF-8."""
    path = tmp_path_factory.mktemp("round") / "spec.md"
    path.write_bytes(raw)
    try:
        document = Document.read(path)
    except BadInput as refused:
        assert "UTF-8" in str(refused)
        return
    document.write()
    assert path.read_bytes() == raw
    for number, line in enumerate(document.lines, start=1):
        if "\r" not in line:
            assert document.with_line(number, line).text == document.text


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_ticking_every_criterion_of_a_real_increment_and_back_leaves_it_as_it_was(
    tmp_path: Path, ending: str, bom: str
) -> None:
    """Tick all, write, read, untick all: the file is the one we began with, with CRLF and a byte order mark too."""
    raw = (bom + SPEC.read_text(encoding="utf-8").rstrip("\n").replace("\n", ending)).encode()
    path = tmp_path / "spec.md"
    path.write_bytes(raw)
    document = Document.read(path)
    criteria = criteria_of(document)
    assert len(criteria) == 9
    for criterion in criteria:
        document = document.with_checked(criterion.id, True)
    document.write()
    again = Document.read(path)
    assert all(criterion.checked for criterion in criteria_of(again))
    for criterion in criteria:
        again = again.with_checked(criterion.id, bool(criterion.checked))
    again.write()
    assert path.read_bytes() == raw


def test_writing_keeps_the_rights_and_follows_a_link(tmp_path: Path) -> None:
    """The file keeps its mode, a symbolic link stays one, and no temporary file is left."""
    real, link = tmp_path / "real.md", tmp_path / "link.md"
    real.write_text("- [ ] **AC-US1-01**: P95 < 1 s\n")
    real.chmod(0o640)
    link.symlink_to(real)
    Document.read(link).with_checked("AC-US1-01", True).write()
    assert real.read_text() == "- [x] **AC-US1-01**: P95 < 1 s\n"
    assert real.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.md", "real.md"]


def test_a_box_in_a_code_fence_is_not_ticked() -> None:
    """An example in a fence that spells the same criterion is left alone."""
    text = "```\n- [ ] **AC-US1-01**: P95 < 1 s\n```\n- [ ] **AC-US1-01**: P95 < 1 s\n"
    ticked = Document(path=Path("spec.md"), text=text).with_checked("AC-US1-01", True)
    assert ticked.text == text[: -len("- [ ] **AC-US1-01**: P95 < 1 s\n")] + "- [x] **AC-US1-01**: P95 < 1 s\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("nothing here\n", "does not hold AC-US1-01"),
        ("- **AC-US1-01**: P95 < 1 s\n", "no check box"),
        ("- [ ] **AC-US1-01**: a\n- [ ] **AC-US1-01**: b\n", "2 times"),
    ],
)
def test_a_box_that_is_not_there_cannot_be_ticked(text: str, named: str) -> None:
    """One clear error instead of a silent no-op."""
    with pytest.raises(BadInput, match=named):
        Document(path=Path("spec.md"), text=text).with_checked("AC-US1-01", True)


@pytest.mark.parametrize("number", [0, 3])
def test_a_line_that_is_not_there_cannot_be_replaced(number: int) -> None:
    """Lines count from 1; anything else is a programmer's error."""
    with pytest.raises(ValueError, match="cannot become"):
        Document(path=Path("spec.md"), text="a\nb").with_line(number, "c")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """Missing, a folder, not UTF-8, endless or huge: one BadInput that names the file."""
    latin = tmp_path / "latin.md"
    latin.write_bytes(b"# Title\n- caf\xe9\n")
    huge = tmp_path / "huge.md"
    huge.write_bytes(b"x" * (LARGEST_BYTES + 1))
    pipe = tmp_path / "pipe.md"
    os.mkfifo(pipe)
    for path, named in (
        (tmp_path / "none.md", "No such file"),
        (tmp_path, "a folder"),
        (latin, "not UTF-8"),
        (huge, "4 MiB"),
        (pipe, "regular file"),
        (Path("/dev/zero"), "regular file"),
        (tmp_path / "a\0b", "cannot be read"),
    ):
        with pytest.raises(BadInput, match=named) as caught:
            Document.read(path)
        assert str(path) in str(caught.value)
    with pytest.raises(BadInput) as caught:
        Document.read(latin)
    assert caught.value.line == 2


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    """Writing into a folder that is not there is one clear error."""
    with pytest.raises(BadInput, match="cannot be written"):
        Document(path=tmp_path / "gone" / "spec.md", text="x").write()
