"""Where modules and parameters were made."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from gradlint.building import BuiltModel
from gradlint.core.location import Location

Built = Callable[..., BuiltModel]


def text_at(place: Location) -> str:
    """The source text that a location underlines."""
    line = Path(place.path).read_text().splitlines()[place.line - 1]
    assert place.end_column is not None
    return line[place.column - 1 : place.end_column - 1]


MLP = """
class SigmoidMLP(nn.Module):
    def __init__(self, depth=3, w=8):
        super().__init__()
        layers = []
        for _ in range(depth):
            layers += [nn.Linear(w, w), nn.Sigmoid()]
        self.body = nn.Sequential(*layers)
        self.scale = nn.Parameter(torch.ones(w))
    def forward(self, x):
        return self.body(x) * self.scale
"""


def test_the_exact_call_is_underlined(built: Built) -> None:
    found = built(MLP)
    (site,) = found.modules["body.3"].sites
    assert text_at(site) == "nn.Sigmoid()"
    assert (site.line, site.column, site.context) == (9, 41, "SigmoidMLP.__init__")
    assert text_at(found.modules["body.0"].sites[0]) == "nn.Linear(w, w)"
    assert text_at(found.modules["body"].sites[0]) == "nn.Sequential(*layers)"


def test_parameters_stand_where_they_or_their_layer_were_made(built: Built) -> None:
    found = built(MLP)
    assert text_at(found.parameter_sites["body.0.weight"]) == "nn.Linear(w, w)"
    assert found.parameter_sites["scale"].line == 11
    assert set(found.parameter_sites) == set(found.values)


def test_the_chain_leads_from_the_innermost_line_outwards(built: Built) -> None:
    found = built(
        """
        def block(w):
            return nn.Sequential(nn.Linear(w, w), nn.ReLU())
        class Inner(nn.Module):
            def __init__(self, w):
                super().__init__()
                self.a = block(w)
            def forward(self, x): return self.a(x)
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = Inner(4)
            def forward(self, x): return self.inner(x)
        """
    )
    chain = found.modules["inner.a.0"].sites
    assert [(place.line, place.context) for place in chain] == [
        (5, "block"),
        (9, "Inner.__init__"),
        (14, "Net.__init__"),
    ]
    assert [text_at(place) for place in chain] == ["nn.Linear(w, w)", "block(w)", "Inner(4)"]
    assert found.modules[""].sites == ()


def test_comprehensions_and_lambdas_count_as_the_function_around_them(built: Built) -> None:
    found = built(
        """
        class Net(nn.Module):
            def __init__(self, make=lambda: nn.Linear(2, 2)):
                super().__init__()
                self.a = nn.ModuleList([nn.Linear(2, 2) for _ in range(2)])
                self.b = nn.Sequential(*(nn.ReLU() for _ in range(2)))
                self.c = make()
            def forward(self, x): return x
        """
    )
    (site,) = found.modules["a.1"].sites
    assert (text_at(site), site.context) == ("nn.Linear(2, 2)", "Net.__init__")
    assert text_at(found.modules["b.1"].sites[0]) == "nn.ReLU()"
    assert text_at(found.modules["c"].sites[0]) == "nn.Linear(2, 2)"


def test_subclasses_stand_where_they_are_built_not_where_they_call_super(built: Built) -> None:
    found = built(
        """
        class Base(nn.Module):
            def __init__(self):
                super().__init__()
        class Layer(Base):
            def __init__(self):
                super().__init__()
                self.w = nn.Parameter(torch.zeros(2, 2))
        class Mine(nn.Linear):
            def __init__(self):
                super().__init__(2, 2)
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.a = Layer()
                self.b = Mine()
            def forward(self, x): return x
        """
    )
    assert [place.line for place in found.modules["a"].sites] == [17]
    assert [place.line for place in found.modules["b"].sites] == [18]
    assert found.parameter_sites["a.w"].line == 10
    assert found.parameter_sites["b.weight"].line == 13


def test_parts_of_torchs_own_modules_stand_where_the_user_built_them(built: Built) -> None:
    found = built("def make():\n    return nn.TransformerEncoderLayer(8, 2, 16)\n")
    assert text_at(found.modules["self_attn.out_proj"].sites[0]) == "nn.TransformerEncoderLayer(8, 2, 16)"
    assert found.modules["self_attn"].is_torch


def test_deep_copies_keep_the_place_of_the_original(built: Built) -> None:
    found = built(
        """
        import copy
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                layer = nn.Linear(2, 2)
                self.a = nn.ModuleList([copy.deepcopy(layer) for _ in range(3)])
                self.b = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2, enable_nested_tensor=False)
            def forward(self, x): return x
        """
    )
    assert {found.modules[f"a.{i}"].sites[0].line for i in range(3)} == {8}
    assert found.modules["b.layers.1.linear1"].sites[0].line == 10
    assert found.parameter_sites["a.2.weight"].line == 8


def test_columns_are_characters_not_bytes(built: Built) -> None:
    found = built("def make():\n    größe, breite = 2, 3; return nn.Sequential(nn.Linear(größe, breite))\n")
    assert text_at(found.modules["0"].sites[0]) == "nn.Linear(größe, breite)"


def test_a_call_over_several_lines_has_no_end_on_its_first(built: Built) -> None:
    found = built("def make():\n    return nn.Sequential(\n        nn.Linear(2, 2),\n        nn.ReLU(),\n    )\n")
    whole = found.modules[""].sites[0]
    assert (whole.line, whole.column, whole.end_column) == (5, 12, None)
    assert found.modules["1"].sites[0].line == 7


def test_torch_is_left_as_found(built: Built) -> None:
    before = nn.Module.__init__, nn.Module.register_parameter
    built(MLP)
    assert (nn.Module.__init__, nn.Module.register_parameter) == before
    assert not hasattr(nn.Linear(2, 2), "_gradlint_sites")
    assert torch.is_grad_enabled()


def test_a_decorated_class_stands_where_its_statement_does(built: Built) -> None:
    found = built(
        """
        @(lambda cls: cls)
        @(
            lambda cls: cls
        )
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(3, 3)
            def forward(self, x):
                return self.layer(x)
        """
    )
    assert found.class_location is not None
    line = Path(found.class_location.path).read_text().splitlines()[found.class_location.line - 1]
    assert line == "class Net(nn.Module):"
