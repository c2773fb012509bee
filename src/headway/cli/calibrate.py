"""headway calibrate: what this machine's generator can reach."""

from __future__ import annotations

from typing import Annotated

import typer

from headway.cli import options
from headway.cli.options import Format

EXAMPLES = options.examples("headway calibrate", "headway calibrate --show --format json")


def calibrate(
    *,
    show: Annotated[bool, typer.Option("--show", help="Show what is known of this machine; measure nothing.")] = False,
    format: options.FormatOption = Format.TEXT,
    output: options.OutputOption = None,
) -> None:
    """Measure the generator of this machine against a server that does nothing, and keep it for later runs.

    Takes about 5 seconds: the highest rate of one worker and of several, and the latency that is the generator's own.
    """
    from headway.load import calibration

    found = calibration.shown() if show else calibration.renewed()
    options.deliver(calibration.as_json(found) if format is Format.JSON else calibration.as_text(found), output)
