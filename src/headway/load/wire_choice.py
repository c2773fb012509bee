"""How a person wants requests to travel this time: it stands before what the scenario says."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from headway.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from headway.model import Wire

_NAME = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?")
_PLACE = re.compile(r"([A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\]):([0-9]{1,5})")


@dataclass(frozen=True, kw_only=True)
class WireChoice:
    """The fields of `Wire` that were asked for; None: as the scenario says."""

    http2: bool | None = None
    keep_alive: bool | None = None
    insecure: bool | None = None
    ca_file: Path | None = None
    host: str | None = None
    connect_to: str | None = None
    unix_socket: Path | None = None
    redirects: int | None = None
    details: bool | None = None

    def checked(self) -> WireChoice:
        """
        Itself, when it means something.

        Raises:
            BadInput: two flags contradict each other, or one has no form it could have.
        """
        if self.insecure and self.ca_file is not None:
            raise BadInput("--insecure stands beside --ca", next_act="say one of them")
        if self.connect_to is not None and self.unix_socket is not None:
            raise BadInput("--connect-to stands beside --unix-socket", next_act="say one of them")
        if self.host is not None and not _NAME.fullmatch(self.host):
            raise BadInput(f"--host {self.host!r} is no host's name", next_act="say, for example, --host shop.example")
        place = _PLACE.fullmatch(self.connect_to or "")
        if self.connect_to is not None and (place is None or not 0 < int(place[2]) < 65536):
            raise BadInput(
                f"--connect-to {self.connect_to!r} is not ADDRESS:PORT",
                next_act="say, for example, --connect-to 127.0.0.1:8443",
            )
        return self

    def over(self, wire: Wire) -> Wire:
        """The wire with these choices made; what they contradict gives way."""
        said = {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}
        for one, other in (("insecure", "ca_file"), ("connect_to", "unix_socket")):
            if said.get(one):
                said.setdefault(other, None)
            if said.get(other):
                said.setdefault(one, False if one == "insecure" else None)
        return replace(wire, **said)
