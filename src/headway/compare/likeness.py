"""Whether two runs can be compared at all: the same traffic, the same load, the same generator, the same machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headway.gate.plan import load_words
from headway.thresholds import COMPARE_RATES_ALIKE_RATIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.compare.sample import Run
    from headway.model import Phase, Scenario

WORDS = {
    "routes": "the routes or their weights",
    "parameters": "the parameters' values",
    "journeys": "the journeys",
    "wire": "how requests travel (protocol, connections, redirects)",
    "hooks": "the commands before and after the load",
    "load": "the load",
}


def parts(scenario: Scenario, phases: tuple[Phase, ...], *, imported: bool = False) -> dict[str, str]:
    """
    What two runs must have in common, in parts, each as a digest.

    Names, seeds and the target's address are left out, and so is the length of a steady load: it may be longer. Another
    tool's results show neither weights nor what was asked for: of an imported run the routes and the model are alike.
    """
    if imported:
        return {
            "routes": digest(sorted(each.name for each in scenario.routes)),
            "load": digest([each.model.value for each in phases]),
        }
    wire = replace(scenario.wire, host=None, connect_to=None, unix_socket=None, ca_file=None, insecure=False)
    return {
        "routes": digest(_plain(scenario.routes)),
        "parameters": digest(_plain(sorted(scenario.parameters, key=lambda each: each.name))),
        "journeys": digest(_plain(scenario.journeys)),
        "wire": digest(_plain(wire)),
        "hooks": digest([scenario.setup, scenario.teardown]),
        "load": digest([[each.name, _plain(_load(each))] for each in phases]),
    }


def load_text(phase: Phase) -> str:
    """The load of a phase in words, with the length measured."""
    return f"{load_words(phase)}, {phase.duration_s:g} s"


def digest(content: object) -> str:
    """Sixteen hexadecimal digits that differ when the content does."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def not_comparable(a: Run, b: Run, *, same_runner: bool) -> tuple[str, ...]:
    """Every reason why differences between the two would say nothing, with the cure; empty: they can be compared."""
    found = [f"run {each.id} says nothing: {why}" for each in (a, b) for why in each.ailments[:1]]
    differing = [WORDS.get(name, name) for name in a.likeness if a.likeness[name] != b.likeness.get(name)]
    if differing:
        what = " and ".join(differing)
        if a.loads != b.loads:
            what += f" ({_loads(a)} against {_loads(b)})"
        found.append(f"the two runs were asked different things: {what}; run both with the same scenario and load")
    if a.tool != b.tool:
        found.append(
            f"{a.tool or 'Headway'} made one load and {b.tool or 'Headway'} the other, and their clocks count"
            " different things; make both with the same tool"
        )
    elif a.headway_version != b.headway_version:
        found.append(
            f"the loads were made by Headway {a.headway_version} and {b.headway_version}; make both with the same one"
        )
    found += _seen_rates(a, b)
    if a.machine != b.machine:
        found.append(f"the loads were made on different machines: {_machines(a, b)}; make both on one")
    elif same_runner and (why := _elsewhere(a, b)):
        found.append(f"--same-runner: {why}; run both on one machine, without a restart between")
    return tuple(found)


def warnings(a: Run, b: Run) -> tuple[str, ...]:
    """What keeps the comparison from being as good as it could be."""
    found = []
    if a.tool is not None:
        found.append(
            f"times are {a.tool}'s, from the actual send time: what a request waited before it was sent is on neither"
            " side; weights, parameters and the machine are not known to be the same"
        )
    why = _elsewhere(a, b)
    if why:
        found.append(
            f"{why}: a difference between machines is not excluded; compare on one machine, interleaved"
            " (headway compare --interleave), or say --same-runner to refuse this"
        )
    return tuple(found)


def _seen_rates(a: Run, b: Run) -> Iterator[str]:
    """Of imported runs, what was seen stands for what was asked for."""
    if a.tool is None or a.tool != b.tool:
        return
    for name in (each for each in a.samples if each in b.samples):
        one, two = (each.count.sum() / max(1, each.seconds) for each in (a.samples[name], b.samples[name]))
        if abs(one - two) > COMPARE_RATES_ALIKE_RATIO * max(one, two):
            yield f"{a.tool} made {one:,.1f} and {two:,.1f} req/s: the loads differ; make both at the same rate"


def _elsewhere(a: Run, b: Run) -> str:
    """Why it isn't certain that both were made on one machine since its last start; empty when it is."""
    one, two = a.machine, b.machine
    if one.boot is None or two.boot is None:
        return "nothing shows that both loads were made on the same machine"
    if one.boot == two.boot:
        return ""
    if one.id is not None and one.id == two.id:
        return "the machine was started anew between the two runs, or both are copies of one installation"
    return "the two loads were made on machines that are alike, and not the same one"


def _machines(a: Run, b: Run) -> str:
    one, two = a.machine, b.machine
    said = []
    for name in ("cpu_model", "cores", "memory_bytes", "kernel"):
        if getattr(one, name) != getattr(two, name):
            said.append(f"{name} {getattr(one, name)} and {getattr(two, name)}")
    return ", ".join(said)


def _loads(run: Run) -> str:
    return "; ".join(f"{phase}: {text}" for phase, text in run.loads.items()) or "no load"


def _load(phase: Phase) -> Phase:
    steady = not phase.stages and phase.replay is None and phase.iterations is None
    alike = replace(phase, name="", seed=0)
    return replace(alike, duration_s=0.0, warmup_s=0.0) if steady else alike


def _plain(value: Any) -> Any:
    """As JSON has it; a path by its last name, as a check-out may lie anywhere."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (tuple, list)) else value
