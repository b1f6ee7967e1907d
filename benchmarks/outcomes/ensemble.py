"""Many trainings of one architecture at a time: parameters stacked along a first dim, one forward pass for all.

Members differ in their initial weights, their data, their optimiser and its learning rate; nothing passes between them.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from outcomes.blueprints import Blueprint
from outcomes.networks import Recurrent, build

MOMENTUM = 0.9
BETAS = (0.9, 0.999)
EPSILON = 1e-8
Shapes = tuple[tuple[str, torch.Size], ...]


class Ensemble:
    """`rates[e]` and `is_adam[e]` tell how member e is trained, `clip[e]` its largest gradient norm (inf: none)."""

    def __init__(self, blueprint: Blueprint, seeds: Sequence[int], rates: Tensor, is_adam: Tensor, clip: Tensor):
        self.skeleton = build(blueprint, 0)
        self.shapes: Shapes = tuple((name, p.shape) for name, p in self.skeleton.named_parameters())
        drawn = {seed: _flat(build(blueprint, seed)) for seed in set(seeds)}
        self.weights = torch.stack([drawn[seed] for seed in seeds])  # [E, N]
        self.rates, self.is_adam, self.clip = rates[:, None], is_adam[:, None], clip[:, None]
        self.momentum = torch.zeros_like(self.weights)
        self.squares = torch.zeros_like(self.weights)
        self.largest = torch.zeros_like(self.rates)
        """[E, 1]: largest gradient norm met."""
        self.count = 0

    def keep(self, members: Tensor) -> None:
        """Go on with these members only. members: bool [E]."""
        for name in ("weights", "rates", "is_adam", "clip", "momentum", "squares", "largest"):
            setattr(self, name, getattr(self, name)[members])

    def step(self, x: Tensor, classes: Tensor) -> Tensor:
        """One update of each member; its loss before it. x: [E, B, …], classes: [E, B] → [E]."""
        flat = self.weights.requires_grad_()
        logits = forward(self.skeleton, _named(flat, self.shapes), x)
        losses = cross_entropy(logits.flatten(0, 1), classes.flatten(), reduction="none").view_as(classes).mean(1)
        (gradient,) = torch.autograd.grad(losses.sum(), flat)
        with torch.no_grad():
            self.weights = self._updated(flat.detach(), gradient)
        return losses.detach()

    def _updated(self, weights: Tensor, gradient: Tensor) -> Tensor:
        self.count += 1
        norm = gradient.norm(dim=1, keepdim=True)
        self.largest = torch.maximum(self.largest, norm)
        gradient = gradient * (self.clip / norm).clamp(max=1.0).nan_to_num(nan=1.0)
        if bool(self.is_adam.any()):
            self.squares.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
            root = (self.squares / (1 - BETAS[1] ** self.count)).sqrt_().add_(EPSILON)
            share = torch.where(self.is_adam, 1 - BETAS[0], 1.0)
            self.momentum.mul_(MOMENTUM).add_(share * gradient)
            lifted = self.momentum / (1 - BETAS[0] ** self.count) / root
            return weights - self.rates * torch.where(self.is_adam, lifted, self.momentum)
        self.momentum.mul_(MOMENTUM).add_(gradient)
        return weights - self.rates * self.momentum


def forward(skeleton: nn.Module, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """All members' outputs. Parameters: [E, …] each, x: [E, B, …] → [E, B, classes]."""
    if isinstance(skeleton, Recurrent):
        return _recurrence(skeleton, parameters, x)
    return torch.vmap(lambda own, inputs: functional_call(skeleton, own, (inputs,)))(dict(parameters), x)


def _flat(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def _named(flat: Tensor, shapes: Shapes) -> dict[str, Tensor]:
    parts = flat.split([shape.numel() for _, shape in shapes], dim=1)
    return {name: part.view(len(flat), *shape) for (name, shape), part in zip(shapes, parts, strict=True)}


def _recurrence(skeleton: Recurrent, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Fused recurrences have no batching rule: their cells step by step, for all members at once."""
    sequence = x.transpose(1, 2)  # [E, T, B, F]
    for layer in range(skeleton.cell.num_layers):
        w_in, w_state, b_in, b_state = (
            parameters[f"cell.{kind}_l{layer}"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        fed = sequence.flatten(1, 2) @ w_in.mT + b_in[:, None]
        fed = fed.view(*sequence.shape[:3], -1)
        state = torch.zeros(*fed.shape[:1], fed.shape[2], skeleton.cell.hidden_size)
        memory, states = state, []
        for step in fed.unbind(1):
            recurrent = torch.baddbmm(b_state[:, None], state, w_state.mT)
            state, memory = _cell(skeleton.cell.mode, step, recurrent, state, memory)
            states.append(state)
        sequence = torch.stack(states, 1)
    read = sequence[:, -1] if skeleton.last else sequence.mean(1)
    return torch.baddbmm(parameters["head.bias"][:, None], read, parameters["head.weight"].mT)


def _cell(mode: str, fed: Tensor, recurrent: Tensor, state: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """One step; PyTorch's order of gates."""
    if mode.startswith("RNN"):
        total = fed + recurrent
        return (total.tanh() if mode == "RNN_TANH" else total.relu()), memory
    if mode == "LSTM":
        i, f, g, o = (fed + recurrent).chunk(4, -1)
        memory = f.sigmoid() * memory + i.sigmoid() * g.tanh()
        return o.sigmoid() * memory.tanh(), memory
    (r_in, z_in, n_in), (r_state, z_state, n_state) = fed.chunk(3, -1), recurrent.chunk(3, -1)
    z = (z_in + z_state).sigmoid()
    new = (n_in + (r_in + r_state).sigmoid() * n_state).tanh()
    return (1 - z) * new + z * state, memory
