"""Inputs found by what failed: shapes that do not fit, contexts that are missing, arguments named like a state."""

from collections.abc import Callable

import pytest

from gradlint.worker.analysis import Examined

Examine = Callable[[str], Examined]

FED = {
    "a side that the forward folds away": (
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = nn.Conv1d(64, 8, 3)

            def forward(self, x):
                b, c, t = x.shape
                return self.conv(x.reshape(b * 2, 64, t)).reshape(b, 16, -1)
        """,
        "(8, 128, 32) float32",
    ),
    "a context that attention can do without, but not this one": (
        """
        class Net(nn.Module):
            def __init__(self, dim=32, cross_attention_dim=48):
                super().__init__()
                self.stem = nn.Linear(dim, dim)
                self.k = nn.Linear(cross_attention_dim, dim)

            def forward(self, x, mask=None, context=None):
                x = self.stem(x.transpose(1, 2).transpose(1, 2))
                context = x if context is None else context
                return x @ self.k(context).transpose(1, 2)
        """,
        "(8, 32, 32) float32, context: (8, 32, 48) float32",
    ),
    "what blocks of transformers pass on": (
        """
        class Net(nn.Module):
            def __init__(self, dim=32, temb_channels=24):
                super().__init__()
                self.conv = nn.ModuleList([nn.Conv2d(dim, dim, 3)])
                self.proj = nn.Linear(temb_channels, dim)

            def forward(self, hidden_states, temb=None):
                for conv in self.conv:
                    hidden_states = conv(hidden_states) + self.proj(F.silu(temb))[:, :, None, None]
                return hidden_states
        """,
        "(8, 32, 32, 32) float32, temb: (8, 24) float32",
    ),
}


@pytest.mark.parametrize("case", FED)
def test_what_a_failure_tells(case: str, examined_file: Examine) -> None:
    source, told = FED[case]
    examined = examined_file(source)
    assert examined.fed is not None
    assert examined.fed.described == told


def test_the_sides_that_a_pattern_of_einops_names(examined_file: Examine) -> None:
    source = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3 * 8 * 8, 16)

        def forward(self, x):
            try:
                b, c, h, w = x.shape
            except ValueError:
                raise RuntimeError('Error while processing pattern "b c (h p) (w q) -> b (h w) (p q c)"') from None
            x = x.reshape(b, c, h // 8, 8, w // 8, 8).permute(0, 2, 4, 3, 5, 1)
            return self.fc(x.reshape(b, -1, 3 * 8 * 8))
    """
    examined = examined_file(source)
    assert examined.fed is not None
    assert examined.fed.described == "(8, 3, 64, 64) float32"
