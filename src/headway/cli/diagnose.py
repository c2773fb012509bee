"""headway diagnose: what costs the promise its budget, where, and what would mend it."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from headway.cli import options
from headway.cli.options import HERE
from headway.errors import BadInput
from headway.model import ExitCode

EXAMPLES = options.examples(
    "headway diagnose",
    "headway diagnose --format html -o findings.html",
    "headway diagnose latest~1 --format sarif -o headway.sarif",
    "headway diagnose --accept 3 --reason 'read once a month'",
    "headway diagnose --why-not 'FROM posts WHERE user_id'",
)


class Form(StrEnum):
    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    HTML = "html"


def diagnose(
    run: options.RunArgument = None,
    why_not: Annotated[
        str | None,
        typer.Option("--why-not", metavar="STATEMENT", help="Why nothing is said of it: its id, or words of its text."),
    ] = None,
    accept: Annotated[
        str | None, typer.Option("--accept", metavar="FINDING", help="Silence it: its number or fingerprint.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why it is accepted.")] = "",
    fail_on: Annotated[
        float | None,
        typer.Option(
            "--fail-on",
            min=0,
            max=1,
            metavar="RATIO",
            help="Exit 3 when one not accepted ranks this high.",
        ),
    ] = None,
    root: options.RootOption = HERE,
    format: Annotated[Form, typer.Option("--format", help="How to print the result.")] = Form.TEXT,
    output: options.OutputOption = None,
) -> None:
    """Rank what a run found by what it costs; nothing is loaded and no server is asked.

    Findings are no failures: the exit code is 0 unless --fail-on says otherwise.
    """
    from headway import diagnosing
    from headway.diagnose import accepted
    from headway.prove import record
    from headway.report import advice, advice_page, sarif

    found = diagnosing.diagnosis(root, run)
    if why_not is not None:
        statement, reasons = diagnosing.silence_of(found, why_not)
        options.deliver(advice.reasons_text(reasons, statement.text), output)
        return
    if accept is not None:
        new = accepted.accept(root, found.chosen(accept).finding, reason)
        typer.echo(f"accepted: {new.fingerprint} ({new.rule}): {new.reason}", err=True)
        return
    if reason:
        raise BadInput("--reason goes with --accept", next_act="say which finding: --accept 3")
    if format is Form.SARIF:
        text = sarif.render(found.ranked, found.evidence)
    elif format is Form.HTML:
        folder = found.evidence.folder
        both = record.read(folder), record.predictions(folder)
        text = advice_page.page(found.ranked, found.evidence, found.stale, *both)
    elif format is Form.JSON:
        text = advice.as_json(found.ranked, found.evidence, found.stale)
    else:
        text = advice.as_text(found.ranked, found.evidence, found.stale, None if output else sys.stdout)
    options.deliver(text, output)
    if fail_on is not None and found.worst() >= fail_on:
        raise typer.Exit(int(ExitCode.BROKEN))
