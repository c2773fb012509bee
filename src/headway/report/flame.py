"""
A profile as a flame graph: HTML alone, no script, no network; callers above what they call, as wide as their time.

Its cells are one group of radio buttons: a click or the arrow keys choose one, and what it is stands below the graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from markupsafe import Markup

from headway.diagnose import profiled, profiled_routes
from headway.evidence.stacks import CPU, WALL
from headway.report.visible import one_line
from headway.report.words import seconds_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from headway.diagnose.profiled import Function
    from headway.evidence.stacks import Profile, Samples
    from headway.model import Evidence

ROW_PX = 18
NARROWEST_RATIO = 0.004
"""Of the whole: narrower cells are left out; the graph says how much that is."""
MOST_CELLS = 1_500
MOST_DEEP = 120
WATCHER_STACKS = 3
MOST_FUNCTIONS = 15
MOST_ROUTES = 10
MOST_OF_ROUTE = 3


@dataclass(kw_only=True)
class Node:
    """One function called by those above it. Seconds with all it calls; `self_s` without."""

    function: Function = ("", "all")
    own: bool = False
    seconds: float = 0.0
    self_s: float = 0.0
    below: dict[Function, Node] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell as it is drawn: left and width are ratios of the whole."""

    node: Node
    left: float
    width: float
    depth: int


def tree(profile: Profile, stacks: Iterable[tuple[float, Sequence[int]]]) -> Node:
    """All stacks laid over each other; the lines of one function are one."""
    root = Node()
    for seconds, stack in stacks:
        root.seconds += seconds
        node = root
        for index in stack[:MOST_DEEP]:
            frame = profile.frames[index]
            key = profiled.function_of(frame)
            if key not in node.below:
                node.below[key] = Node(function=key, own=frame.own)
            node = node.below[key]
            node.seconds += seconds
        node.self_s += seconds
    return root


def without_prologue(root: Node) -> tuple[Node, int]:
    """From where the stacks part, or the service's own code begins; and how many frames all of them share before."""
    skipped = 0
    node = root
    while len(node.below) == 1:
        (only,) = node.below.values()
        if (only.own and only.function[1] != "<module>") or only.seconds < root.seconds or not only.below:
            break
        node, skipped = only, skipped + 1
    shared = Node(seconds=root.seconds, self_s=node.self_s, below=node.below)
    return (shared, skipped) if skipped else (root, 0)


def cells(root: Node) -> list[Cell]:
    """What is drawn, from the outermost inwards and left to right; without the narrow and, of too many, the deepest."""
    found: list[Cell] = []
    work = [Cell(node=root, left=0.0, width=1.0, depth=0)]
    while work:
        cell = work.pop()
        found.append(cell)
        left = cell.left
        inner: list[Cell] = []
        for node in sorted(cell.node.below.values(), key=lambda each: each.function):
            width = node.seconds / root.seconds if root.seconds else 0.0
            if width >= NARROWEST_RATIO:
                inner.append(Cell(node=node, left=left, width=width, depth=cell.depth + 1))
            left += width
        work += reversed(inner)
    if len(found) > MOST_CELLS:
        kept = {id(cell) for cell in sorted(found, key=lambda cell: (cell.depth, -cell.width))[:MOST_CELLS]}
        found = [cell for cell in found if id(cell) in kept]
    return found


def draw(profile: Profile, threads: Sequence[Samples], *, title: str, caption: str, name: str) -> Markup:
    """
    One flame graph.

    Args:
        profile: whose frames.
        threads: what is drawn.
        title, caption: said above it.
        name: unlike any other graph's on the page: letters, digits and hyphens.
    """
    root, skipped = without_prologue(tree(profile, _stacks(profile, threads)))
    if skipped:
        caption = f"{caption} The {skipped} outermost frames, the same in all, are left out."
    shown = cells(root)
    deepest = max(cell.depth for cell in shown)
    parts = [
        Markup('<figure class="flame"><figcaption><h4>{}</h4><p class="soft">{}</p></figcaption>').format(
            one_line(title), one_line(caption)
        ),
        Markup('<div class="flames" role="radiogroup" aria-label="{}" style="height:{}px">').format(
            one_line(f"{title}: choose a function with the arrow keys"), (deepest + 1) * ROW_PX
        ),
        *(_cell(cell, root, name, number) for number, cell in enumerate(shown)),
        Markup("</div></figure>"),
    ]
    return Markup().join(parts)


def _stacks(profile: Profile, threads: Sequence[Samples]) -> Iterable[tuple[float, Sequence[int]]]:
    for each in threads:
        for seconds, stack in zip(each.seconds, each.stacks, strict=True):
            if not stack or (each.clock == WALL and profiled.in_callback(profile, stack) == ()):
                continue  # an event loop that waits for work is not what anybody waited for
            yield seconds, stack


def _cell(cell: Cell, root: Node, name: str, number: int) -> Markup:
    node = cell.node
    file, function = node.function
    words = one_line(
        f"{function}{f' ({file})' if file else ''}: {cell.width:.1%}, {seconds_text(node.seconds)},"
        f" itself {node.self_s / root.seconds if root.seconds else 0:.1%}"
    )
    return Markup(
        '<input type="radio" name="{n}" id="{n}-{i}" aria-label="{w}"{c}>'
        '<label for="{n}-{i}" class="{k}" title="{w}" style="left:{left}%;width:{width}%;top:{top}px">{short}</label>'
        '<p class="tip">{w}</p>'
    ).format(
        n=name, i=number, w=words, c=Markup(" checked") if number == 0 else "", k="own" if node.own else "lib",
        left=f"{cell.left * 100:.3f}", width=f"{cell.width * 100:.3f}", top=cell.depth * ROW_PX,
        short=one_line(function, 60) if cell.width > 0.02 else "",
    )  # fmt: skip


def section(evidence: Evidence) -> Markup | None:
    """
    What the report says of the run's profile: flame graphs by process, the hottest functions, the routes; None without.

    Raises:
        BundleDamaged: the profile cannot be read.
    """
    profile = profiled.load(evidence.folder)
    if profile is None:
        return None
    parts = [_said(profile)]
    graphs = [
        (process, clock)
        for process in dict.fromkeys(each.process for each in profile.threads)
        for clock in (CPU, WALL)
        if any(each.process == process and _works(each) for each in profile.of(clock))
    ]
    for number, (process, clock) in enumerate(graphs, start=1):
        threads = [each for each in profile.of(clock) if each.process == process and _works(each)]
        words = _CLOCKS[clock]
        drawn = draw(
            profile, threads, title=f"{process}: {words[0]}", name=f"flame-{number}",
            caption=f"{words[1]} {len({each.pid for each in threads})} process(es), {len(threads)} thread(s).",
        )  # fmt: skip
        parts.append(Markup('<div class="panel">{}</div>').format(drawn))
        if clock == CPU:
            parts.append(_functions(profile, threads))
    parts.append(_routes(evidence, profile))
    return Markup().join(parts)


def _works(samples: Samples) -> bool:
    """Whether a thread does anything: one that only waits in one place would be half a graph of nothing."""
    return (samples.clock == CPU and any(samples.stacks)) or len(set(samples.stacks)) > WATCHER_STACKS


_FUNCTION = Markup('<tr><td class="n">{}</td><td class="n">{}</td><td class="text">{}</td><td class="w">{}</td></tr>')
_CLOCKS = {
    CPU: ("processor time", "What ran. The service's own code is in the stronger colour."),
    WALL: ("wall time", "What threads were in the middle of, running or waiting; event loops that wait are left out."),
}


def _said(profile: Profile) -> Markup:
    rates = ", ".join(
        f"{rate} a second on the {_CLOCKS[clock][0]} clock" for clock, rate in profile.rates_per_s.items()
    )
    words = [
        f"Stacks were taken {rates}, without stopping the service.",
        f"{profile.torn:,} were torn and left out." if profile.torn else "",
        *profile.notes,
        "The file opens in speedscope as well.",
    ]
    return Markup('<p class="soft">{}</p>').format(one_line(" ".join(each for each in words if each)))


def _functions(profile: Profile, threads: Sequence[Samples]) -> Markup:
    whole = sum(each.whole_s for each in threads)
    rows = [
        _FUNCTION.format(
            f"{each.self_s / whole:.1%}", f"{each.total_s / whole:.1%}",
            one_line(f"{each.function[0]}:{each.hottest_line} in {each.function[1]}"), "own" if each.own else "library",
        )
        for each in profiled.functions(profile, threads)[:MOST_FUNCTIONS]
        if whole
    ]  # fmt: skip
    return _table("Functions by processor time", ("Self", "Total", "Function, with its hottest line", "Code"), rows)


def _routes(evidence: Evidence, profile: Profile) -> Markup:
    told = profiled_routes.told(evidence, profile)
    if not told.route_of:
        return Markup('<p class="absent">{}</p>').format(
            "Functions by route: it could not be told which route a stack was for (no traces, or too much at once)."
        )
    by_route: dict[str, list[tuple[float, Sequence[int]]]] = {}
    for seconds, stack in ((s, k) for each in profile.of(CPU) for s, k in zip(each.seconds, each.stacks, strict=True)):
        route = told.of(profile, stack[profiled.after_loop(profile, stack) or 0 :])
        if route is not None:
            by_route.setdefault(route, []).append((seconds, stack))
    rows = []
    for route in sorted(by_route, key=lambda each: -sum(s for s, _ in by_route[each]))[:MOST_ROUTES]:
        spent: dict[str, float] = {}
        for each_s, frames in by_route[route]:
            index = profiled.innermost_own(profile, frames)
            place = "library code" if index is None else f"{profile.frames[index].file} in {profile.frames[index].name}"
            spent[place] = spent.get(place, 0.0) + each_s
        whole = sum(spent.values())
        top = sorted(spent.items(), key=lambda each: -each[1])[:MOST_OF_ROUTE]
        rows.append(
            Markup('<tr><td class="text">{}</td><td class="n">{}</td><td class="text">{}</td></tr>').format(
                one_line(route), seconds_text(whole), one_line("; ".join(f"{n} {s / whole:.0%}" for n, s in top))
            )
        )
    caption = f"{told.coverage_ratio:.0%} of the time of the service's own code could be given to a route."
    table = _table("Processor time by route", ("Route", "Processor time", "Of it"), rows)
    return Markup('<p class="soft">{}</p>').format(caption) + table


def _table(label: str, heads: Sequence[str], rows: Sequence[Markup]) -> Markup:
    head = Markup().join(Markup("<th>{}</th>").format(each) for each in heads)
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{}"><table><thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(label, head, Markup().join(rows))
