"""Times as people write them: "30s", "1m30s", "500ms"."""

from __future__ import annotations

import re

_UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = r"(\d+(?:\.\d+)?)(ms|s|m|h)"


def seconds_of(text: str) -> float | None:
    """Seconds; None when the text is no such time."""
    if not re.fullmatch(f"(?:{_PART})+", text):
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in re.findall(_PART, text))
