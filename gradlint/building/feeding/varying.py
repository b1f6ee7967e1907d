"""Other alternatives for the arguments that a failure is about."""

import re
from collections.abc import Iterator
from dataclasses import replace

from torch import nn

from gradlint.building.feeding.arguments import Proposal, for_argument
from gradlint.building.feeding.forward_source import forward_tree, optional_arguments, required_arguments
from gradlint.building.feeding.hints import Hints
from gradlint.building.feeding.leaves import entry_leaves
from gradlint.building.missed import involved

_DIMENSIONS = re.compile(
    r"Expected (\d)-D tensors, but got (\d)-D for tensor|same number of dimensions: got (\d) and (\d)"
)
_MOST = 4


def varied(proposal: Proposal, error: BaseException, text: str, model: nn.Module, hints: Hints) -> Iterator[Proposal]:
    """The proposal with one argument in another way, for each argument that the failing expression was computed from.

    Args:
        proposal: what the forward was given.
        error: what it raised.
        text: what that says.
        model: whose forward it is.
        hints: sizes.
    """
    required = required_arguments(model)
    arguments = [*required, *optional_arguments(model)]
    places = {argument.name: at for at, argument in enumerate(required)}
    names = involved(error, forward_tree(model), {argument.name for argument in arguments})
    leaves = entry_leaves(model)
    match = _DIMENSIONS.search(text)
    ranks = {int(part) for part in match.groups() if part is not None} if match is not None else set()
    for name in names:
        at = next((i for i, spec in enumerate(proposal) if spec.name == name), places.get(name))
        if at is None or at >= len(proposal) or proposal[at].name not in ("", name):
            continue
        now = proposal[at]
        argument = next(argument for argument in arguments if argument.name == name)
        options = for_argument(model, argument, places.get(name, 1), leaves, hints)
        if len(ranks) > 1:  # two tensors that differ in their number of dimensions: first what changes that
            options = [spec for spec in options if len(spec.shape) in ranks - {len(now.shape)}] or options
        for spec in options[:_MOST]:
            yield (*proposal[:at], replace(spec, name=now.name), *proposal[at + 1 :])
    yield from _without(proposal, names, {argument.name for argument in required})


def _without(proposal: Proposal, names: list[str], required: set[str]) -> Iterator[Proposal]:
    """The proposal without one of the arguments that it could do without: a model built otherwise may have a use for
    them (`if guidance is not None: x = self.guidance(guidance)`)."""
    for at, spec in enumerate(proposal):
        if spec.name in names and spec.name not in required:
            yield (*proposal[:at], *proposal[at + 1 :])
