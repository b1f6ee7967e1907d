"""GL507: one layer, several times, where several layers were meant."""

from collections import Counter
from collections.abc import Iterable

from gradlint.api import Claim, Finding, Location, ModuleInfo, Remedy, Rule, RuleContext, Severity, Site
from gradlint_rules._wording import counted

_DECLARED = ("shared", "share", "tied", "tie", "universal", "albert", "recurrent", "recursive")
_ACTIVATIONS = frozenset({"PReLU", "RReLU"})


class SharedInstance(Rule):
    """The same layer object stands several times in a list of layers, as `[layer] * n` makes it.

    ## What it does
    Looks for a module with parameters that is registered under several names of one container (`blocks.0`,
    `blocks.1`, …) and called once for each.

    ## Why is this bad?
    `[layer] * 6` makes a list of six references to one layer. The model has a sixth of the parameters that it seems
    to have, all six positions learn the same function, and the gradients of all six are added up in one set of
    weights.

    ## Source
    A frequent question on PyTorch's forums; Python's FAQ, "How do I create a multidimensional list?".

    ## Known limits
    Sharing on purpose is left alone where it is visible: modules without parameters, one attribute called in a loop
    (ALBERT, recurrence), a tower called twice (siamese nets), and containers or variables whose name says so.

    ## Use instead
    `[make_layer() for _ in range(6)]`, which makes six layers. Where sharing is meant: keep one attribute and call
    it in a loop.

    ## Options
    None.
    """

    code = "GL507"
    name = "shared-instance"
    summary = "One layer object where several layers were meant"
    INVALID = (
        """
import torch
from torch import nn

class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(16, 16)] * 4)

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x
""",
    )
    VALID = (
        """
import torch
from torch import nn

class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        act = nn.ReLU()
        self.layers = nn.Sequential(nn.Linear(16, 16), act, nn.Linear(16, 16), act)

    def forward(self, x):
        return self.layers(x)
""",
        """
import torch
from torch import nn

class Looped(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 16)

    def forward(self, x):
        for _ in range(4):
            x = torch.relu(self.layer(x))
        return x
""",
    )

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """One finding per shared instance (not again for its parts)."""
        calls = Counter(call.module for call in ctx.graph.calls)
        for path, info in ctx.modules.items():
            names = (path, *info.aliases)
            container = path.rpartition(".")[0]
            twins = [
                name for name in names if name.rpartition(".")[0] == container and name.rpartition(".")[2].isdigit()
            ]
            if len(twins) < 2 or calls[path] < 2 or info.class_name in _ACTIVATIONS:
                continue
            parameters = _parameters(ctx, path)
            if not parameters:
                continue
            if _declared(ctx, info, container):
                ctx.near_miss(
                    f"{path} is shared by {counted(len(twins), 'position')}, but its name says that it is meant"
                )
                continue
            yield self._finding(ctx, info, twins, parameters)

    def _finding(self, ctx: RuleContext, info: ModuleInfo, twins: list[str], parameters: list[str]) -> Finding:
        place = ctx.site(info.path) or Location(ctx.target.path, max(1, ctx.target.line))
        size = sum(ctx.parameters[name].numel for name in parameters)
        count = len(twins)
        return Finding(
            code=self.code,
            name=self.name,
            severity=Severity.WARNING,
            message=f"{twins[0]} … {twins[-1]} are one and the same {info.class_name}, {count} times",
            sites=(Site(place, f"built once, registered {count} times"),),
            module=info.path,
            predicted={
                "summary": f"{size} weights where {count * size} were meant; the gradients of {count} positions add up",
                "instances": count,
                "elements": size,
            },
            remedies=(
                Remedy(f"[{info.class_name}(…) for _ in range({count})]", f"gives {count * size} weights of their own"),
            ),
            attributed=tuple(
                n.name for n in ctx.graph.nodes.values() if n.op == "parameter" and n.target in parameters
            ),
            claim=Claim("shared-instance", info.path, subjects=tuple(twins), predicted=float(count), threshold=2.0),
        )


def _parameters(ctx: RuleContext, path: str) -> list[str]:
    """Parameters of a module and everything in it."""
    return [name for name, p in ctx.parameters.items() if p.module == path or p.module.startswith(f"{path}.")]


def _declared(ctx: RuleContext, info: ModuleInfo, container: str) -> bool:
    words = f"{container} {info.class_name}".lower()
    return any(word in words for word in _DECLARED)
