"""Modules around modules: checkpoints, hooks, parametrisations, adapters, compiled, scripted and quantised ones.

Each is one block of a network, whose predicted gradients are compared with those of a real backward pass.
"""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.ao import quantization
from torch.nn.utils import parametrizations
from torch.overrides import handle_torch_function, has_torch_function
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

import gradlint

WIDTH = 64
WITHIN = 0.25
"""Decades; one draw of weights and inputs is measured."""

pytestmark = pytest.mark.filterwarnings("ignore")


class Net(nn.Module):
    """A layer in front of a block, and one behind it."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Linear(WIDTH, WIDTH)
        self.block = block
        self.head = nn.Linear(WIDTH, 8)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.block(F.relu(self.stem(x))))
        return out


class Calls(nn.Module):
    """A block whose forward is a function of the layers that it keeps."""

    def __init__(self, run: Callable[..., Tensor], **layers: Any) -> None:
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def plain() -> nn.Sequential:
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))


def layer(**options: Any) -> nn.Linear:
    return nn.Linear(WIDTH, WIDTH, **options)


def frozen() -> nn.Linear:
    return layer().requires_grad_(False)


def small(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape) / 8)


def wrapped(wrap: Callable[[Any], Any]) -> nn.Module:
    """A plain block whose first layer is wrapped."""
    block = plain()
    wrap(block[0])
    return block


def hooked() -> nn.Module:
    block = plain()
    block.register_forward_hook(lambda module, args, out: out * 0.5)
    block[0].register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    block[2].register_full_backward_hook(lambda module, to, of: None)
    block[0].register_full_backward_pre_hook(lambda module, of: None)
    return block


def tensor_hook(self: Any, x: Tensor) -> Tensor:
    y: Tensor = self.layer(x)
    y.register_hook(lambda g: g)
    y.retain_grad()
    return y.relu()


class LowRank(nn.Module):
    """An adapter beside a frozen layer, in the manner of peft."""

    def __init__(self, rank: int = 4) -> None:
        super().__init__()
        self.base_layer = frozen()
        self.lora_A = nn.ModuleDict({"default": nn.Linear(WIDTH, rank, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(rank, WIDTH, bias=False)})
        self.lora_dropout = nn.ModuleDict({"default": nn.Dropout(0.1)})
        self.scaling = {"default": 2.0}
        self.active_adapters = ["default"]

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        result: Tensor = self.base_layer(x, *args, **kwargs)
        dtype = result.dtype
        for adapter in self.active_adapters:
            x = x.to(self.lora_A[adapter].weight.dtype)
            down = self.lora_A[adapter](self.lora_dropout[adapter](x))
            result = result + self.lora_B[adapter](down) * self.scaling[adapter]
        return result.to(dtype)


def merged(self: Any, x: Tensor) -> Tensor:
    return F.linear(x, self.base.weight + self.b @ self.a, self.base.bias)


def by_magnitude(self: Any, x: Tensor) -> Tensor:
    """DoRA: a direction with a learned length."""
    weight = self.base.weight + self.b @ self.a
    return F.linear(x, self.length * weight / weight.norm(dim=1, keepdim=True).detach(), self.base.bias)


def biased_gelu(x: Tensor, bias: Tensor) -> Tensor:
    return F.gelu(x + bias)


def scripted(code: Any) -> Any:
    return torch.jit.script(code)


class Branching(nn.Module):
    """With what TorchScript has structures for: a loop, a branch, slices, dicts, writes in place."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([layer() for _ in range(2)])
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        for linear in self.layers:
            x = linear(x).relu()
        a, b = x.chunk(2, -1)
        if x.shape[0] > 3:
            x = torch.cat([b, a], -1)
        for i in range(3):
            x = x + i * 0.1
        x = self.norm(x) * 1.0
        x[:, :8] *= 0.5
        return {"out": x}["out"]


class Quantised(nn.Module):
    """Between stubs, with the addition that quantisation wants."""

    def __init__(self) -> None:
        super().__init__()
        self.quant = quantization.QuantStub()  # type: ignore[no-untyped-call]
        self.inner = plain()
        self.dequant = quantization.DeQuantStub()  # type: ignore[no-untyped-call]
        self.sum = torch.ao.nn.quantized.FloatFunctional()

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant(x)
        out: Tensor = self.dequant(self.sum.add(self.inner(x), x))
        return out


def prepared() -> nn.Module:
    block = Quantised().train()
    block.qconfig = quantization.get_default_qat_qconfig("fbgemm")  # type: ignore[no-untyped-call,assignment]
    return quantization.prepare_qat(block)  # type: ignore[no-any-return,no-untyped-call]


def simulated(self: Any, x: Tensor) -> Tensor:
    return torch.fake_quantize_per_tensor_affine(self.observed(self.layer(x)), 0.05, 0, -128, 127)


class Signs(torch.autograd.Function):
    """A step whose gradient goes straight through."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.sign()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


class Product(torch.autograd.Function):
    """In the newer style, with a context of its own."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor) -> Tensor:
        return x @ weight.t()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        return grads[0] @ weight, grads[0].t() @ x


def running_mean(self: Any, x: Tensor) -> Tensor:
    y: Tensor = self.layer(x)
    self.mean.data.mul_(0.9).add_(y.data.mean(0), alpha=0.1)
    return y - self.mean


def renormalised(self: Any, x: Tensor) -> Tensor:
    self.layer.weight.data = self.layer.weight.data / self.layer.weight.data.norm(dim=1, keepdim=True)
    out: Tensor = self.layer(x)
    return out


def in_place(self: Any, x: Tensor) -> Tensor:
    y: Tensor = self.layer(x)
    y.relu_()
    z = y * 2
    z += y
    z[:, :8] *= 0.5
    z.clamp_(max=3.0)
    return z


def guarded(x: Tensor, weight: Tensor) -> Tensor:
    """As libraries write functions that others may override."""
    if has_torch_function((x, weight)):
        return handle_torch_function(guarded, (x, weight), x, weight)  # type: ignore[no-any-return]
    if torch.overrides.has_torch_function((x,)):
        return handle_torch_function(guarded, (x,), x, weight)  # type: ignore[no-any-return]
    return F.linear(x, weight)


class Stats(nn.Module):
    """A layer, and a buffer of what it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = layer()
        self.register_buffer("mean", torch.zeros(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return running_mean(self, x)


BLOCKS: dict[str, Callable[[], nn.Module]] = {
    "checkpoint": lambda: Calls(lambda self, x: checkpoint(self.inner, x, use_reentrant=False), inner=plain()),
    "re-entrant checkpoint": lambda: Calls(
        lambda self, x: checkpoint(self.inner, x, use_reentrant=True), inner=plain()
    ),
    "sequential checkpoint": lambda: Calls(
        lambda self, x: checkpoint_sequential(self.inner, 2, x, use_reentrant=False),
        inner=nn.Sequential(*(layer() for _ in range(4))),
    ),
    "module hooks": hooked,
    "tensor hooks": lambda: Calls(tensor_hook, layer=layer()),
    "old weight norm": lambda: wrapped(torch.nn.utils.weight_norm),
    "weight norm": lambda: wrapped(parametrizations.weight_norm),
    "old spectral norm": lambda: wrapped(torch.nn.utils.spectral_norm),
    "spectral norm": lambda: wrapped(parametrizations.spectral_norm),
    "orthogonal": lambda: wrapped(parametrizations.orthogonal),
    "low rank": LowRank,
    "low rank, merged": lambda: Calls(merged, base=frozen(), a=small(4, WIDTH), b=small(WIDTH, 4)),
    "low rank by magnitude": lambda: Calls(
        by_magnitude, base=frozen(), a=small(4, WIDTH), b=small(WIDTH, 4), length=nn.Parameter(torch.ones(WIDTH, 1))
    ),
    "scaled output": lambda: Calls(
        lambda self, x: self.base(x) * self.scale, base=frozen(), scale=nn.Parameter(torch.ones(1, WIDTH))
    ),
    "compiled module": lambda: torch.compile(plain()),  # type: ignore[return-value,dict-item]
    "compiled function": lambda: Calls(lambda self, x: torch.compile(lambda y: self.inner(y) * 2)(x), inner=plain()),
    "scripted function": lambda: Calls(
        lambda self, x: self.fused(self.layer(x), self.bias),
        layer=layer(bias=False),
        bias=small(WIDTH),
        fused=scripted(biased_gelu),
    ),
    "scripted module": lambda: scripted(plain()),
    "scripted control flow": lambda: scripted(Branching()),
    "traced module": lambda: torch.jit.trace(plain(), torch.randn(2, WIDTH)),
    "quantisation stubs": Quantised,
    "quantisation-aware": prepared,
    "simulated quantisation": lambda: Calls(simulated, layer=layer(), observed=quantization.FakeQuantize()),
    "signs of weights": lambda: Calls(
        lambda self, x: F.linear(x, Signs.apply(self.layer.weight) * 0.1, self.layer.bias), layer=layer()
    ),
    "custom function": lambda: Calls(lambda self, x: Product.apply(x, self.weight), weight=small(WIDTH, WIDTH)),
    ".data of a buffer": Stats,
    ".data of a weight": lambda: Calls(renormalised, layer=layer()),
    "in place": lambda: Calls(in_place, layer=layer()),
    "has_torch_function": lambda: Calls(lambda self, x: guarded(x, self.layer.weight), layer=layer(bias=False)),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_gradients_are_those_of_a_real_backward_pass(name: str) -> None:
    torch.manual_seed(0)
    model, x = Net(BLOCKS[name]()), torch.randn(64, WIDTH)

    flow = gradlint.flow(model, x)
    real = gradlint.measure(model, x).parameters()

    assert not flow.unknown
    for parameter, predicted in flow.parameters().items():
        expected, found = real[parameter].gradient_rms, predicted.gradient_rms
        assert expected is not None and found is not None, parameter
        assert (expected == 0) == (found == 0), parameter
        assert not expected or abs(math.log10(found / expected)) < WITHIN, parameter


def forked(x: Tensor, weight: Tensor) -> Tensor:
    future = torch.jit.fork(F.linear, x, weight)
    return torch.jit.wait(future)  # type: ignore[no-any-return]


def test_what_cannot_be_followed_is_named_and_the_rest_analysed() -> None:
    """TorchScript that runs on threads of its own stays one operator."""
    model = Net(Calls(lambda self, x: self.fork(x, self.weight), weight=small(WIDTH, WIDTH), fork=scripted(forked)))

    flow = gradlint.flow(model, torch.randn(8, WIDTH))

    assert [operator.op for operator in flow.unknown] == ["opaque"]
    figures = flow.parameters()
    assert figures["head.weight"].gradient_rms
    assert figures["block.weight"].gradient_rms is None


def test_buffers_that_observers_resize_are_put_back() -> None:
    model = Net(prepared())
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}

    gradlint.flow(model, torch.randn(8, WIDTH))

    after = dict(model.named_buffers())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
