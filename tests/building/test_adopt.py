"""Live models, as their owner hands them over."""

import inspect

import torch
from torch import nn

from gradlint.building import adopt


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


def test_modules_stand_on_the_line_of_the_class_around_them() -> None:
    found = adopt(Net())
    line = inspect.getsourcelines(Net)[1]
    assert found.class_location is not None
    assert (found.class_location.path, found.class_location.line) == (__file__, line)
    assert [place.line for place in found.modules["body.0"].sites] == [line]
    assert found.parameter_sites["body.0.weight"].line == line


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
