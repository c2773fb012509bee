"""Increments: found, read in every form people write, and refused with file and line when they are broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.errors import BadInput
from headway.model import Promise, Subject
from headway.promises.increment import find, read
from headway.promises.spoken import clause_text

GOLDEN = Path(__file__).parents[1] / "golden" / "increments"
STRICT = GOLDEN / "0050-performance-optimization"
CRITERION = "- [ ] **AC-US1-01**: P95 < 100 ms\n"


def said(promise: Promise) -> list[str]:
    return [" and ".join(map(clause_text, one.clauses)) for one in promise.criteria]


def spec(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "spec.md"
    path.write_text(text, encoding="utf-8")
    return path


# -- the two forms ----------------------------------------------------------------------------------------------------


def test_the_strict_form_is_read_whole() -> None:
    """Front matter, check boxes, priorities (the point below wins), sections of spec.md and plan.md, lines."""
    promise = read(STRICT)
    assert (promise.id, promise.title, promise.folder) == (STRICT.name, "Performance Optimization", STRICT)
    assert said(promise) == [
        "API response time P95 < 100 ms",
        "database queries avg < 50 ms",
        "cache hit rate > 80%",
        "throughput >= 10,000 req/s",
        "GET /users/{id} P99 <= 250 ms at 2,000 req/s",
        "error rate < 0.1%",
        "database queries indexed",
        "monitoring enabled",
        "alerts configured",
    ]
    assert [one.priority for one in promise.criteria] == ["P1", "P1", "P2", "P3", "P1", "P1", "P1", "P2", "P2"]
    assert [one.checked for one in promise.criteria[:3]] == [False, True, False]
    lines = (STRICT / "spec.md").read_text(encoding="utf-8").splitlines()
    for one in promise.criteria:
        assert one.file == STRICT / "spec.md"
        assert f"**{one.id}**: {one.text}" in lines[one.line - 1]
    assert [section.title for section in promise.sections] == [
        "User Stories",
        "Performance Baselines (Before)",
        "Architecture Decisions",
        "Performance Targets (After)",
    ]
    assert read(STRICT / "spec.md") == promise


def test_the_classic_free_form_is_read_whole() -> None:
    """The page people copy from: no front matter, no check boxes, number and title in the heading."""
    promise = read(GOLDEN / "classic.md")
    assert (promise.id, promise.title, promise.folder) == ("0050", "Performance Optimization", None)
    assert [(one.id, one.line, one.priority, one.checked) for one in promise.criteria] == [
        ("AC-US1-01", 3, "P1", None),
        ("AC-US1-02", 4, "P1", None),
        ("AC-US1-03", 5, "P2", None),
        ("AC-US1-04", 6, "P2", None),
    ]
    assert said(promise) == said(read(STRICT))[:4]
    baselines = promise.sections[1]
    assert (baselines.title, baselines.line) == ("Performance Baselines (Before)", 7)
    assert baselines.lines[0] == "- API response: 500ms (P95) ❌"
    assert [section.title for section in promise.sections][-1] == "Cost Impact"


# -- nothing is passed over -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "why", "instead"),
    [
        ("- **AC-US1-1**: P95 < 1 s", "is no id", "- [ ] **AC-US1-01**: P95 < 1 s"),
        ("- [ ] **ac-us1-02**: P95 < 1 s", "is no id", "- [ ] **AC-US1-01**: P95 < 1 s"),
        ("- **AC-US1-02** P95 < 1 s", "a colon", "- [ ] **AC-US1-02**: P95 < 1 s"),
        ("- **AC-US1-02:** P95 < 1 s", "a colon", "- [ ] **AC-US1-02**: P95 < 1 s"),
        ("- AC-US1-02: P95 < 1 s", "in bold", "- [ ] **AC-US1-02**: P95 < 1 s"),
        ("- [] **AC-US1-02**: P95 < 1 s", "list item", "- [ ] **AC-US1-02**: P95 < 1 s"),
        ("**AC-US1-02**: P95 < 1 s", "list item", "- [ ] **AC-US1-02**: P95 < 1 s"),
        ("AC-US1-02: P95 < 1 s", "list item", "- [ ] **AC-US1-02**: P95 < 1 s"),
        ("#### AC-US1-02: P95 < 1 s", "list item", "- [ ] **AC-US1-02**: P95 < 1 s"),
        ("| AC-US1-02 | P95 < 1 s |", "list item", "- [ ] **AC-US1-02**: P95 < 1 s"),
        ("- [ ] P95 < 1 s", "no id", "- [ ] **AC-US1-01**: P95 < 1 s"),
        ("- [ ] **AC-US1-02**:", "empty", "API response time P95 < 100 ms"),
        ("- [ ] **AC-US1-02**: P95 < 1 s\n  for users in Asia", "users in Asia", "API response time P95 < 1 s"),
        ("- [ ] **AC-US1-02**: P95 < 1 s\nfor users in Asia", "users in Asia", "API response time P95 < 1 s"),
        ("- [ ] **AC-US1-02**: P95 < 1 s\n  - only in Asia", "only in Asia", '"**Note**: only in Asia"'),
        ("- [ ] **AC-US1-02**: P95 < 1 s\n\n  Only in Asia", "Only in Asia", '"**Note**: Only in Asia"'),
    ],
)
def test_what_only_looks_like_a_criterion_is_kept_as_not_understood(
    tmp_path: Path, line: str, why: str, instead: str
) -> None:
    """A bad id, a missing colon, a condition on the next line: in the promise, with its line, never kept silently."""
    promise = read(spec(tmp_path, f"# T\n\n## Acceptance Criteria\n\n{line}\n\n## Other\n\n- a point\n"))
    (one,) = promise.criteria
    assert one.line == 5
    assert one.clauses == ()
    assert one.not_understood is not None
    assert why in one.not_understood
    assert one.instead is not None
    assert instead in one.instead


def test_remarks_below_a_criterion_set_no_condition(tmp_path: Path) -> None:
    """Priority, notes and the like are no part of what is tested; continuation lines are."""
    text = (
        "## Acceptance Criteria\n- [ ] **AC-US1-01**: API response time\n  < 100 ms\n"
        "  - **Priority**: P0 (critical)\n  - **Testable**: yes\n  - Note: measured at the edge\n"
    )
    (one,) = read(spec(tmp_path, text)).criteria
    assert [clause.subject for clause in one.clauses] == [Subject.LATENCY]
    assert (one.text, one.priority) == ("API response time < 100 ms", "P0")


@pytest.mark.parametrize(
    "hidden",
    [
        "```markdown\n- [ ] **AC-US1-99**: P95 < 1 s\n```",
        "  ~~~\n- [ ] **AC-US1-99**: P95 < 1 s\n```\n  ~~~",
        "<!--\n- [ ] **AC-US1-99**: P95 < 1 s\n-->",
        "AC-US1-99 is spoken of in prose.",
        "**AC-IDs**: AC-US1-99",
    ],
)
def test_examples_and_prose_promise_nothing(tmp_path: Path, hidden: str) -> None:
    """Code fences, comments and sentences about criteria are no criteria, and don't shift the lines of others."""
    (one,) = read(spec(tmp_path, f"# T\n\n{hidden}\n\n{CRITERION}")).criteria
    assert (one.id, one.line) == ("AC-US1-01", 5 + hidden.count("\n"))


def test_check_marks_stand_for_boxes(tmp_path: Path) -> None:
    """✅ and ☐ before the id are read as ticked and open."""
    text = "- ✅ **AC-US1-01**: P95 < 1 s\n- ☐ **AC-US1-02**: P99 < 1 s\n* [X] **AC-US1-03**: P90 < 1 s\n"
    assert [one.checked for one in read(spec(tmp_path, text)).criteria] == [True, False, True]


# -- broken files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "named", "line"),
    [
        ("", "is empty", None),
        ("\ufeff\r\n \n", "is empty", None),
        ("# Title\n\n- a point\n", "no acceptance criterion", None),
        ("---\ntitle: [\n---\n" + CRITERION, "no YAML", 2),
        ("---\ntitle: a\n  b: c\n---\n" + CRITERION, "no YAML", 3),
        ("---\n- a\n---\n" + CRITERION, "names and values", 1),
        ("---\ncreated: 2025-13-45\n---\n" + CRITERION, "no YAML", 1),
        ("---\ntitle: a\n" + CRITERION, "never closed", 1),
        ("---\na: " + "[" * 3000 + "\n---\n" + CRITERION, "no YAML", None),
        ("---\na: !!python/object/apply:os.system [ls]\n---\n" + CRITERION, "no YAML", 2),
        (CRITERION + "\n" + CRITERION, "on lines 1 and 3", 3),
        (CRITERION + "```\n- x\n", "code fence is never closed", 2),
    ],
)
def test_a_broken_specification_is_one_error_with_its_line(
    tmp_path: Path, text: str, named: str, line: int | None
) -> None:
    """What failed, in which file, on which line, and what to do."""
    path = spec(tmp_path, text)
    with pytest.raises(BadInput, match=named) as caught:
        read(path)
    assert caught.value.file == path
    assert caught.value.next_act
    if line is not None:
        assert caught.value.line == line


def test_a_folder_without_a_specification_says_what_is_there(tmp_path: Path) -> None:
    """spec.md is missing: the error names the folder and what it holds."""
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(BadInput, match=r"no spec\.md; there is: notes\.txt"):
        read(tmp_path)
    (tmp_path / "spec.md").mkdir()
    with pytest.raises(BadInput, match="a folder stands"):
        read(tmp_path)


@settings(max_examples=100, deadline=None)
@given(
    st.text(max_size=200)
    | st.lists(
        st.sampled_from(
            (
                "---",
                "# T",
                "## Acceptance Criteria",
                "- [ ] **AC-US1-01**: P95 < 1 s",
                "- **AC-US1-1** x",
                "```",
                "  - y",
                "title: a",
                "  z",
                "",
                "| AC-US1-02 |",
                "<!--",
                "-->",
                "AC-US1-03:",
                "- [",
                "* **AC",
            )
        ),
        max_size=12,
    ).map("\n".join)
)
def test_any_file_is_a_promise_or_bad_input(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Arbitrary text is read, or refused as BadInput; never another error, never a promise without criteria."""
    folder = tmp_path_factory.mktemp("any")
    for name in ("spec.md", "headway.toml"):
        (folder / name).write_text(text, encoding="utf-8", newline="")
        try:
            assert read(folder / name).criteria
        except BadInput as refused:
            assert refused.next_act


# -- finding ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("0049-login", "0050-performance-optimization", "0051-search", "0051-shop", "_archive"):
        folder = tmp_path / ".specweave" / "increments" / name
        folder.mkdir(parents=True)
        (folder / "spec.md").write_text(CRITERION)
    (tmp_path / "src" / "deep").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    "reference",
    [
        "0050",
        "50",
        "0050-performance-optimization",
        "0050-perf",
        ".specweave/increments/0050-performance-optimization",
    ],
)
def test_an_increment_is_found_by_number_name_or_path(project: Path, reference: str) -> None:
    """However it is named, and from any folder of the project."""
    expected = project / ".specweave" / "increments" / "0050-performance-optimization"
    assert find(reference, project) == expected
    if "/" not in reference:
        assert find(reference, project / "src" / "deep") == expected
    assert read(find(f"{expected}/spec.md", project)).id == expected.name


@pytest.mark.parametrize(
    ("reference", "named"),
    [
        ("0099", "there are: 0049-login, 0050-performance-optimization, 0051-search, 0051-shop"),
        ("51", "ambiguous: 0051-search, 0051-shop"),
        ("0051-s", "ambiguous: 0051-search, 0051-shop"),
        ("no/such/spec.md", "no increment 'no/such/spec.md'"),
        ("", "no increment is named"),
        ("a\0b", "no increment is named"),
        ("²", "there is no increment"),
        ("9" * 400, "there is no increment"),
        ("x" * 5000, "no increment is named"),
        ("~nobody-of-that-name/x", "~nobody-of-that-name/x"),
    ],
)
def test_an_increment_that_is_not_there_says_which_are(project: Path, reference: str, named: str) -> None:
    """Missing and ambiguous names list what there is."""
    with pytest.raises(BadInput) as caught:
        find(reference, project)
    assert named in str(caught.value)


def test_without_specweave_the_error_says_so(tmp_path: Path) -> None:
    """No .specweave here or above: said, with the next act."""
    with pytest.raises(BadInput, match=r"no \.specweave/increments in"):
        find("0050", tmp_path)


# -- TOML -------------------------------------------------------------------------------------------------------------


def test_promises_in_toml_have_lines_and_priorities(tmp_path: Path) -> None:
    """For people without SpecWeave: each sentence is a criterion with its own line."""
    path = tmp_path / "headway.toml"
    path.write_text(
        'title = "Shop"\n# promises = ["P95 < 1 s"]\npromises = [ # "no"\n  "P95 < 100 ms (P1)",\n\n'
        '  \'Error rate < 0.1%\', # why\n  """P99\n < 1 s""", "The \\u0041PI is fast",\n]\n'
    )
    promise = read(path)
    assert (promise.id, promise.title, promise.folder) == ("headway.toml", "Shop", None)
    assert [(one.id, one.line, one.priority) for one in promise.criteria] == [
        ("AC-TOML-01", 4, "P1"),
        ("AC-TOML-02", 6, None),
        ("AC-TOML-03", 7, None),
        ("AC-TOML-04", 8, None),
    ]
    assert said(promise)[:3] == ["API response time P95 < 100 ms", "error rate < 0.1%", "API response time P99 < 1 s"]
    assert promise.criteria[3].not_understood


def test_promises_in_pyproject_stand_under_tool_headway(tmp_path: Path) -> None:
    """Another tool's list of the same name is not ours."""
    path = tmp_path / "pyproject.toml"
    path.write_text('[tool.other]\npromises = ["x"]\n[tool.headway]\npromises = ["P95 < 1 s"]\n')
    (one,) = read(path).criteria
    assert (one.line, said(read(path))) == (4, ["API response time P95 < 1 s"])


@pytest.mark.parametrize(
    ("name", "text", "named", "line"),
    [
        ("headway.toml", "promises = [\n", "no TOML", 1),
        ("headway.toml", "a = 1\nb = = 2\n", "no TOML", 2),
        ("headway.toml", "", "no promises", None),
        ("headway.toml", "promises = []\n", "no promises", 1),
        ("headway.toml", 'promises = "P95 < 1 s"\n', "no list", None),
        ("headway.toml", "a = 1\npromises = [1]\n", "no sentence", 2),
        ("pyproject.toml", 'promises = ["P95 < 1 s"]\n', "no promises", None),
        ("pyproject.toml", "tool = 1\n", "no promises", None),
        ("headway.toml", "a = " + "[" * 5000, "no TOML", None),
    ],
)
def test_broken_toml_is_one_error(tmp_path: Path, name: str, text: str, named: str, line: int | None) -> None:
    """No TOML, no list, no sentence: the file, the line, and what to write."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(BadInput, match=named) as caught:
        read(path)
    assert caught.value.file == path
    if line is not None:
        assert caught.value.line == line
