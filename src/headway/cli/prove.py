"""headway prove: remedies with a measured before and after."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headway.cli import options
from headway.cli.options import DEFAULT_STATE, HERE, Format
from headway.model import ExitCode, Sources

if TYPE_CHECKING:
    from headway.prove.room import Wish

EXAMPLES = options.examples(
    "headway prove",
    "headway prove latest --lab --copy backup",
    "headway prove latest 1 3 --staging-url postgresql://me@staging/shop --budget 120",
    "headway prove latest missing-index --database-url postgresql://me@db/shop --copy backup --apply",
    "headway prove --ledger",
)

NO_PLACE = (
    "nothing was tried. To try it on a copy of the database: --copy backup, or --copy template when nobody else is in"
    " it; on one that may be changed at will: --staging-url URL. Nothing changes on the real system without --apply."
)


FindingsArgument = Annotated[
    list[str] | None, typer.Argument(help="Findings: numbers as ranked, fingerprints, rules; default: all.")
]
ApplyOption = Annotated[
    bool, typer.Option("--apply", help="Put in place on the real system what proved worth it, where Headway can.")
]
StagingUrlOption = Annotated[
    str | None,
    typer.Option("--staging-url", envvar="HEADWAY_STAGING_URL", help="PostgreSQL that may be changed at will."),
]
CopyOption = Annotated[
    str | None,
    typer.Option("--copy", metavar="backup|template", help="Copy the database: pg_basebackup, or on its server."),
]
ServiceCommandOption = Annotated[
    str | None,
    typer.Option(
        "--service-command",
        help="Starts your service on {port} with {database_url}, so that its endpoints are measured too.",
    ),
]
BudgetOption = Annotated[float, typer.Option("--budget", min=5, help="Seconds one proof may take, about.")]
WorkOption = Annotated[Path | None, typer.Option("--work", file_okay=False, help="Folder for a copy's files.")]
LedgerOption = Annotated[bool, typer.Option("--ledger", help="Show how estimates compare with what was measured.")]


def prove(
    run: options.RunArgument = None,
    findings: FindingsArgument = None,
    apply: ApplyOption = False,
    staging_url: StagingUrlOption = None,
    copy: CopyOption = None,
    service_command: ServiceCommandOption = None,
    budget: BudgetOption = 60.0,
    work: WorkOption = None,
    ledger: LedgerOption = False,
    lab: options.LabOption = False,
    against: options.AgainstOption = None,
    database_url: options.DatabaseOption = None,
    cache_url: options.CacheOption = None,
    root: options.RootOption = HERE,
    state: options.StateOption = DEFAULT_STATE,
    format: options.FormatOption = Format.TEXT,
    output: options.OutputOption = None,
) -> None:
    """Try the remedies of a run's findings on a copy, and say what each is worth and what it costs.

    Without a place to try them on, prints what it would try. Exit codes: 0 each was proven, worth it or not; 1 Headway
    failed; 2 usage; 4 something could not be proven.
    """
    from headway import proving
    from headway.prove.clone import ROOM
    from headway.prove.room import Wish
    from headway.prove.service import command
    from headway.report import proofs as shown

    if ledger:
        rows = proving.ledger_rows(root)
        options.deliver(shown.ledger_json(rows) if format is Format.JSON else shown.ledger_text(rows), output)
        return
    wish = Wish(
        budget_s=budget, apply=apply, staging_url=staging_url, copy=proving.copy_by(copy), fast=lab,
        folder=work or ROOM, service=None if service_command is None else command(service_command),
    )  # fmt: skip
    sources = _lab_sources(state) if lab else Sources(target_url=against or "")
    named = Sources(
        target_url=against or sources.target_url, database_url=database_url or sources.database_url,
        cache_url=cache_url or sources.cache_url,
    )  # fmt: skip
    if lab and wish.service is None:
        wish = _with_the_shop(wish, state)
    told = proving.prove(root, run, findings or (), named, wish, say=_say)
    if told.tried:
        both = told.proofs, told.predictions
        text = shown.as_json(*both) if format is Format.JSON else shown.as_text(*both)
    else:
        text = shown.tasks_json(told.todo) if format is Format.JSON else shown.tasks_text(told.todo, NO_PLACE)
    options.deliver(text, output)
    raise typer.Exit(int(ExitCode.INCONCLUSIVE if told.unproven else ExitCode.KEPT))


def _lab_sources(state: Path) -> Sources:
    from headway.lab import Lab
    from headway.lab import sources as lab_sources

    return lab_sources(Lab(state).status())


def _with_the_shop(wish: Wish, state: Path) -> Wish:
    from headway import proving
    from headway.lab import Lab, shop, stages

    status = Lab(state).status()
    settings = {name: value for name, value in status.settings.items() if name != stages.TRACES_SETTING}
    words, environment, folder = shop.command(shop.shop_folder(), port="{port}", room=state, settings=settings)
    # Against the copy alone: without the lab's cache, edge and replica, which hold answers of the real database.
    alone = {"SHOP_DATABASE_URL": "{database_url}", "SHOP_CACHE": "", "SHOP_REPLICA_URL": "", "SHOP_EDGE_TTL_S": "0"}
    return proving.with_service(wish, words=words, environment={**environment, **alone}, folder=folder)


def _say(text: str) -> None:
    print(f"headway: {text}", file=sys.stderr, flush=True)
