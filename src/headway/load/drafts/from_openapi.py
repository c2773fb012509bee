"""An OpenAPI document to a first scenario: what may be asked. How often, and with which keys, it cannot say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from headway.errors import BadInput
from headway.load.drafts import figures
from headway.load.drafts.draft import ORDINARY_RATE_PER_S, WRITES, Draft, several
from headway.load.drafts.openapi_routes import Maker, operations
from headway.model import Arrivals, LoadModel, Phase, Scenario

if TYPE_CHECKING:
    from headway.load.drafts.openapi_document import Document
    from headway.load.drafts.openapi_routes import Made

_WATCHING = re.compile(r"/(?:health[a-z]*|ready[a-z]*|live[a-z]*|metrics|ping|status|version|favicon\.ico)/?")


def draft(document: Document, *, name: str | None, writes: bool) -> Draft:
    """
    Make the draft: every GET with weight 1; what writes as comments, or with `writes` with weight 1 too.

    Raises:
        BadInput: no operation that could be asked.
    """
    maker = Maker(document)
    made = [maker.route(each) for each in operations(document)]
    awake = [
        each for each in made
        if each.cannot is None and (writes or each.route.method not in WRITES)
        and not _WATCHING.fullmatch(each.route.path)
    ]  # fmt: skip
    if not awake:
        raise BadInput(
            f"has no operation to ask: {several(len(made), 'operation')}, none of them a GET",
            next_act="say --writes if the load may write",
            file=document.source,
        )
    asleep = [each for each in made if each not in awake]
    parameters = {known.name: known for each in awake for known in each.parameters.values()}
    sleeping = {
        known.name: known for each in asleep for known in each.parameters.values() if known.name not in parameters
    }
    remarks = {part: words for each in made for part, words in each.remarks.items()}
    remarks["load"] = ("The document does not say how much is asked: this rate is where to begin.",)
    for each in asleep:
        remarks[each.route.name] = (*remarks.get(each.route.name, ()), *([each.cannot] if each.cannot else []))
    rate = figures.rate_words(ORDINARY_RATE_PER_S)
    return Draft(
        scenario=Scenario(
            name=name or document.title,
            file=None,
            routes=tuple(each.route for each in awake),
            parameters=tuple(parameters.values()),
            default_phase=Phase(
                name="scenario",
                model=LoadModel.OPEN,
                arrivals=Arrivals.POISSON,
                rate_per_s=ORDINARY_RATE_PER_S,
                duration_s=30.0,
                warmup_s=5.0,
            ),
        ),
        found=f"{document.source}, OpenAPI {document.tree['openapi']}, {several(len(made), 'operation')}",
        notes=_notes(document, awake, asleep, maker, writes=writes),
        remarks=remarks,
        asleep=tuple(each.route for each in asleep),
        asleep_parameters=tuple(sleeping.values()),
        proposals=figures.begin(ORDINARY_RATE_PER_S, f"So is {rate}: the document has no figures."),
        target_url=document.base[0],
    )


def _notes(document: Document, awake: list[Made], asleep: list[Made], maker: Maker, *, writes: bool) -> tuple[str, ...]:
    notes = ["The document does not say which routes are asked more: each has weight 1. An access log knows the mix."]
    sleeping = [each.route.name for each in asleep if each.route.method in WRITES and each.cannot is None]
    if sleeping and not writes:
        notes.append(
            f"{several(len(sleeping), 'operation')} that write are in the file as comments, and not asked: "
            f"{', '.join(sleeping[:6])}{' ...' if len(sleeping) > 6 else ''}. --writes includes them."
        )
    if writes and any(each.route.method in WRITES for each in awake):
        notes.append("The load writes and deletes (--writes): aim it at data that may be lost.")
    for each in asleep:
        if each.cannot is not None:
            notes.append(f"{each.route.name} is not asked: {each.cannot}")
        elif each.route.method not in WRITES:
            notes.append(f"{each.route.name} is a comment: it is for machines that watch.")
    if maker.guessed:
        count = len(maker.guessed)
        notes.append(
            f"{'1 value is a guess' if count == 1 else f'{count} values are guesses'}, marked GUESS in the file: "
            f"{', '.join(maker.guessed[:8])}{' ...' if count > 8 else ''}. Answers of 404 to a guess say nothing of "
            "the service."
        )
    if maker.secrets:
        notes.append(f"Set in the environment before the run: {', '.join(sorted(maker.secrets))}.")
    servers = document.tree.get("servers")
    if isinstance(servers, list) and len(servers) > 1:
        notes.append(f"The document names {len(servers)} servers; paths are those of the first.")
    return tuple(notes)
