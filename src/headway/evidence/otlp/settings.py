"""How a service is told to send its traces here, and where that is."""

from __future__ import annotations

import socket

from headway.conventions import trace_variables
from headway.errors import BadInput
from headway.model import TraceIntake

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 the names of what is only done when told


def lines(endpoint: str) -> list[str]:
    """To be pasted into the shell that starts the service."""
    return [
        *(f"export {name}={value}" for name, value in trace_variables(endpoint).items()),
        "export OTEL_SERVICE_NAME=${OTEL_SERVICE_NAME:-my-service}",
        "# then start the service, of Python for example with: opentelemetry-instrument <your command>",
    ]


def url(host: str, port: int) -> str:
    """The address senders use."""
    host = socket.gethostname() if host in EVERYWHERE else host
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def place(text: str) -> TraceIntake:
    """
    "4318", "0.0.0.0:4318" or "[::1]:4318".

    Raises:
        BadInput: it is none of these.
    """
    host, colon, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65_535 or (colon and not host):
        raise BadInput(f"--traces-at {text!r} is not [HOST:]PORT", next_act="say, for example, --traces-at 4319")
    return TraceIntake(host=host.strip("[]") or TraceIntake.host, port=int(port))
