"""Rule files are read, and each error has its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from headway.errors import BadInput
from headway.evidence import rulefiles

GOOD = """\
groups:
  - name: shop
    rules:
      - record: job:errors:rate5m
        expr: sum(rate(http_errors_total[5m]))
      - alert: Errors
        expr: job:errors:rate5m > 1
        for: 5m
        labels: {severity: page}
      - alert: Down
        expr: up == 0
  - name: empty
    rules:
"""


def test_alerts_and_recorded_names_are_read(tmp_path: Path) -> None:
    """Alerts with their expressions, recording rules by name; an empty group and an empty file are no error."""
    file = tmp_path / "rules.yml"
    file.write_text(GOOD)
    rules = rulefiles.read(file)
    assert rules.alerts == (("Errors", "job:errors:rate5m > 1"), ("Down", "up == 0"))
    assert rules.records == {"job:errors:rate5m"}
    file.write_text("# nothing\n")
    assert rulefiles.read(file) == rulefiles.Rules()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("groups:\n  - name: a\n   rules: x\n", 3, "YAML"),
        ("rules: []\n", 1, "groups is missing"),
        ("groups:\n- name: a\n", 2, "rules is missing"),
        ("groups:\n- rules:\n  - expr: up\n", 3, "alert or record"),
        ("groups:\n- rules:\n  - alert: A\n    record: B\n    expr: up\n", 3, "alert or record"),
        ("groups:\n- rules:\n  - alert: A\n", 3, "needs expr"),
        ("groups:\n- rules:\n  - alert: A\n    expr:\n", 4, "expr must be text"),
        ("groups:\n- rules:\n  - alert: A\n    expr: rate(a[5m]\n", 4, "never closed"),
        ("groups: text\n", 1, "groups must be a list"),
        ("- 1\n", 1, "names with values"),
        ("a: &a [*a]\n", 1, "groups is missing"),
        ("a: !!python/object/apply:os.system [x]\n", 1, "groups is missing"),
        ("a: \t- x\n", 1, "YAML"),
    ],
)
def test_each_error_has_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    """File, line, what is wrong."""
    file = tmp_path / "rules.yml"
    file.write_text(text)
    with pytest.raises(BadInput, match=words) as caught:
        rulefiles.read(file)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"{file}:{line}:")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"groups: \x00", b"{" * 5000, b"["])
def test_hostile_bytes_are_one_error(tmp_path: Path, content: bytes) -> None:
    """Not text, not YAML, nested without end: BadInput, nothing else."""
    file = tmp_path / "rules.yml"
    file.write_bytes(content)
    with pytest.raises(BadInput):
        rulefiles.read(file)
