"""The command line: mounts one file a command, and turns errors into one line and an exit code."""

from __future__ import annotations

import sys

import typer

from headway import __version__
from headway.cli import (
    breakpoint,
    calibrate,
    compare,
    demo,
    diagnose,
    export,
    importing,
    init,
    lab,
    prove,
    run,
    scale,
    traces,
    validate,
)
from headway.errors import HeadwayError
from headway.model import ExitCode

app = typer.Typer(
    name="headway",
    help="Makes a web service keep its performance promises: loads it, judges it, says what breaks it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(lab.app, name="lab")
app.add_typer(export.app, name="export")
app.add_typer(importing.app, name="import")
app.command("calibrate", epilog=calibrate.EXAMPLES)(calibrate.calibrate)
app.command("demo", epilog=demo.EXAMPLES)(demo.demo)
app.command("compare", epilog=compare.EXAMPLES)(compare.compare)
app.command("diagnose", epilog=diagnose.EXAMPLES)(diagnose.diagnose)
app.command("init", epilog=init.EXAMPLES)(init.init)
app.command("breakpoint", epilog=breakpoint.EXAMPLES)(breakpoint.breakpoint)
app.command("prove", epilog=prove.EXAMPLES)(prove.prove)
app.command("run", epilog=run.EXAMPLES)(run.run)
app.command("scale", epilog=scale.EXAMPLES)(scale.scale)
app.command("traces", epilog=traces.EXAMPLES)(traces.traces)
app.command("validate", epilog=validate.EXAMPLES)(validate.validate)


def show_version(asked: bool) -> None:
    """Print the version and leave."""
    if asked:
        typer.echo(f"headway {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=show_version, is_eager=True),
) -> None:
    """Options that come before the command."""


def main() -> None:
    """Run the command line. Exit codes: see `headway.model.ExitCode` and docs/exit-codes in docs/gate.md."""
    try:
        app()
    except HeadwayError as error:
        print(f"headway: {error}", file=sys.stderr)
        sys.exit(int(error.exit_code))
    except KeyboardInterrupt:
        print("headway: stopped", file=sys.stderr)
        sys.exit(int(ExitCode.INVALID))
    except BrokenPipeError:
        # The reader of our stdout went away: nobody is left to tell.
        sys.stderr.close()
        sys.exit(int(ExitCode.FAILED))
