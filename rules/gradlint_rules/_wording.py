"""Plain words, numbers and places for findings."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from gradlint.api import Flow, Location, OpNode, Remedy, RuleContext, Site


def number(value: float | None) -> str:
    """A figure for people: 1.0, 0.25, 3.1e-13."""
    if value is None:
        return "unknown"
    if value == 0 or 1e-2 <= abs(value) < 1e4:
        return f"{value:.2g}" if abs(value) < 1 else f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"
    return f"{value:.1e}"


def decades(value: float, *, signed: bool = True) -> str:
    """ "−12.5 decades"."""
    return f"{signed_number(value) if signed else f'{abs(value):.1f}'} decades"


def left(value: float) -> str:
    """What a remedy leaves of the trouble, in decades: negative is a loss, positive a growth."""
    if abs(value) < 1.0:
        return "leaves a healthy gradient"
    return f"leaves a {'loss' if value < 0 else 'growth'} of {decades(value, signed=False)}"


def times(value: float) -> str:
    """So many decades as a factor in words: "600 times", "10^9 times"."""
    if value < 4:
        return f"{round(10**value, -max(0, int(value))):.0f} times"
    return f"10^{value:.0f} times"


def signed_number(value: float) -> str:
    """A number with its sign, as in print: −1.9, +3.0."""
    text = f"{value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def counted(number_of: int, noun: str) -> str:
    """ "1 layer", "20 layers"."""
    return f"{number_of} {noun}{'' if number_of == 1 else 's'}"


def place_of(ctx: RuleContext, node: OpNode) -> Location | None:
    """Where a node comes from: the constructor line of torch's own modules, the forward line of everything else."""
    module = ctx.modules.get(node.module)
    if module is not None and module.is_torch and node.module:
        return ctx.site(node.module)
    lines = [node.location, *node.frames]
    for line in lines:
        if line is not None and line.path == ctx.target.path:
            return line
    return ctx.site(node.module) or node.location


def primary(ctx: RuleContext, nodes: Iterable[str]) -> Location:
    """The line that most of the nodes come from, the earliest of equals."""
    places = [place for name in nodes for place in [place_of(ctx, ctx.graph.nodes[name])] if place is not None]
    if not places:
        return ctx.site("") or Location(ctx.target.path, max(1, ctx.target.line))
    counts = Counter((place.path, place.line) for place in places)
    best = max(counts.values())
    return next(place for place in places if counts[place.path, place.line] == best)


def sites_of(ctx: RuleContext, nodes: Sequence[str], label: str, *, used: str = "") -> tuple[Site, ...]:
    """The primary line with its label, then the line of the forward pass that runs it; of what another file defines the
    line there, so that whoever changes that file is shown it, and may silence it there.
    """
    first = primary(ctx, nodes)
    sites = [Site(first, label)]
    for name in nodes:
        if place_of(ctx, ctx.graph.nodes[name]) != first:
            continue
        frames = [frame for frame in ctx.graph.nodes[name].frames if frame.path == ctx.target.path]
        if frames and (frames[0].path, frames[0].line) != (first.path, first.line):
            sites.append(Site(frames[0], used))
        origin = ctx.origin(name)
        if origin is not None:
            sites.append(Site(origin))
        break
    return tuple(sites)


def gradient_at(flow: Flow, parameter: str) -> float:
    """Predicted gradient RMS of a parameter (0 where none arrives or none is known)."""
    found = flow.parameter_flows.get(parameter)
    return 0.0 if found is None or not found.gradient_rms else found.gradient_rms


def change(ctx: RuleContext, parameter: str, reference: str = "") -> float:
    """log10 of a parameter's gradient relative to the outputs', or to another parameter's (negative: attenuated)."""
    gradient = gradient_at(ctx.flow, parameter)
    beside = gradient_at(ctx.flow, reference) if reference else ctx.flow.output_gradient_rms
    return math.log10(gradient / beside) if gradient and beside else -math.inf


def gradient_summary(ctx: RuleContext, parameter: str, reference: str = "") -> str:
    """`gradient RMS 1.0 at head → 3.1e-13 at body.0.weight (−12.5 decades)`."""
    place = reference or ctx.graph.nodes[ctx.graph.outputs[0]].module or "the output"
    start = gradient_at(ctx.flow, reference) if reference else ctx.flow.output_gradient_rms
    end = gradient_at(ctx.flow, parameter)
    fall = decades(change(ctx, parameter, reference))
    return f"gradient RMS {number(start)} at {place} → {number(end)} at {parameter} ({fall})"


def ranked(remedies: Iterable[tuple[float, Remedy]], most: int = 3) -> tuple[Remedy, ...]:
    """The best remedies first; each comes with the decades that are left after it."""
    return tuple(remedy for _, remedy in sorted(remedies, key=lambda pair: pair[0])[:most])
