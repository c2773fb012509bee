"""A log that is read while others write it: lines as they come, over rotations, in bounded memory."""

from __future__ import annotations

import os
import re
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

CHUNK_BYTES = 1 << 20


class Turned(Enum):
    """What happened to the file between two readings."""

    NOT = "not"
    ROTATED = "rotated"
    CUT = "cut"


class Following:
    """
    The lines that are added to a file from now on.

    A file that is replaced under its name is followed, its old end first; one that is cut short is read from its start.
    With `by_name` so is the next of a row whose names differ in their digits only, as PostgreSQL's logger makes them.
    """

    def __init__(self, file: Path, *, line_max_bytes: int, by_name: bool = False) -> None:
        """
        Raises:
            OSError: it cannot be read.
        """
        self.file = file
        self._line_max_bytes = line_max_bytes
        self._by_name = by_name
        self._stream: BinaryIO = file.open("rb")
        self._stream.seek(0, os.SEEK_END)
        self._rest = b""
        self._skipping = False  # inside a line that is too long
        self.turned = Turned.NOT

    def close(self) -> None:
        """Let go of the file."""
        self._stream.close()

    def lines(self) -> Iterator[bytes | None]:
        """What was added since, whole lines without their end; None for one that is too long."""
        yield from self._drain()
        try:
            there = self.file.stat()
        except FileNotFoundError:
            return  # between the two steps of a rotation
        own = os.fstat(self._stream.fileno())
        if (there.st_dev, there.st_ino) != (own.st_dev, own.st_ino):
            yield from self._drain()  # what came between the reading and the renaming
            self._open(self.file, Turned.ROTATED)
            yield from self._drain()
        elif there.st_size < self._stream.tell():
            self._open(self.file, Turned.CUT)
            yield from self._drain()
        for later in self._later() if self._by_name else ():
            yield from self._drain()
            self.file = later
            self._open(later, Turned.ROTATED)
            yield from self._drain()

    def _open(self, file: Path, turned: Turned) -> None:
        stream = file.open("rb")
        self._stream.close()
        self._stream, self._rest, self._skipping, self.turned = stream, b"", False, turned

    def _later(self) -> list[Path]:
        """Files of the same row that were begun after this one, in order."""
        alike = re.compile(re.sub(r"\d+", r"\\d+", re.escape(self.file.name)))
        try:
            own = self.file.stat().st_mtime_ns
            found = [
                (each.stat().st_mtime_ns, each)
                for each in self.file.parent.iterdir()
                if each.name > self.file.name and alike.fullmatch(each.name)
            ]
        except FileNotFoundError:
            return []  # a rotation is under way: at the next reading
        return [each for written, each in sorted(found) if written >= own]

    def _drain(self) -> Iterator[bytes | None]:
        while chunk := self._stream.read(CHUNK_BYTES):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                if self._skipping:
                    self._skipping = False  # the end of the long one, which has been told
                else:
                    yield line
            if len(self._rest) > self._line_max_bytes:
                if not self._skipping:
                    yield None
                self._rest, self._skipping = b"", True
