"""
What can go wrong, by what the user can do about it.

HeadwayError                 Headway itself failed                              exit 1
├── BadInput                 mend the named line of the named file, or the flag exit 2
│   └── SourceRefused        mend the URL or the credentials of a source        exit 2
├── LabFailed                mend the machine: disk, port, permission, binary   exit 1
├── RunInvalid               the run says nothing: mend the generator or target exit 5
│   ├── TargetUnreachable    start the target or mend the URL                   exit 5
│   └── EmptyPhase           no samples: run longer or lower the warm-up        exit 5
└── BundleDamaged            a run folder cannot be read; name it               exit 1

A failed request is not an error: it is data (`model.FailureKind`).
"""

from __future__ import annotations

from pathlib import Path

from headway.model import ExitCode


class HeadwayError(Exception):
    """
    Something failed. The message says what failed, on what, and the next act.

    Args:
        what: what failed and on what, one line, no trailing full stop needed.
        next_act: what the user can do now, one line.
        file: the file to mend, when there is one.
        line: its line, counted from 1.
        column: the character in that line, counted from 1, where it is known.
    """

    exit_code = ExitCode.FAILED

    def __init__(
        self,
        what: str,
        *,
        next_act: str,
        file: Path | str | None = None,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.next_act = next_act
        self.file = file
        self.line = line
        self.column = column

    def __str__(self) -> str:
        where = [str(each) for each in (self.file, self.line, self.column) if each is not None] if self.file else []
        return " ".join([*([":".join(where) + ":"] if where else []), f"{self.what}; {self.next_act}"])


class BadInput(HeadwayError):
    """A file, a flag or a URL that cannot be understood."""

    exit_code = ExitCode.USAGE


class SourceRefused(BadInput):
    """A source of evidence that was named, and that refused: wrong password, wrong database, wrong port."""


class LabFailed(HeadwayError):
    """The embedded lab could not do what was asked."""


class RunInvalid(HeadwayError):
    """The run cannot be judged."""

    exit_code = ExitCode.INVALID


class TargetUnreachable(RunInvalid):
    """Nothing that speaks HTTP answers at the target's address."""


class EmptyPhase(RunInvalid):
    """A phase left no samples."""


class BundleDamaged(HeadwayError):
    """A run folder lacks a file or holds one that cannot be read."""
