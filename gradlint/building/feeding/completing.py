"""Arguments of a forward that have None for a default, and that it cannot do without."""

import re
from collections.abc import Iterator
from dataclasses import replace

from torch import nn

from gradlint.building.failure import text_of
from gradlint.building.feeding.arguments import Proposal, for_argument
from gradlint.building.feeding.forward_source import Argument, optional_arguments
from gradlint.building.feeding.hints import Hints
from gradlint.building.feeding.leaves import entry_leaves
from gradlint.building.missed import missed
from gradlint.core.target import InputSpec

_NOTHING = re.compile(
    r"NoneType|must be Tensor, not|(?i:\bnone\b)|must be (?:set|given|provided|specified|passed)|requires|required"
    r"|missing"
)
_OPTIONAL = re.compile(r"Optional|None")
_MOST = 3


def completed(proposal: Proposal, error: BaseException, model: nn.Module, hints: Hints) -> Iterator[Proposal]:
    """The proposal with those arguments that the failure is about: by name, by the line that raised it, or because
    their annotation says that they are no option (`ids: Tensor = None`)."""
    text = text_of(error)
    if not _NOTHING.search(text):
        return
    given = {spec.name for spec in proposal}
    missing = [argument for argument in optional_arguments(model) if argument.name not in given]
    words = set(re.findall(r"\w+", text)) | set(missed(error))
    named = [argument for argument in missing if argument.name in words]
    drawn = [argument for argument in missing if _is_tensor(argument)]
    required = [argument for argument in drawn if _is_required(argument)]
    sets = (named, [a for a in missing if a in named or a in required], drawn[:1], drawn)
    for chosen in dict.fromkeys(tuple(chosen) for chosen in sets):
        if chosen:
            yield from _added(proposal, list(chosen), model, hints)


def joined(proposal: Proposal, width: int, model: nn.Module, hints: Hints) -> Iterator[Proposal]:
    """The proposal with an argument that it could do without, of a width that no other has: where a context is missing,
    attention takes the queries for one."""
    given = {spec.name for spec in proposal}
    missing = [argument for argument in optional_arguments(model) if argument.name not in given]
    for argument in [a for a in missing if _is_tensor(a) and "mask" not in a.name][:_MOST]:
        yield (*proposal, InputSpec((hints.batch, hints.time, width), name=argument.name))


def _is_tensor(argument: Argument) -> bool:
    annotation = argument.annotation
    return not annotation or "Tensor" in annotation


def _is_required(argument: Argument) -> bool:
    """Whether its annotation leaves no None; masks are left out all the same."""
    annotation = argument.annotation
    return bool(annotation) and not _OPTIONAL.search(annotation) and "mask" not in argument.name


def _added(proposal: Proposal, chosen: list[Argument], model: nn.Module, hints: Hints) -> Iterator[Proposal]:
    leaves = entry_leaves(model)
    lists = [_options(model, argument, leaves, hints) for argument in chosen]
    for choice in range(max(len(options) for options in lists)):
        specs = [options[min(choice, len(options) - 1)] for options in lists]
        yield (*proposal, *(replace(spec, name=argument.name) for spec, argument in zip(specs, chosen, strict=True)))


def _options(model: nn.Module, argument: Argument, leaves: list[nn.Module], hints: Hints) -> list[InputSpec]:
    """A few alternatives, None not among them: with None it failed."""
    options = for_argument(model, argument, 1, leaves, hints)
    return [spec for spec in options if spec.dtype != "literal" or spec.value is not None][:_MOST]
