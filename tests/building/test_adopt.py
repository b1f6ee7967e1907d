"""Live models, as their owner hands them over."""

import inspect
from pathlib import Path

import torch
from torch import nn

from gradlint.building import adopt
from gradlint.core.location import Location


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
        self.tied = self.body[0]


def test_values_are_the_models_own() -> None:
    model = Net()
    model.body[0].weight.data.fill_(0.25)
    found = adopt(model)
    assert found.model is model
    assert found.target is None
    assert found.values["body.0.weight"].sample.unique().tolist() == [0.25]
    assert found.modules["body.0"].aliases == ("tied",)
    assert found.built == "live"


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))
        self.layers = nn.Sequential(*[nn.Linear(width, width) for _ in range(2)])


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(3, 3)
        self.stem = nn.Linear(3, 4)
        self.block = Block(4)
        self.add_module("late", nn.Linear(4, 4))


def text_at(place: Location) -> str:
    line = Path(place.path).read_text().splitlines()[place.line - 1]
    assert place.end_column is not None
    return line[place.column - 1 : place.end_column - 1]


def test_modules_stand_where_the_class_around_them_assigns_them() -> None:
    found = adopt(Net())
    assert found.class_location is not None
    assert (found.class_location.path, found.class_location.line) == (__file__, inspect.getsourcelines(Net)[1])
    (site,) = found.modules["body.0"].sites
    assert text_at(site) == "nn.Linear(3, 3)"
    assert site.context == "Net.__init__"
    assert found.parameter_sites["body.0.weight"] == site
    assert text_at(found.modules["body"].sites[0]) == "nn.Sequential(nn.Linear(3, 3), nn.ReLU())"


def test_the_chain_leads_through_the_classes_around() -> None:
    found = adopt(Outer())
    chain = found.modules["block.layers.1"].sites
    assert [text_at(place) for place in chain] == [
        "nn.Sequential(*[nn.Linear(width, width) for _ in range(2)])",
        "Block(4)",
    ]
    assert text_at(found.parameter_sites["block.gain"]) == "nn.Parameter(torch.ones(width))"


def test_what_cannot_be_read_stands_on_the_class_line() -> None:
    found = adopt(Outer())
    line = inspect.getsourcelines(Outer)[1]
    for path in ("", "stem", "late"):
        assert [place.line for place in found.modules[path].sites] == [line]


def test_a_model_without_source_has_no_place() -> None:
    namespace: dict[str, type[nn.Module]] = {}
    exec("from torch import nn\nclass Net(nn.Module): pass", namespace)
    found = adopt(namespace["Net"]())
    assert found.class_location is None
    assert found.modules[""].sites == ()


def test_torchs_own_classes_are_no_place_of_the_users() -> None:
    found = adopt(nn.Linear(2, 2))
    assert found.modules[""].sites == ()
    assert found.parameter_sites == {}


def test_nothing_is_changed() -> None:
    model = Net().eval()
    before = {id(module): dict(module.__dict__) for module in model.modules()}
    versions = [parameter._version for parameter in model.parameters()]
    adopt(model)
    assert {id(module): dict(module.__dict__) for module in model.modules()} == before
    assert [parameter._version for parameter in model.parameters()] == versions
    assert not model.training


def test_what_is_not_yet_initialised_has_no_values() -> None:
    found = adopt(nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 3)))
    assert set(found.values) == {"1.weight", "1.bias"}


def test_other_dtypes() -> None:
    found = adopt(nn.Linear(2, 2, dtype=torch.bfloat16))
    assert found.values["weight"].sample.dtype is torch.float64


def _same(cls: type[nn.Module]) -> type[nn.Module]:
    return cls


@_same
class Decorated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)


def test_decorators_shift_no_line() -> None:
    found = adopt(Decorated())
    assert found.class_location is not None
    lines = Path(__file__).read_text().splitlines()
    assert lines[found.class_location.line - 1] == "class Decorated(nn.Module):"
    assert text_at(found.modules["layer"].sites[0]) == "nn.Linear(3, 3)"
