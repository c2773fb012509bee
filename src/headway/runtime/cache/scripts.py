"""The Lua scripts in lua/, sent by their digest, and whole when the server does not know them."""

from __future__ import annotations

import hashlib
from importlib import resources


class Script:
    """
    One script: `.name`, `.text`, and `.digest` as EVALSHA wants it.

    Args:
        name: its file's.
        before: the file of a function that it uses, and that is sent with it.
        package: where the files are.
    """

    def __init__(self, name: str, package: str = __package__, *, before: str | None = None) -> None:
        self.name = name
        files = resources.files(package).joinpath("lua")
        parts = (name,) if before is None else (before, name)
        self.text = "".join(files.joinpath(f"{each}.lua").read_text(encoding="utf-8") for each in parts)
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


ACQUIRE = Script("acquire", before="stamp_of")
STORE = Script("store", before="stamp_of")
PUT = Script("put", before="written")
SWAP = Script("swap", before="written")
INVALIDATE = Script("invalidate")
BAR = Script("bar")
SLIDE = Script("slide")
RELEASE = Script("release")
NOW = Script("now")
READ = Script("read")
