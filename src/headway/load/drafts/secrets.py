"""What must not get from a recording into a file that is committed: names of secrets, and what stands in for them."""

from __future__ import annotations

import re
from functools import lru_cache

_SECRET = re.compile(
    r"(?:^|[_.-])(?:pass(?:word|wd)?|pwd|secret|token|jwt|auth|authorization|credentials?|session(?:_?id)?|sid|sig|signature"
    r"|api_?key|access_?key|private_?key|otp|csrf|xsrf|code_?verifier)(?:$|[_.-])|(?:token|secret|password|apikey|signature)$",
    re.IGNORECASE,
)


@lru_cache(maxsize=4096)
def is_secret(name: str) -> bool:
    """Whether a query parameter, field, header or cookie of this name holds a secret, by its name."""
    return _SECRET.search(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)) is not None


def variable(name: str) -> str:
    """The environment variable that stands in for it: `X-Api-Key` -> `X_API_KEY`."""
    found = re.sub(r"\W+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name), flags=re.ASCII).strip("_").upper()
    return found if found and not found[0].isdigit() else f"V_{found}"


def placeholder(name: str) -> str:
    """What is written instead: `${X_API_KEY}`, read from the environment when the load is made."""
    return "${" + variable(name) + "}"
