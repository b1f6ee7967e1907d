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
    "a layer over patches": (
        """
        class Net(nn.Module):
            def __init__(self, patch=2, channels=5):
                super().__init__()
                self.patch = patch
                self.embed = nn.Linear(patch * patch * channels, 32)

            def forward(self, latents):
                b, c, h, w = latents.shape
                p = self.patch
                x = latents.reshape(b, c, h // p, p, w // p, p).permute(0, 2, 4, 1, 3, 5)
                return self.embed(x.flatten(3).flatten(1, 2))
        """,
        "(8, 5, 32, 32) float32",
    ),
    "a list of maps whose pixels are folded into channels": (
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.parts = nn.ModuleList([nn.Conv2d(48, 8, 3, padding=1) for _ in range(2)])

            def forward(self, xs):
                return sum(part(F.pixel_unshuffle(x, 4)) for x, part in zip(xs, self.parts))
        """,
        "[(8, 3, 32, 32) float32, (8, 3, 32, 32) float32]",
    ),
    "as many frames as positions": (
        """
        class Net(nn.Module):
            def __init__(self, dim=32):
                super().__init__()
                self.conv = nn.Conv2d(3, dim, 4, 4)
                self.register_buffer("places", torch.randn(1, 12, dim))

            def forward(self, film):
                b, c, frames, h, w = film.shape
                x = self.conv(film.transpose(1, 2).flatten(0, 1)).mean((2, 3)).view(b, frames, -1)
                return x + self.places
        """,
        "(8, 3, 12, 64, 64) float32",
    ),
    "two arguments of which neither is there": (
        """
        class Net(nn.Module):
            def __init__(self, dim=32):
                super().__init__()
                self.embed, self.table = nn.Linear(dim, dim), nn.Embedding(64, dim)

            def forward(self, x, text_ids: torch.Tensor = None, image_ids: torch.Tensor = None, scale=None):
                if scale is not None:
                    raise TypeError("scale is for models that were distilled")
                b, t, c = x.shape
                x = self.embed(x)
                if text_ids.ndim == 3:
                    text_ids = text_ids[0]
                if image_ids.ndim == 3:
                    image_ids = image_ids[0]
                return x + self.table(text_ids) + self.table(image_ids)
        """,
        "(8, 32, 32) float32, text_ids: (8, 32) int64, image_ids: (8, 32) int64",
    ),
    "one number per sample": (
        """
        class Net(nn.Module):
            def __init__(self, dim=32):
                super().__init__()
                self.embed = nn.Linear(dim, dim)

            def forward(self, x, strength: torch.Tensor = None):
                b, t, c = x.shape
                assert len(strength.shape) == 1, "strength should be a 1d-array"
                return self.embed(x) * strength[:, None, None]
        """,
        "(8, 32, 32) float32, strength: (8,) float32",
    ),
    "sizes of maps": (
        """
        class Net(nn.Module):
            def __init__(self, dim=32):
                super().__init__()
                self.embed = nn.Linear(dim, dim)
                self.places = nn.Parameter(torch.randn(64, 64, dim))

            def forward(self, x, shapes: list[tuple[int, int, int]] | None = None):
                (b, t, c), table = x.shape, []
                shapes = shapes if isinstance(shapes, list) else [shapes]
                for shape in shapes:
                    frames, height, width = shape
                    table.append(self.places[:height, :width].flatten(0, 1).repeat(frames, 1))
                return self.embed(x) + torch.stack(table)
        """,
        f"(8, 32, 32) float32, shapes: [{', '.join(['[1, 8, 4]'] * 8)}]",
    ),
    "a mask that is repeated for all samples": (
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = nn.Conv2d(4, 8, 3)

            def forward(self, x, mask: torch.Tensor = None):
                if mask is None:
                    raise ValueError("mask is required")
                mask = mask.float().reshape(mask.shape[0], 1, -1, 1)[:, :, :1].expand(-1, 1, *x.shape[2:])
                return self.conv(torch.cat([x, mask.repeat(x.shape[0], 1, 1, 1)], 1))
        """,
        "(8, 3, 32, 32) float32, mask: (1, 32) int64",
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
