"""
How a service is told to send its traces here: variables that every OpenTelemetry SDK reads.

Source: opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables.
"""

from __future__ import annotations

import socket

from headway.errors import BadInput
from headway.model import TraceIntake

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 the names of what is only done when told
EXPORT_EVERY_MS = 1_000
QUEUE_SPANS = 20_000
POOLS_EVERY_MS = 5_000


def variables(endpoint: str) -> dict[str, str]:
    """Names and values; `endpoint` is "http://127.0.0.1:4318"."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_TRACES_SAMPLER": "always_on",
        # Spans of a run's end come soon, and a burst of spans finds room: what finds none is lost in the SDK, unseen.
        "OTEL_BSP_SCHEDULE_DELAY": str(EXPORT_EVERY_MS),
        "OTEL_BSP_MAX_QUEUE_SIZE": str(QUEUE_SPANS),
        "OTEL_METRIC_EXPORT_INTERVAL": str(POOLS_EVERY_MS),
    }


def lines(endpoint: str) -> list[str]:
    """To be pasted into the shell that starts the service."""
    return [
        *(f"export {name}={value}" for name, value in variables(endpoint).items()),
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
