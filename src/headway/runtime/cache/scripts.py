"""The Lua scripts in lua/, sent by their digest, and whole when the server does not know them."""

from __future__ import annotations

import hashlib
from importlib import resources


class Script:
    """
    One script: `.name`, `.text`, and `.digest` as EVALSHA wants it.

    Args:
        name: its file's.
        *before: the files of functions that it uses, and that are sent with it.
        package: where the files are.
    """

    def __init__(self, name: str, *before: str, package: str = __package__) -> None:
        self.name = name
        files = resources.files(package).joinpath("lua")
        parts = (*before, name)
        self.text = "".join(files.joinpath(f"{each}.lua").read_text(encoding="utf-8") for each in parts)
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


ACQUIRE = Script("acquire", "stamp_of")
STORE = Script("store", "stamp_of")
PUT = Script("put", "written")
SWAP = Script("swap", "stamp_of", "written")
INVALIDATE = Script("invalidate")
BAR = Script("bar")
SLIDE = Script("slide")
RELEASE = Script("release")
NOW = Script("now")
READ = Script("read")
