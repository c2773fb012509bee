"""The [http] table of a scenario: how requests travel."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from headway.load.places import key_at
from headway.model import Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headway.load.sheet import Sheet

TRUTHS = ("http2", "keep_alive", "insecure", "details")
FILES = ("ca_file", "unix_socket")
NUMBERS = {"streams": 1, "redirects": 0, "max_body_bytes": 1, "max_head_bytes": 1}
HTTP_KEYS = (*TRUTHS, *FILES, "host", "connect_to", *NUMBERS)
MOST_REDIRECTS = 50


def wire(sheet: Sheet, tables: Mapping[str, Any]) -> Wire:
    """
    The [http] table; files are relative to the scenario.

    Raises:
        BadInput: a key or a value means nothing, or two contradict each other; with the line.
    """
    table = sheet.table(tables, "http", example="[http]")
    sheet.known(table, HTTP_KEYS, "[http]")
    usual = Wire()
    said: dict[str, Any] = {key: sheet.truth(table, key, default=getattr(usual, key)) for key in TRUTHS}
    for key in FILES:
        file = sheet.text(table, key)
        said[key] = None if file is None else sheet.file.parent / file
    for key, least in NUMBERS.items():
        said[key] = sheet.whole(table, key, getattr(usual, key), least=least)
    if said["redirects"] > MOST_REDIRECTS:
        raise sheet.wrong(table, "redirects", f"is more than {MOST_REDIRECTS}", next_act="say 5")
    said["host"] = _matching(sheet, table, "host", r"[A-Za-z0-9._:\[\]-]+", "say a name, as in https://name/")
    said["connect_to"] = _matching(
        sheet, table, "connect_to", r"([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}", 'say "127.0.0.1:8000"'
    )
    for one, other in (("insecure", "ca_file"), ("connect_to", "unix_socket")):
        if said[one] and said[other]:
            raise sheet.refuse(f"{one} stands beside {other}", next_act="say one of them", at=key_at(table, one))
    return Wire(**said)


def _matching(sheet: Sheet, table: Mapping[str, Any], key: str, form: str, act: str) -> str | None:
    value = sheet.text(table, key)
    if value is not None and not re.fullmatch(form, value):
        raise sheet.wrong(table, key, "has not the form it must have", next_act=act)
    return value
