"""headway lab: the embedded services, by stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headway.cli import options
from headway.cli.options import DEFAULT_STATE, Format
from headway.errors import BadInput

if TYPE_CHECKING:
    from headway.lab import LabStatus

EXAMPLES = options.examples(
    "headway lab up --stage 1 --scale 0.1",
    "headway lab status --format json",
    "headway lab up --stage 4 --set SHOP_POOL=20 --balance round_robin",
    "headway lab logs app-1",
    "headway lab down",
)

app = typer.Typer(
    help="Start, show and stop the embedded lab: PostgreSQL, Valkey, nginx and the reference shop.",
    no_args_is_help=True,
    epilog=EXAMPLES,
    rich_markup_mode=None,
)

StageOption = Annotated[
    int | None, typer.Option("--stage", help="1 slow, 2 pool, 3 caches and edge, 4 indexes, statements, replica.")
]
ScaleOption = Annotated[float | None, typer.Option("--scale", help="1.0 is 200,000 users and 1,000,000 posts.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="SHOP_X=VALUE", help="Override a setting; may be repeated.")
]
UseDatabaseOption = Annotated[
    str | None, typer.Option("--database-url", help="Use that PostgreSQL instead of the lab's own; never stopped.")
]
UseCacheOption = Annotated[
    str | None, typer.Option("--cache-url", help="Use that Redis or Valkey instead of the lab's own; never stopped.")
]


@app.command(
    epilog=options.examples("headway lab up --stage 1 --scale 0.1", "headway lab up --stage 4 --set SHOP_POOL=20")
)
def up(
    stage: StageOption = None,
    scale: ScaleOption = None,
    no_data: Annotated[bool, typer.Option("--no-data", help="Leave the database as it is.")] = False,
    set_: SetOption = None,
    database_url: UseDatabaseOption = None,
    cache_url: UseCacheOption = None,
    balance: Annotated[
        str, typer.Option("--balance", help="From stage 3 on: least_conn, ip_hash or round_robin.")
    ] = "least_conn",
    tell_edge: Annotated[
        bool, typer.Option("--tell-edge", help="The edge keeps single users and products too, and is told of updates.")
    ] = False,
    app_servers: Annotated[
        int | None, typer.Option("--app-servers", min=1, help="How many, from stage 3 on; default: the stage's, 3.")
    ] = None,
    shop: Annotated[Path | None, typer.Option("--shop", help="The reference shop's folder.")] = None,
    state: options.StateOption = DEFAULT_STATE,
    format: options.FormatOption = Format.TEXT,
    output: options.OutputOption = None,
) -> None:
    """Bring the lab to a stage: start what is missing, keep what is right, stop the rest. Run it as often as you like.

    Without --stage and --scale the lab keeps those it has; a new one starts with stage 1 and scale 1.
    """
    from headway.lab import Balance, Lab
    from headway.lab.stages import overrides

    if balance not in list(Balance):
        raise BadInput(f"--balance {balance!r} is no way to balance", next_act=f"choose from {', '.join(Balance)}")
    status = Lab(state).up(
        stage, scale, data=not no_data, settings=overrides(set_ or ()), database_url=database_url, cache_url=cache_url,
        shop_dir=shop, balance=Balance(balance), tell_edge=tell_edge,
        app_servers=app_servers,
    )  # fmt: skip
    _deliver(status, format, output)


@app.command(
    epilog=options.examples("headway lab status", 'eval "$(headway lab status)"', "headway lab status --format json")
)
def status(
    state: options.StateOption = DEFAULT_STATE,
    format: options.FormatOption = Format.TEXT,
    output: options.OutputOption = None,
) -> None:
    """Show what runs and where, as lines to paste into a shell, or as JSON."""
    from headway.lab import Lab

    _deliver(Lab(state).status(), format, output)


@app.command(epilog=options.examples("headway lab logs", "headway lab logs postgres --lines 100"))
def logs(
    name: Annotated[str | None, typer.Argument(help="A service, or 'data' or 'indexes'; default: all.")] = None,
    lines: Annotated[int, typer.Option("--lines", min=1, help="Last lines of each.")] = 20,
    state: options.StateOption = DEFAULT_STATE,
    format: options.FormatOption = Format.TEXT,
    output: options.OutputOption = None,
) -> None:
    """Show the last lines of the services' logs."""
    import json

    from headway.lab import Lab

    found = Lab(state).logs(name, lines=lines)
    if format is Format.JSON:
        options.deliver(json.dumps(found, indent=2), output)
    else:
        options.deliver("\n".join(f"==> {each} <==\n{text}" for each, text in found.items()), output)


@app.command(epilog=options.examples("headway lab down", "headway lab down --purge"))
def down(
    purge: Annotated[bool, typer.Option("--purge", help="Remove the data and the state folder as well.")] = False,
    state: options.StateOption = DEFAULT_STATE,
    format: options.FormatOption = Format.TEXT,
    output: options.OutputOption = None,
) -> None:
    """Stop everything the lab started. The loaded data stays for the next 'up', unless --purge."""
    from headway.lab import Lab

    _deliver(Lab(state).down(purge=purge), format, output)


def _deliver(status: LabStatus, format: Format, output: Path | None) -> None:
    options.deliver(status.as_json() if format is Format.JSON else status.as_text(), output)
