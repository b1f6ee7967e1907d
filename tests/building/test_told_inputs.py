"""Inputs of which the file says something: sizes, shapes in docstrings, arguments that only look optional."""

from collections.abc import Callable

import pytest

from gradlint.worker.analysis import Examined

Examine = Callable[[str], Examined]

SIZES = {
    "pooled": (
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4), nn.ReLU(),
                                          nn.Conv2d(8, 8, 3, stride=4, padding=1), nn.ReLU())
                self.pool = nn.AvgPool2d(7, stride=1)
                self.head = nn.Linear(8, 4)

            def forward(self, x):
                return self.head(self.pool(self.stem(x)).flatten(1))
        """,
        "(8, 3, 112, 112) float32",
    ),
    "kernel": (
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.stem = nn.Conv2d(3, 8, 8, stride=8)
                self.next = nn.Conv2d(8, 8, 9)

            def forward(self, x):
                return self.next(self.stem(x)).relu()
        """,
        "(8, 3, 72, 72) float32",
    ),
    "fixed": (
        """
        class Net(nn.Module):
            def __init__(self, in_size=(96, 64)):
                super().__init__()
                self.out = (in_size[0] // 4, in_size[1] // 4)
                self.in_size = in_size
                self.a = nn.Conv2d(3, 8, 3, stride=4, padding=1)
                self.b = nn.Conv2d(3, 8, 3, stride=8, padding=1)

            def forward(self, x):
                return torch.cat([self.a(x), F.interpolate(self.b(x), size=self.out)], 1)
        """,
        "(8, 3, 96, 64) float32",
    ),
    "flattened": (
        """
        class Net(nn.Module):
            def __init__(self, in_size=(80, 48)):
                super().__init__()
                self.in_size = in_size
                self.a = nn.Conv2d(1, 4, 3, stride=16, padding=1)
                self.fc = nn.Linear(4 * 5 * 3, 2)

            def forward(self, x):
                return self.fc(self.a(x).flatten(1))
        """,
        "(8, 1, 80, 48) float32",
    ),
    "apart": (
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.a = nn.Conv2d(3, 8, 3, stride=4, padding=1)
                self.grid = nn.Parameter(torch.randn(1, 8, 24, 24))

            def forward(self, x):
                return torch.cat([self.a(x), self.grid.expand(len(x), -1, -1, -1)], 1)
        """,
        "(8, 3, 96, 96) float32",
    ),
}


@pytest.mark.parametrize(("text", "fed"), SIZES.values(), ids=SIZES.keys())
def test_a_size_is_what_the_failure_and_the_model_tell(text: str, fed: str, examined_file: Examine) -> None:
    result = examined_file(text)
    assert result.fed is not None and result.fed.described == fed
    assert all(flow.gradient_rms for flow in result.flow.parameters().values())
