"""What holds of every prediction: it repeats, it scales, it names what it does not know, it leaves the model alone."""

import copy
import json
import math
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from _compare import figures, predict
from _modules import WIDTH, Chain, Op, Skip, dense, point, pooled
from torch import nn

from gradlint.core.flow import Flow

SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from _compare import figures, predict
from test_invariants import image_model
torch.manual_seed(0)
print(json.dumps(figures(predict(image_model(), torch.randn(4, 8, 8, 8)))))
"""


def image_model() -> nn.Module:
    """A little of everything."""
    return Chain(
        nn.Conv2d(8, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        Skip(nn.Conv2d(32, 32, 3, padding=1, groups=32), nn.GroupNorm(4, 32), nn.GELU(), nn.Dropout(0.1)),
        nn.MaxPool2d(2),
        Op(lambda x: x.flatten(2).transpose(1, 2)),
        nn.TransformerEncoderLayer(32, 4, 64, batch_first=True),
        Op(lambda x: x.mean(1)),
        nn.Linear(32, 10),
    )


def image_flow() -> Flow:
    torch.manual_seed(0)
    return predict(image_model(), torch.randn(4, 8, 8, 8))


def test_the_same_flow_twice() -> None:
    assert image_flow() == image_flow()


def test_the_same_flow_in_a_fresh_process() -> None:
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONHASHSEED": "1234", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(here)], capture_output=True, text=True, check=True, env=environment
    )
    assert json.loads(done.stdout) == figures(image_flow())


@pytest.mark.parametrize("factor", [1e-6, 0.5, 1e4])
def test_the_output_weight_scales_every_gradient_before_it(factor: float) -> None:
    def flow(scale: float) -> dict[str, float | None]:
        torch.manual_seed(0)
        model = Chain(dense(), nn.ReLU(), Skip(dense(), nn.LayerNorm(WIDTH), nn.GELU()), dense(WIDTH, 10))
        model.get_parameter("3.weight").data.mul_(scale)
        return figures(predict(model, torch.randn(16, WIDTH)))

    plain, scaled = flow(1.0), flow(factor)
    before = [
        name
        for name in plain
        if name.startswith("gradient") and not name.endswith(("model", " 3", "3.weight", "3.bias"))
    ]
    assert len(before) > 10
    for name in before:
        a, b = plain[name], scaled[name]
        assert a is not None and b is not None
        assert b == pytest.approx(a * factor, rel=1e-6)
    for name in ("gradient of 3.weight", "gradient of 3.bias", "activation of 2"):
        assert scaled[name] == pytest.approx(plain[name])


def test_operators_without_a_rule_are_named() -> None:
    model = Chain(dense(16, 16), Op(lambda x: torch.linalg.matrix_exp(x)), dense(16, 4))
    flow = predict(model, torch.randn(4, 16, 16))
    (unknown,) = flow.unknown
    assert unknown.op == "linalg_matrix_exp"
    assert unknown.reason
    assert unknown.location is not None and Path(unknown.location.path) == Path(__file__)
    assert not flow.nodes[unknown.node].known
    assert all(node.known for name, node in flow.nodes.items() if name != unknown.node)
    assert (flow.parameters()["0.weight"].gradient_rms or 0) > 0


def test_the_model_is_left_alone() -> None:
    model = image_model().eval()
    model.get_submodule("0").requires_grad_(False)
    state = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    predict(model, torch.zeros(4, 8, 8, 8))
    assert torch.equal(torch.rand(4), expected)
    assert [module.training for module in model.modules()] == modes
    assert model.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert [p.requires_grad for p in model.parameters()][:3] == [False, False, True]
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())


def powers(scale: float, depth: int) -> nn.Module:
    """Orthogonal layers times a number: activation and gradient are its powers, exactly."""
    layers = [nn.Linear(16, 16, bias=False) for _ in range(depth)]
    for layer in layers:
        nn.init.orthogonal_(layer.weight, scale)
    return Chain(*layers)


@pytest.mark.parametrize("decades", [-0.14, 0.14])
def test_a_thousand_layers(decades: float) -> None:
    torch.manual_seed(0)
    flow = predict(powers(10**decades, 1000), torch.randn(64, 16))
    assert not flow.unknown
    for layer in (0, 1, 500, 998):
        module = flow.modules()[str(layer)]
        assert module.activation_rms is not None and module.gradient_rms is not None
        assert math.log10(module.activation_rms) == pytest.approx(decades * (layer + 1), abs=0.1)
        assert math.log10(module.gradient_rms) == pytest.approx(decades * (999 - layer), abs=0.1)
        assert module.attenuation == pytest.approx(-decades * (999 - layer), abs=0.1)
    weights = [flow.parameters()[f"{layer}.weight"].gradient_rms for layer in (0, 500, 999)]
    logs = [math.log10(weight) for weight in weights if weight]
    assert logs == pytest.approx([logs[0]] * 3, abs=0.1)  # activation times gradient is the same at every layer
    assert flow.attenuation == pytest.approx(max(-decades * 999, 0.0), abs=0.1)


def test_a_gradient_far_below_any_float_is_still_a_number() -> None:
    torch.manual_seed(0)
    layers = [module for _ in range(280) for module in (nn.Linear(32, 32), nn.Sigmoid())]
    flow = predict(Chain(*layers), torch.randn(16, 32))
    losses = [flow.modules()[str(2 * i)].attenuation for i in (0, 70, 140, 210)]
    assert all(loss is not None and math.isfinite(loss) for loss in losses)
    steps = [a - b for a, b in pairwise(losses) if a is not None and b is not None]
    assert min(steps) > 40 and max(steps) < 1.1 * min(steps)
    assert (flow.parameters()["0.weight"].gradient_rms or 0.0) > 0
    assert (flow.modules()["0"].gradient_rms or 0.0) > 0


def test_what_no_float_can_hold_is_zero_and_nothing_is_not_a_number() -> None:
    torch.manual_seed(0)
    layers = [module for _ in range(450) for module in (nn.Linear(16, 16), nn.Sigmoid())]
    flow = predict(Chain(*layers), torch.randn(8, 16))
    found = [value for value in figures(flow).values() if value is not None]
    assert all(math.isfinite(value) for value in found)
    assert flow.parameters()["0.weight"].gradient_rms == 0.0
    assert flow.attenuation == math.inf
    assert (flow.parameters()["898.weight"].gradient_rms or 0.0) > 0


def test_one_position_and_one_sample() -> None:
    torch.manual_seed(0)
    flow = predict(Chain(point(), nn.ReLU(), pooled()), torch.randn(1, WIDTH, 1, 1))
    found = figures(flow)
    assert all(value is not None and math.isfinite(value) and value > 0 for value in found.values())
