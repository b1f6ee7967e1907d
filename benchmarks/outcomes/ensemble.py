"""Many trainings of one architecture at a time: parameters stacked along a first dim, one forward pass for all.

Members differ in their initial weights, their data, their optimiser and its learning rate; nothing passes between them.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import batch_norm, cross_entropy, layer_norm, rms_norm

from outcomes.blueprints import Blueprint
from outcomes.networks import Recurrent, Stack, build

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
        self.rates, self.is_adam, self.clip = rates, is_adam, clip[:, None]
        self.momentum = torch.zeros_like(self.weights)
        self.squares = torch.zeros_like(self.weights)
        self.largest = torch.zeros_like(self.clip)
        """[E, 1]: largest gradient norm met."""
        self.count = 0

    def keep(self, members: Tensor) -> None:
        """Go on with these members only. members: bool [E]."""
        for name in ("weights", "rates", "is_adam", "clip", "momentum", "squares", "largest"):
            setattr(self, name, getattr(self, name)[members])

    def step(self, x: Tensor, classes: Tensor) -> Tensor:
        """One update of each member; its loss before it. x: [E, B, …], classes: [E, B] → [E]."""
        flat = self.weights.detach().requires_grad_()
        logits = forward(self.skeleton, _named(flat, self.shapes), x)
        losses = cross_entropy(logits.flatten(0, 1), classes.flatten(), reduction="none").view_as(classes).mean(1)
        (gradient,) = torch.autograd.grad(losses.sum(), flat)
        with torch.no_grad():
            self._update(gradient)
        return losses.detach()

    def _update(self, gradient: Tensor) -> None:
        """One member after the other, in place: what one of them needs fits into the cache."""
        self.count += 1
        norm = gradient.norm(dim=1, keepdim=True)
        self.largest = torch.maximum(self.largest, norm)
        shrink = (self.clip / norm).clamp(max=1.0).nan_to_num(nan=1.0).flatten().tolist()
        for member, (rate, is_adam) in enumerate(zip(self.rates.tolist(), self.is_adam.tolist(), strict=True)):
            weights, own, momentum = self.weights[member], gradient[member], self.momentum[member]
            if shrink[member] < 1:
                own = own.mul_(shrink[member])
            if not is_adam:
                weights.add_(momentum.mul_(MOMENTUM).add_(own), alpha=-rate)
                continue
            squares = self.squares[member].mul_(BETAS[1]).addcmul_(own, own, value=1 - BETAS[1])
            root = (squares / (1 - BETAS[1] ** self.count)).sqrt_().add_(EPSILON)
            momentum.mul_(BETAS[0]).add_(own, alpha=1 - BETAS[0])
            weights.addcdiv_(momentum, root, value=-rate / (1 - BETAS[0] ** self.count))


def forward(skeleton: nn.Module, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """All members' outputs. Parameters: [E, …] each, x: [E, B, …] → [E, B, classes]."""
    if isinstance(skeleton, Recurrent):
        return _recurrence(skeleton, parameters, x)
    if isinstance(skeleton, Stack) and isinstance(skeleton.stem, nn.Linear):
        return _perceptron(skeleton, parameters, x)
    return torch.vmap(lambda own, inputs: functional_call(skeleton, own, (inputs,)))(dict(parameters), x)


def _flat(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def _named(flat: Tensor, shapes: Shapes) -> dict[str, Tensor]:
    parts = flat.split([shape.numel() for _, shape in shapes], dim=1)
    return {name: part.view(len(flat), *shape) for (name, shape), part in zip(shapes, parts, strict=True)}


def _perceptron(skeleton: Stack, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """As `Stack.forward` of linear layers: without vmap, whose bookkeeping costs more than layers of this size."""
    x = _linear(parameters, "stem", x)
    for number, block in enumerate(skeleton.blocks):
        out = x
        for place, layer in enumerate(block.children()):
            path = f"blocks.{number}.{place}"
            out = _normed(layer.before, parameters, f"{path}.before", out)
            out = _linear(parameters, f"{path}.weights", out)
            out = layer.activation(_normed(layer.norm, parameters, f"{path}.norm", out))
        x = x + skeleton.scale * out if skeleton.skips else out
    return _linear(parameters, "head", x)


def _linear(parameters: Mapping[str, Tensor], path: str, x: Tensor) -> Tensor:
    weight, bias = parameters[f"{path}.weight"].mT, parameters.get(f"{path}.bias")
    return x @ weight if bias is None else torch.baddbmm(bias[:, None], x, weight)


def _normed(norm: nn.Module, parameters: Mapping[str, Tensor], path: str, x: Tensor) -> Tensor:
    """x: [E, B, W]; each member by weights of its own."""
    if isinstance(norm, nn.Identity):
        return x
    if isinstance(norm, nn.RMSNorm):
        return rms_norm(x, x.shape[-1:], eps=norm.eps) * parameters[f"{path}.weight"][:, None]
    if isinstance(norm, nn.LayerNorm):
        x = layer_norm(x, x.shape[-1:], eps=norm.eps)
    else:  # batch norm: the members side by side, as if they were features
        features = batch_norm(x.transpose(0, 1).flatten(1), None, None, training=True, eps=norm.eps)
        x = features.view(x.shape[1], x.shape[0], x.shape[2]).transpose(0, 1)
    return torch.addcmul(parameters[f"{path}.bias"][:, None], x, parameters[f"{path}.weight"][:, None])


def _recurrence(skeleton: Recurrent, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Fused recurrences have no batching rule: their cells step by step, for all members at once."""
    sequence = x.transpose(1, 2)  # [E, T, B, F]
    for layer in range(skeleton.cell.num_layers):
        w_in, w_state, b_in, b_state = (
            parameters[f"cell.{kind}_l{layer}"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        is_gru = skeleton.cell.mode == "GRU"
        bias = b_in if is_gru else b_in + b_state
        fed = torch.baddbmm(bias[:, None], sequence.flatten(1, 2), w_in.mT).view(*sequence.shape[:3], -1)
        state = torch.zeros(*fed.shape[:1], fed.shape[2], skeleton.cell.hidden_size)
        memory, states = state, []
        for step in fed.unbind(1):
            recurrent = torch.baddbmm(b_state[:, None] if is_gru else step, state, w_state.mT)
            state, memory = _cell(skeleton.cell.mode, step, recurrent, state, memory)
            states.append(state)
        sequence = torch.stack(states, 1)
    read = sequence[:, -1] if skeleton.last else sequence.mean(1)
    return torch.baddbmm(parameters["head.bias"][:, None], read, parameters["head.weight"].mT)


def _cell(mode: str, fed: Tensor, recurrent: Tensor, state: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
    """One step; PyTorch's order of gates. `recurrent` holds what is fed as well, but for a GRU."""
    if mode.startswith("RNN"):
        return (recurrent.tanh() if mode == "RNN_TANH" else recurrent.relu()), memory
    if mode == "LSTM":
        i, f, g, o = recurrent.chunk(4, -1)
        memory = f.sigmoid() * memory + i.sigmoid() * g.tanh()
        return o.sigmoid() * memory.tanh(), memory
    (r_in, z_in, n_in), (r_state, z_state, n_state) = fed.chunk(3, -1), recurrent.chunk(3, -1)
    z = (z_in + z_state).sigmoid()
    new = (n_in + (r_in + r_state).sigmoid() * n_state).tanh()
    return (1 - z) * new + z * state, memory
