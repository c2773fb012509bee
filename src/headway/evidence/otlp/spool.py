"""
Rows of spans on disk while a run goes on, and as Parquet when it is over.

Arrow's stream format: what was written before its writer was killed can be read; of Parquet, whose index stands at the
end, nothing could.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from headway.evidence import bundle
from headway.evidence.span_columns import SPANS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROW_GROUP = 131_072
LEAST_FREE_BYTES = 256 << 20
"""Disk that is left free: the spool is written anew as Parquet, which takes less, before it is removed."""
SPOOL_FILE = ".spans.arrows"


class DiskFull(OSError):
    """There is no room for more spans."""


class Spool:
    """
    Rows appended to a file.

    Raises:
        OSError: it can't be opened.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._sink = file.open("wb", buffering=0)
        self._writer = pa.ipc.new_stream(self._sink, SPANS, options=pa.ipc.IpcWriteOptions(compression="lz4"))

    def write(self, batch: pa.RecordBatch) -> None:
        """
        Append rows.

        Raises:
            DiskFull: the disk is full, or nearly.
            OSError: it can't be written.
        """
        if self._file.is_file() and shutil.disk_usage(self._file).free < LEAST_FREE_BYTES + self._sink.tell():
            raise DiskFull("the disk is nearly full")
        self._writer.write_batch(batch)

    def close(self) -> None:
        """End the file."""
        try:
            self._writer.close()
        finally:
            self._sink.close()


def batches(file: Path) -> Iterator[pa.RecordBatch]:
    """The rows of a spool, as far as they were written whole; a torn end is left out."""
    with file.open("rb") as source:
        try:
            yield from pa.ipc.open_stream(source)
        except (pa.ArrowInvalid, OSError, EOFError):
            return


def to_parquet(spool: Path, file: Path) -> int:
    """
    Write a spool's rows as Parquet, whole or not at all; returns how many they are. Memory: one row group.

    Raises:
        HeadwayError: the file can't be written.
    """
    half = file.with_name(f".{file.name}.half")
    rows = 0
    try:
        with pq.ParquetWriter(half, SPANS, compression="zstd", compression_level=1) as writer:
            waiting: list[pa.RecordBatch] = []
            for batch in batches(spool):
                waiting.append(batch)
                rows += batch.num_rows
                if sum(each.num_rows for each in waiting) >= ROW_GROUP:
                    _put(writer, waiting)
                    waiting = []
            _put(writer, waiting)
        half.replace(file)
    except OSError as exc:
        half.unlink(missing_ok=True)
        raise bundle.unwritable(file, exc) from exc
    return rows


def _put(writer: pq.ParquetWriter, waiting: list[pa.RecordBatch]) -> None:
    if waiting:
        writer.write_table(pa.Table.from_batches(waiting).unify_dictionaries(), row_group_size=2 * ROW_GROUP)
