"""What one forward pass leaves in the graph."""

import math
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from gradlint.core.graph import OpNode
from gradlint.tracing import constant_of
from gradlint.tracing.model_graph import ModelGraph, TensorMeta


def ops(graph: ModelGraph) -> list[str]:
    return [n.op for n in graph.view.nodes.values() if n.op not in ("input", "parameter", "buffer", "constant")]


def only(graph: ModelGraph, op: str) -> OpNode:
    (found,) = [n for n in graph.view.nodes.values() if n.op == op]
    return found


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 5), nn.ReLU())
        self.head = nn.Linear(5, 2)

    def forward(self, x: torch.Tensor, scale: float = 2.0) -> torch.Tensor:
        hidden = self.body(x)
        return self.head(hidden * scale).view(x.shape[0], -1)


def test_a_small_model(record: Any) -> None:
    graph = record(Small(), torch.randn(4, 3))

    assert ops(graph) == ["linear", "relu", "mul", "linear", "view"]
    linear = graph.view.nodes["linear"]
    assert linear.inputs == ("x", "body_0_weight", "body_0_bias")
    assert (linear.shape, linear.dtype, linear.module, linear.module_class) == ((4, 5), "float32", "body.0", "Linear")
    assert graph.view.nodes["mul"].scalars == ("2.0",)
    assert graph.view.nodes["body_0_weight"].target == "body.0.weight"
    assert (graph.view.inputs, graph.view.outputs) == (("x",), ("view",))
    assert graph.used == graph.reachable == {"body.0.weight", "body.0.bias", "head.weight", "head.bias"}
    assert next(n for n in graph.graph.nodes if n.name == "linear").meta["val"] == TensorMeta((4, 5), torch.float32)


def test_module_calls_name_what_was_returned(record: Any) -> None:
    graph = record(Small(), torch.randn(4, 3))

    outputs = {call.module: call.output for call in graph.view.calls}
    assert outputs == {"body.0": "linear", "body.1": "relu", "body": "relu", "head": "linear_1", "": "view"}
    head = next(call for call in graph.view.calls if call.module == "head")
    assert head.inputs == ("mul",)
    assert graph.view.order[head.first : head.last] == ("head_weight", "head_bias", "linear_1")


def test_location_underlines_the_call(record: Any) -> None:
    graph = record(Small(), torch.randn(4, 3))

    relu, mul = graph.view.nodes["relu"].location, graph.view.nodes["mul"].location
    assert relu is not None and mul is not None
    lines = Path(__file__).read_text().splitlines()
    assert lines[relu.line - 1][relu.column - 1 : relu.end_column - 1] == "self.body(x)"  # type: ignore[operator]
    assert lines[mul.line - 1][mul.column - 1 : mul.end_column - 1] == "hidden * scale"  # type: ignore[operator]
    assert relu.context == "Small.forward"
    assert graph.view.nodes["relu"].frames == (relu,)  # nothing of pytest's, torch's or gradlint's


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.full((4,), 2.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = torch.ones(4, 4).triu(1) * -1e9
        return x * self.scale + mask[1] + self.scale.cumsum(0)


def test_constants_are_folded_and_buffers_named(record: Any) -> None:
    graph = record(Masked(), torch.randn(4, 4))

    assert ops(graph) == ["mul", "add", "add"]
    assert only(graph, "buffer").target == "scale"
    values = [constant_of(n) for n in graph.graph.nodes if n.op == "get_attr" and n.target != "scale"]
    assert [v.tolist() for v in values if v is not None] == [[0, 0, -1e9, -1e9], [2, 4, 6, 8]]


class Inplace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(3, 3)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.a(x)
        y = self.act(h)
        return h + y


def test_later_readers_see_what_was_written_in_place(record: Any) -> None:
    graph = record(Inplace(), torch.randn(4, 3))

    assert ops(graph) == ["linear", "relu", "add"]
    assert graph.view.nodes["add"].inputs == ("relu", "relu")
    assert {c.module: c.output for c in graph.view.calls}["a"] == "linear"


def test_base_is_updated_after_a_write_through_a_view(record: Any) -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = x * 2
            first = h[:, 0]
            first.mul_(3)
            return h + 1

    graph = record(Model(), torch.randn(4, 3))

    assert ops(graph) == ["mul", "getitem", "mul", "alias_update", "add"]
    assert graph.view.nodes["alias_update"].inputs == ("mul", "mul_1")
    assert graph.view.nodes["add"].inputs == ("alias_update",)


def test_view_is_updated_after_a_write_to_its_base(record: Any) -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = x * 2
            first = h[:, 0]
            h += 1
            return first + 1

    graph = record(Model(), torch.randn(4, 3))

    assert graph.view.nodes["alias_update"].inputs == ("getitem", "add")


def test_filling_a_tensor_of_zeros(record: Any) -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out = torch.zeros(4, 2)
            out[:, 0] = x[:, 0]
            out[:, 1] = x[:, 1]
            return out * 2

    graph = record(Model(), torch.randn(4, 3))

    assert ops(graph) == ["getitem", "setitem", "getitem", "setitem", "mul"]
    assert graph.view.nodes["setitem_1"].inputs == ("setitem", "getitem_1")
    constant = next(n for n in graph.graph.nodes if n.op == "get_attr")
    assert constant_of(constant) is not None and not constant_of(constant).any()  # type: ignore[union-attr]


def test_out_argument_is_a_write(record: Any) -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                out = torch.empty(4, 3)
                torch.mul(x, 2, out=out)
            return out + 1

    graph = record(Model(), torch.randn(4, 3))

    assert graph.view.nodes["add"].inputs == ("mul",)
    assert not graph.view.nodes["mul"].grad_enabled
    assert graph.view.nodes["add"].grad_enabled


def test_shared_parameters_and_instances(record: Any) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layer = nn.Linear(3, 3)
            self.layers = nn.ModuleList([layer] * 3)
            self.last = nn.Linear(3, 3)
            self.last.weight = layer.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer in self.layers:
                x = layer(x)
            return self.last(x)

    graph = record(Model(), torch.randn(4, 3))

    assert graph.shared["layers.0.weight"] == ("layers.1.weight", "layers.2.weight", "last.weight")
    assert [c.module for c in graph.view.calls] == ["layers.0"] * 3 + ["last", ""]
    assert [n.target for n in graph.view.nodes.values() if n.op == "parameter"] == [
        "layers.0.weight",
        "layers.0.bias",
        "last.bias",
    ]


def test_several_results_are_unpacked(record: Any) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(3, 5, num_layers=2, dropout=0.5, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out, (h, _) = self.rnn(x)
            a, b = out.chunk(2, dim=1)
            return a + b + h[-1][:, None]

    graph = record(Model(), torch.randn(4, 6, 3))

    assert ops(graph) == [
        "lstm",
        "unpack",
        "unpack",
        "unpack",
        "chunk",
        "unpack",
        "unpack",
        "add",
        *["getitem"] * 2,
        "add",
    ]
    lstm = next(n for n in graph.graph.nodes if n.name == "lstm")
    assert [m.shape for m in lstm.meta["val"]] == [(4, 6, 5), (2, 4, 5), (2, 4, 5)]
    assert graph.view.nodes["unpack_1"].shape == (2, 4, 5)
    assert {c.module: c.output for c in graph.view.calls}["rnn"] == "unpack"
    assert 0.0 in lstm.args  # dropout between its layers is left out


def test_multi_head_attention_is_seen_through(record: Any) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, dropout=0.3, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.attention(x, x, x, need_weights=False)[0]

    graph = record(Model(), torch.randn(2, 5, 8))

    assert [o for o in ops(graph) if o in ("linear", "scaled_dot_product_attention")] == [
        "linear",
        "scaled_dot_product_attention",
        "linear",
    ]


def test_queries_are_not_recorded(record: Any) -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.size(0) > 1 and x.dim() == 2 and x.is_floating_point() and x.numel() and len(x) and x.stride():
                x = x.to(x.dtype).contiguous()  # gives x itself
            return x / math.sqrt(x.shape[-1])

    assert ops(record(Model(), torch.randn(4, 3))) == ["div"]


def test_like_factories_give_constants(record: Any) -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.zeros_like(x) + x.new_ones(3)

    graph = record(Model(), torch.randn(4, 3))

    assert [n.op for n in graph.view.nodes.values()] == ["input", "constant", "add", "constant", "add"]


def test_parametrised_weights_are_computed_in_the_graph(record: Any) -> None:
    model = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))

    graph = record(model, torch.randn(2, 3))

    assert ops(graph) == ["weight_norm", "linear"]
    assert graph.reachable == {
        "bias",
        "parametrizations.weight.original0",
        "parametrizations.weight.original1",
    }


def test_what_does_not_dispatch_is_opaque_not_constant(record: Any) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.a(x)
            with torch._C.DisableTorchFunction():  # as what does not dispatch
                h = h.sin().cos()
            return h + 1

    graph = record(Model(), torch.randn(2, 3))

    assert ops(graph) == ["linear", "opaque", "add"]
    assert only(graph, "opaque").inputs == ("linear",)


def test_integer_inputs_keep_their_values(record: Any) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(5, 3)

        def forward(self, tokens: torch.Tensor, extra: dict[str, torch.Tensor]) -> torch.Tensor:
            return self.table(tokens) + extra["a"] * extra["b"]

    graph = record(Model(), torch.tensor([1, 4]), {"a": torch.ones(3), "b": torch.ones(3)})

    assert graph.view.inputs == ("tokens", "extra_0", "extra_1")
    nodes = {n.name: n for n in graph.graph.nodes}
    assert nodes["tokens"].meta["example"].tolist() == [1, 4]
    assert "example" not in nodes["extra_0"].meta


def test_outputs_are_the_floating_leaves_once_without_caches(record: Any) -> None:
    class DynamicCache:
        def __init__(self, value: torch.Tensor) -> None:
            self.value = value

    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> dict[str, Any]:
            y = x * 2
            return {
                "logits": y,
                "again": (y, F.relu(x)),
                "ids": y.argmax(-1),
                "past_key_values": (x * 3,),
                "cache": DynamicCache(x * 4),
            }

    graph = record(Model(), torch.randn(4, 3))

    assert graph.view.outputs == ("mul", "relu")
    assert graph.output_template == {
        "logits": "Tensor",
        "again": ["Tensor", "Tensor"],
        "ids": "Tensor",
        "past_key_values": ["Tensor"],
        "cache": "DynamicCache",
    }


def test_vmap_is_survived(record: Any) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.vmap(lambda row: self.a(row).tanh())(x) + 1

    graph = record(Model(), torch.randn(4, 3))

    assert graph.reachable == {"a.weight", "a.bias"}
    assert graph.view.outputs == ("add",)


def test_compiled_modules_are_seen_through(record: Any) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(3, 3)
            self.inner = torch.compile(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), backend="eager")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(self.a(x))

    graph = record(Model(), torch.randn(4, 3))

    assert ops(graph) == ["linear", "linear", "relu"]
    assert len(graph.reachable) == 4


def test_sparse_operands(record: Any) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3, 2))

        def forward(self, x: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
            return torch.sparse.mm(adjacency, x @ self.weight)

    graph = record(Model(), torch.randn(4, 3), torch.eye(4).to_sparse())

    assert ops(graph)[0] == "matmul"
    assert graph.reachable == {"weight"}


def test_scripted_modules_are_seen_through(record: Any) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(3, 3)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.inner = torch.jit.trace(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), torch.randn(2, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(self.a(x)) * 2

    graph = record(Model(), torch.randn(2, 3))

    assert ops(graph) == ["linear", "linear", "relu", "mul"]
    assert len(graph.reachable) == 4
