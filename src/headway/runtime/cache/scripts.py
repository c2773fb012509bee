"""The Lua scripts in lua/, sent by their digest, and whole when the server does not know them."""

from __future__ import annotations

import hashlib
from importlib import resources


class Script:
    """One script: `.name`, `.text`, and `.digest` as EVALSHA wants it."""

    def __init__(self, name: str, package: str = __package__) -> None:
        self.name = name
        self.text = resources.files(package).joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


ACQUIRE = Script("acquire")
STORE = Script("store")
PUT = Script("put")
SWAP = Script("swap")
INVALIDATE = Script("invalidate")
BAR = Script("bar")
SLIDE = Script("slide")
RELEASE = Script("release")
NOW = Script("now")
READ = Script("read")
