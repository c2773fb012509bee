"""
The generator's process on a machine of the cluster: `python -m headway.load.cluster.generator FD`.

A process of its own, not a thread of the Dask worker: that one's loop and lock must not come between a request and its
time. It gets its assignment through the pipe whose descriptor it is given, and then is the worker any other is.
"""

from __future__ import annotations

import os
import sys
import tempfile
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

from headway.load import worker
from headway.load.cluster.parcel import unpacked


def main() -> None:
    """The process."""
    pipe: Pipe = Pipe(int(sys.argv[1]))
    try:
        assignment, files = pipe.recv()
    except (EOFError, OSError):
        os._exit(0)  # nobody wants it any more
    with tempfile.TemporaryDirectory(prefix="headway-") as folder:
        worker.main(pipe, unpacked(assignment, files, Path(folder)))


if __name__ == "__main__":
    main()
