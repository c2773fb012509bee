"""headway demo: the whole story on the embedded lab."""

from __future__ import annotations

from typing import Annotated

import typer

from headway.cli import options
from headway.cli.options import DEFAULT_STATE, HERE

EXAMPLES = options.examples(
    "headway demo",
    "headway demo --scale 0.1 --duration 10 --keep",
)


def demo(
    scale: Annotated[float, typer.Option("--scale", min=0.001, help="1.0 is 200,000 users and 1,000,000 posts.")] = 1.0,
    duration: options.DurationOption = None,
    root: options.RootOption = HERE,
    state: options.StateOption = DEFAULT_STATE,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the lab running at the end.")] = False,
    output: options.OutputOption = None,
) -> None:
    """Start the lab, judge the slow shop, switch on what the shop can do better, judge again, show both."""
    from headway import story

    told = story.tell(root=root, state=state, scale=scale, duration_s=duration, keep=keep)
    options.deliver(told.text, output)
    for name, path in told.reports:
        typer.echo(f"{name}: {path}")
