"""headway traces: how a service is told to send its traces to a run."""

from __future__ import annotations

from headway.cli import options
from headway.cli.options import Format

EXAMPLES = options.examples(
    "headway traces",
    'eval "$(headway traces)"',
    "headway traces --traces-at 4319 --format json",
)


def traces(
    *,
    traces_at: options.TracesAtOption = None,
    format: options.FormatOption = Format.TEXT,
    output: options.OutputOption = None,
) -> None:
    """Print the variables that make a service's OpenTelemetry SDK send its traces to 'headway run --traces'.

    Set them in the shell that starts the service. Nothing is started, changed or listened to.
    """
    import json

    from headway.conventions import trace_variables
    from headway.evidence.otlp import settings
    from headway.model import TraceIntake

    at = TraceIntake() if traces_at is None else settings.place(traces_at)
    endpoint = settings.url(at.host, at.port)
    if format is Format.JSON:
        options.deliver(json.dumps(trace_variables(endpoint), indent=2), output)
    else:
        options.deliver("\n".join(settings.lines(endpoint)), output)
