"""The help that stands under a model for which no inputs were found."""

from collections.abc import Callable

import pytest

from gradlint.building import BuiltModel, feed
from gradlint.core.errors import AnalysisError

Built = Callable[..., BuiltModel]

HEAD = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(9, 3)
        self.tables = nn.ModuleList([nn.Embedding(5, 4), nn.Embedding(7, 4)])
        self.words = nn.Embedding(11, 4)
    def forward(self, {arguments}):
        {body}
        raise RuntimeError("no more")
"""


@pytest.mark.parametrize(
    ("arguments", "body", "row"),
    [
        ("x", "F.one_hot(x.float(), 256)", '[{ shape = [8, …], dtype = "int64", high = 256 }]'),
        ("x", "F.one_hot(x.float(), x.shape[1])", '[{ shape = [8, …], dtype = "int64", high = … }]'),
        (
            "x_num, x_cat",
            "raise IndexError('index out of range in self')",
            '[{ name = "x_num", shape = [8, …], dtype = "float32" }, '
            '{ name = "x_cat", shape = [8, …], dtype = "int64", high = 5 }]',
        ),
        ("x", "self.words(x)", '[{ shape = [8, …], dtype = "int64", high = 11 }]'),
        (
            "batch",
            "batch['ids'] + batch['mask']",
            "[{ dict = { ids = { shape = [8, …] }, mask = { shape = [8, …] } } }]",
        ),
        ("x", "x + 1", '[{ shape = [8, …], dtype = "float32" }]'),
    ],
)
def test_the_configuration_to_paste_fits_the_error(built: Built, arguments: str, body: str, row: str) -> None:
    model = built(HEAD.format(arguments=arguments, body=body))
    with pytest.raises(AnalysisError) as told:
        feed(model)
    assert told.value.remedy.splitlines()[-1] == f"inputs = {row}"


def test_no_inputs_are_asked_for_where_a_gpu_is_missing(built: Built) -> None:
    model = built(HEAD.format(arguments="x", body="raise AssertionError('Torch not compiled with CUDA enabled')"))
    with pytest.raises(AnalysisError) as told:
        feed(model)
    assert told.value.remedy.startswith("it needs a GPU")
