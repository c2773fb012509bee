"""The reference is what the docstrings say, and a public name without one is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import reference

if TYPE_CHECKING:
    from pathlib import Path


def test_a_page_that_is_not_what_the_docstrings_say_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it is written it passes; one letter changed, or the page gone, it does not."""
    page = tmp_path / "reference.md"
    monkeypatch.setattr(reference, "PAGE", page)
    monkeypatch.setattr(reference, "MODULES", ("headway.runtime.edge",))
    monkeypatch.setattr("sys.argv", ["reference.py"])
    assert reference.main() == 1
    monkeypatch.setattr("sys.argv", ["reference.py", "--write"])
    assert reference.main() == 0
    monkeypatch.setattr("sys.argv", ["reference.py"])
    assert reference.main() == 0
    page.write_text(page.read_text().replace("browser", "Browser", 1))
    assert reference.main() == 1
    assert "--write" in capsys.readouterr().out


def test_a_public_name_that_says_nothing_is_refused() -> None:
    """A function without a docstring, and a class that has only its base's."""

    def silent() -> None:
        pass

    class Heir(reference.Undocumented):
        pass

    for each in (silent, Heir):
        with pytest.raises(reference.Undocumented, match="has no docstring"):
            list(reference.entry("it", each))
