"""headway demo: the whole story on the embedded lab."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from headway.cli import options
from headway.cli.options import DEFAULT_STATE, HERE, Format

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

EXAMPLES = options.examples(
    "headway demo",
    "headway demo --scale 0.1 --duration 10 --keep",
    "headway demo --growth",
    "headway demo --growth --stage 3 --stage 4 --minutes 4 --format json",
)


def demo(
    scale: Annotated[float, typer.Option("--scale", min=0.001, help="1.0 is 200,000 users and 1,000,000 posts.")] = 1.0,
    duration: options.DurationOption = None,
    root: options.RootOption = HERE,
    state: options.StateOption = DEFAULT_STATE,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the lab running at the end.")] = False,
    growth: Annotated[
        bool, typer.Option("--growth", help="Instead: what each stage withstands, measured beside the story's figures.")
    ] = False,
    stage: Annotated[
        list[int] | None,
        typer.Option("--stage", min=1, max=4, help="With --growth: this stage alone; may be repeated."),
    ] = None,
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.1, help="With --growth: the most load for a search.")
    ] = 8.0,
    start: Annotated[
        float | None,
        typer.Option("--from", min=1, help="With --growth: the first rate to try, per second; default: the stage's."),
    ] = None,
    most: Annotated[
        float, typer.Option("--to", min=1, help="With --growth: the highest rate to try, requests per second.")
    ] = 30_000.0,
    format: options.FormatOption = Format.TEXT,
    output: options.OutputOption = None,
) -> None:
    """Start the lab, judge the slow shop, switch on what the shop can do better, judge again, show both.

    With --growth: find for each stage of the shop the highest rate at which the promise holds; about half an hour.
    """
    if growth:
        _grow(stage or (), 60 * minutes, (start, most), duration, root, state, scale, keep, format, output)
        return
    from headway import story

    told = story.tell(root=root, state=state, scale=scale, duration_s=duration, keep=keep)
    options.deliver(told.text, output)
    for name, path in told.reports:
        typer.echo(f"{name}: {path}")


def _grow(
    stages: Sequence[int], allowed_s: float, between_per_s: tuple[float | None, float], duration_s: float | None,
    root: Path, state: Path, scale: float, keep: bool, format: Format, output: Path | None,
) -> None:  # fmt: skip
    from headway import growth, growth_table, story

    steps = [each for each in growth.STEPS if not stages or each.stage in stages]
    effort = growth.Effort(allowed_s=allowed_s, start_per_s=between_per_s[0], most_per_s=between_per_s[1])
    if duration_s is not None:
        effort = replace(effort, duration_s=duration_s)
    longest_s = len(steps) * allowed_s
    story.say(f"at most {longest_s / 60:,.3g} minutes of load, and as long again where the promise holds at no rate")
    grown = growth.measure(
        root=root, state=state, scale=scale, steps=steps, effort=effort, keep=keep, say=story.say
    )  # fmt: skip
    options.deliver(growth_table.as_json(grown) if format is Format.JSON else growth_table.as_text(grown), output)
