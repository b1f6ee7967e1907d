"""Arguments of a forward that have None for a default, and that it cannot do without."""

import linecache
import re
from collections.abc import Iterator
from dataclasses import replace

from torch import nn

from gradlint.building.failure import is_foreign, text_of
from gradlint.building.feeding.arguments import Proposal, for_argument
from gradlint.building.feeding.forward_source import Argument, optional_arguments
from gradlint.building.feeding.hints import Hints
from gradlint.building.feeding.leaves import entry_leaves

_NOTHING = re.compile(r"NoneType|must be Tensor, not|\bNone\b|must be (?:set|given|provided|specified|passed)|requires")
_MOST = 3


def completed(proposal: Proposal, error: BaseException, model: nn.Module, hints: Hints) -> Iterator[Proposal]:
    """The proposal with those arguments that the failure is about, by name or by the line that raised it."""
    text = text_of(error)
    if not _NOTHING.search(text):
        return
    given = {spec.name for spec in proposal}
    missing = [argument for argument in optional_arguments(model) if argument.name not in given]
    words = set(re.findall(r"\w+", f"{text} {_line_of(error)}"))
    named = [argument for argument in missing if argument.name in words]
    drawn = [argument for argument in missing if _is_tensor(argument)]
    for chosen in (named, drawn[:1], drawn):
        if chosen:
            yield from _added(proposal, chosen, model, hints)


def _line_of(error: BaseException) -> str:
    """The line of the model's own forward that did not get what it needs."""
    tb = error.__traceback__
    while tb is not None:
        code = tb.tb_frame.f_code
        if code.co_name == "forward" and not is_foreign(code.co_filename):
            return linecache.getline(code.co_filename, tb.tb_lineno)
        tb = tb.tb_next
    return ""


def _is_tensor(argument: Argument) -> bool:
    annotation = argument.annotation
    return not annotation or "Tensor" in annotation


def _added(proposal: Proposal, chosen: list[Argument], model: nn.Module, hints: Hints) -> Iterator[Proposal]:
    leaves = entry_leaves(model)
    lists = [for_argument(model, argument, 1, leaves, hints)[:_MOST] for argument in chosen]
    for choice in range(_MOST):
        specs = [options[min(choice, len(options) - 1)] for options in lists]
        yield (*proposal, *(replace(spec, name=argument.name) for spec, argument in zip(specs, chosen, strict=True)))
