"""GL502: layers that a plain list or dictionary hides from the model."""

from collections.abc import Iterable

from gradlint.api import Cause, Claim, Finding, Remedy, Rule, RuleContext, Severity, Site, Stray
from gradlint_rules._usage import Containers
from gradlint_rules._wording import counted


class UnregisteredModule(Rule):
    """Layers in a plain Python list, tuple or dictionary: the forward pass uses them, but nothing ever trains them.

    ## What it does
    Looks for layers and parameters that stand in an ordinary container (`self.layers = [nn.Linear(…), …]`), that no
    module has registered, and that a gradient from the outputs reaches: they are meant to learn.

    ## Why is this bad?
    `nn.Module` only sees what is assigned to an attribute or held by `nn.ModuleList` and its kin. What a plain list
    holds is missing from `parameters()`, so the optimiser never changes it; from `state_dict()`, so a checkpoint
    loses it; and from `to("cuda")`, `train()` and `eval()`.

    ## Source
    PyTorch's documentation of `nn.ModuleList`; a frequent question on its forums.

    ## Known limits
    Left alone, because they are meant: what is registered elsewhere too, frozen layers, a single existing module that
    is wrapped to hide it (`self.teacher = [teacher]`), containers whose name says that they are copies, classes with
    a `parameters` of their own, containers whose parameters the file collects itself, and classes of libraries.

    ## Use instead
    `nn.ModuleList([…])`, `nn.ModuleDict({…})`; for bare parameters `nn.ParameterList` and `nn.ParameterDict`.

    ## Options
    None.
    """

    code = "GL502"
    name = "unregistered-module"
    summary = "Layers in a plain list or dictionary, which no optimiser sees"
    INVALID = (
        """
import torch
from torch import nn

class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(16, 16) for _ in range(3)]
        self.out = nn.Linear(16, 2)

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.out(x)
""",
    )
    VALID = (
        """
import torch
from torch import nn

class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(16, 16) for _ in range(3))
        self.out = nn.Linear(16, 2)

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.out(x)
""",
        """
import torch
from torch import nn

class Registered(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(16, 16) for _ in range(3)]
        for index, layer in enumerate(self.layers):
            self.add_module(f"layer{index}", layer)

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x
""",
    )

    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """One finding per container."""
        groups: dict[tuple[str, str], list[Stray]] = {}
        for stray in ctx.graph.strays:
            if stray.reached:
                groups.setdefault((stray.owner, stray.attribute), []).append(stray)
        containers = Containers(ctx) if groups else None
        for found in groups.values():
            assert containers is not None
            excuse = containers.excuse_for(found[0])
            if excuse:
                ctx.near_miss(f"{found[0].attribute} holds layers that are not registered, but {excuse}")
            else:
                yield self._finding(ctx, found, containers)

    def _finding(self, ctx: RuleContext, found: list[Stray], containers: Containers) -> Finding:
        first = found[0]
        what = "parameters" if all(stray.bare for stray in found) else "layers"
        instead = ("nn.Parameter" if what == "parameters" else "nn.Module") + (
            "Dict" if first.container == "dict" else "List"
        )
        elements = sum(stray.numel for stray in found)
        path = f"{first.owner}.{first.attribute}" if first.owner else first.attribute
        return Finding(
            code=self.code,
            name=self.name,
            severity=Severity.WARNING if ctx.parameters else Severity.ERROR,
            message=f"{path} is a plain {first.container}: its {what} are not registered, no optimiser trains them",
            sites=(Site(containers.place(first), f"{instead} registers what it holds"),),
            module=first.owner,
            cause=Cause.USAGE,
            predicted={
                "summary": f"{counted(len(found), 'tensor')} ({elements} weights) missing from model.parameters(), "
                "state_dict() and to(device)",
                "parameters": len(found),
                "elements": elements,
            },
            remedies=(Remedy(f"self.{first.attribute} = {instead}(…)", f"gives {elements} more weights that learn"),),
            claim=Claim(
                "unregistered",
                path,
                subjects=tuple(stray.name for stray in found),
                predicted=float(len(found)),
                threshold=1.0,
            ),
        )
