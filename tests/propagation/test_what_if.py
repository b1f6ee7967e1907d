"""What-if: the flow predicted after an edit against measuring the model that is really built that way."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from _compare import Compared
from _modules import WIDTH, Chain
from torch import Tensor, nn

from gradlint.building import adopt
from gradlint.building.built import Fed
from gradlint.core.edit import Edit, EditKind
from gradlint.core.flow import Flow
from gradlint.core.graph import GraphView
from gradlint.probe import measure
from gradlint.propagation import propagate, what_if
from gradlint.tracing import trace

DEPTH = 4
VECTORS, IMAGE, SEQUENCE = (64, WIDTH), (4, WIDTH, 8, 8), (8, 12, WIDTH)
WITHIN = 0.06
Names = tuple[str, ...]
Wanted = Callable[[GraphView], Edit]


class Stack(nn.Module):
    """Layers of one width with something before, behind and around each."""

    def __init__(
        self,
        act: Callable[[Tensor], Tensor] = torch.sigmoid,
        before: Callable[[Tensor], Tensor] | None = None,
        init: Callable[[Tensor], Any] | None = None,
        *,
        skip: bool = False,
        image: bool = False,
    ) -> None:
        super().__init__()
        every = [nn.Conv2d(WIDTH, WIDTH, 3, padding=1) if image else nn.Linear(WIDTH, WIDTH) for _ in range(DEPTH + 1)]
        self.stem = every[0]
        self.layers = nn.ModuleList(every[1:])
        self.act, self.before, self.skip = act, before, skip
        for module in self.layers if init else ():
            init(module.weight)  # type: ignore[misc,arg-type]

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for layer in self.layers:
            y = layer(x)
            y = self.act(y if self.before is None else self.before(y))
            x = x + y if self.skip else y
        return x


class Reads(nn.Module):
    """A recurrence of which the last step is read."""

    def __init__(self, kind: type[nn.RNN | nn.LSTM | nn.GRU]) -> None:
        super().__init__()
        self.inside = kind(WIDTH, WIDTH, batch_first=True)
        self.head = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.inside(x)[0][:, -1])  # type: ignore[no-any-return]


def nodes(view: GraphView, op: str) -> Names:
    return tuple(name for name in view.order if view.nodes[name].op == op)


def swapped(detail: str) -> Wanted:
    return lambda view: Edit(EditKind.ACTIVATION, detail, nodes=nodes(view, "sigmoid"), detail=detail)


def initialised(detail: str) -> Wanted:
    weights = tuple(f"layers.{i}.weight" for i in range(DEPTH))
    return lambda view: Edit(EditKind.INIT_GAIN, detail, parameters=weights, detail=detail)


def normalised(detail: str, op: str) -> Wanted:
    return lambda view: Edit(EditKind.NORM, detail, nodes=nodes(view, op), detail=detail)


def skipping(view: GraphView) -> Edit:
    layers = (*nodes(view, "linear"), *nodes(view, "conv2d"))[1:]
    ends = nodes(view, "sigmoid")
    return Edit(EditKind.SKIP, "skips", spans=tuple(zip(layers, ends, strict=True)))


def removed(view: GraphView) -> Edit:
    return Edit(EditKind.REMOVE, "no sigmoids", nodes=nodes(view, "sigmoid"))


def gated(detail: str) -> Wanted:
    return lambda view: Edit(EditKind.GATED, detail, nodes=nodes(view, "rnn_tanh"), detail=detail)


def plain_batch_norm(x: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, training=True)


def plain_layer_norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


def lecun(w: Tensor) -> None:
    nn.init.kaiming_normal_(w, nonlinearity="linear")


def kaiming(w: Tensor) -> None:
    nn.init.kaiming_normal_(w, nonlinearity="relu")


EDITS: dict[str, tuple[Callable[[], nn.Module], Wanted, Callable[[], nn.Module], tuple[int, ...]]] = {
    "ReLU for sigmoid": (Stack, swapped("relu"), lambda: Stack(F.relu), VECTORS),
    "GELU for sigmoid": (Stack, swapped("gelu"), lambda: Stack(F.gelu), VECTORS),
    "tanh for sigmoid, convolutions": (
        lambda: Stack(image=True),
        swapped("tanh"),
        lambda: Stack(torch.tanh, image=True),
        IMAGE,
    ),
    "Kaiming": (lambda: Stack(F.relu), initialised("kaiming"), lambda: Stack(F.relu, init=kaiming), VECTORS),
    "Xavier": (
        lambda: Stack(torch.tanh),
        initialised("xavier"),
        lambda: Stack(torch.tanh, init=nn.init.xavier_normal_),
        VECTORS,
    ),
    "LeCun": (lambda: Stack(F.selu), initialised("lecun"), lambda: Stack(F.selu, init=lecun), VECTORS),
    "orthogonal": (
        lambda: Stack(torch.tanh),
        initialised("orthogonal"),
        lambda: Stack(torch.tanh, init=nn.init.orthogonal_),
        VECTORS,
    ),
    "Kaiming convolutions": (
        lambda: Stack(F.relu, image=True),
        initialised("kaiming"),
        lambda: Stack(F.relu, init=kaiming, image=True),
        IMAGE,
    ),
    "batch norm before the activation": (
        Stack,
        normalised("batch_norm", "sigmoid"),
        lambda: Stack(before=plain_batch_norm),
        VECTORS,
    ),
    "layer norm before the activation": (
        Stack,
        normalised("layer_norm", "sigmoid"),
        lambda: Stack(before=plain_layer_norm),
        VECTORS,
    ),
    "batch norm between convolutions": (
        lambda: Stack(torch.tanh, image=True),
        normalised("batch_norm", "tanh"),
        lambda: Stack(torch.tanh, before=plain_batch_norm, image=True),
        IMAGE,
    ),
    "skips": (Stack, skipping, lambda: Stack(skip=True), VECTORS),
    "skips around convolutions": (
        lambda: Stack(image=True),
        skipping,
        lambda: Stack(skip=True, image=True),
        IMAGE,
    ),
    "no activation": (Stack, removed, lambda: Stack(lambda x: x), VECTORS),
    "LSTM for RNN": (lambda: Reads(nn.RNN), gated("lstm"), lambda: Reads(nn.LSTM), SEQUENCE),
    "GRU for RNN": (lambda: Reads(nn.RNN), gated("gru"), lambda: Reads(nn.GRU), SEQUENCE),
}


def edited(model: nn.Module, wanted: Wanted, shape: tuple[int, ...]) -> tuple[Flow, Flow | None]:
    """The flow as it is, and after the edit."""
    built = adopt(model)
    graph = trace(built, Fed((torch.randn(shape),)))
    return propagate(graph, built.values), what_if(graph, built.values, wanted(graph.view))


def _seen(flow: Flow) -> object:
    return flow.attenuation, [time.gain for time in flow.times]


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_what_the_edited_model_shows(name: str) -> None:
    make, wanted, really, shape = EDITS[name]
    rows: dict[str, Compared] = {}
    before, after = [], []
    for seed in range(3):
        torch.manual_seed(seed)
        plain, flow = edited(make(), wanted, shape)
        assert flow is not None and not flow.unknown
        torch.manual_seed(100 + seed)
        expected = measure(really(), (torch.randn(shape),), seed=seed)
        for path, figure in expected.parameters().items():
            if path in flow.parameters() and "bias" not in path and "inside" not in path:
                found = flow.parameters()[path].gradient_rms
                rows.setdefault(path, Compared(path)).add(found, figure.gradient_rms)
        first = "inside" if "inside" in expected.modules() else "stem"
        row = rows.setdefault(first, Compared(f"activation of {first}"))
        row.add(flow.modules()[first].activation_rms, expected.modules()[first].activation_rms)
        before.append(_seen(plain))
        after.append(_seen(flow))
        for ours, real in zip(flow.times, expected.times, strict=True):
            row = rows.setdefault("time", Compared("gradient at the first step"))
            row.add(ours.hidden[0] / ours.hidden[-1], real.hidden[0] / real.hidden[-1])
    time = rows.pop("time", None)  # one draw of the gated weights stands for all
    assert time is None or abs(time.error) < 0.15, str(time)
    off = [str(row) for row in rows.values() if not row.excess(WITHIN) <= 0]
    assert len(rows) > 1 and not off, "\n".join(off)
    assert before != after


def test_an_edit_leaves_the_graph_and_later_flows_alone() -> None:
    torch.manual_seed(0)
    built = adopt(Stack())
    graph = trace(built, Fed((torch.randn(VECTORS),)))
    plain = propagate(graph, built.values)
    assert what_if(graph, built.values, swapped("relu")(graph.view)) != plain
    assert propagate(graph, built.values) == plain


def test_common_random_numbers_make_an_edit_that_changes_nothing_exact() -> None:
    torch.manual_seed(0)
    built = adopt(Stack(F.relu))
    graph = trace(built, Fed((torch.randn(VECTORS),)))
    same = Edit(EditKind.ACTIVATION, "the same", nodes=nodes(graph.view, "relu"), detail="relu")
    plain, flow = propagate(graph, built.values), what_if(graph, built.values, same)
    assert flow is not None
    assert flow.modules() == plain.modules()
    assert flow.parameters() == plain.parameters()


def test_the_cure_of_a_vanishing_stack_is_seen() -> None:
    torch.manual_seed(0)
    plain, flow = edited(Stack(), swapped("relu"), VECTORS)
    assert flow is not None and plain.attenuation is not None and flow.attenuation is not None
    assert plain.attenuation > flow.attenuation + 1 > 1


@pytest.mark.parametrize(
    "edit",
    [
        Edit(EditKind.ACTIVATION, "no such node", nodes=("nowhere",), detail="relu"),
        Edit(EditKind.ACTIVATION, "no such activation", nodes=("sigmoid",), detail="no_such"),
        Edit(EditKind.INIT_GAIN, "no such parameter", parameters=("layers.99.weight",), detail="kaiming"),
        Edit(EditKind.INIT_GAIN, "a bias", parameters=("layers.0.bias",), detail="kaiming"),
        Edit(EditKind.INIT_GAIN, "no such law", parameters=("layers.0.weight",), detail="no_such"),
        Edit(EditKind.NORM, "no such norm", nodes=("sigmoid",), detail="no_such"),
        Edit(EditKind.GATED, "not a recurrence", nodes=("sigmoid",), detail="lstm"),
        Edit(EditKind.SKIP, "no such span", spans=(("nowhere", "sigmoid"),)),
        Edit(EditKind.REMOVE, "nothing at all"),
    ],
    ids=lambda edit: edit.text,
)
def test_edits_that_do_not_apply_are_none(edit: Edit) -> None:
    torch.manual_seed(0)
    _, flow = edited(Stack(), lambda view: edit, (8, WIDTH))
    assert flow is None


def test_a_skip_over_a_change_of_shape_does_not_apply() -> None:
    model = Chain(nn.Linear(WIDTH, 64), nn.Sigmoid(), nn.Linear(64, 64))
    _, flow = edited(model, lambda view: Edit(EditKind.SKIP, "", spans=(("linear", "sigmoid"),)), (8, WIDTH))
    assert flow is None
