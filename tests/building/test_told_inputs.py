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
    "told before grown": (
        """
        class Net(nn.Module):
            def __init__(self, in_size=(64, 64)):
                super().__init__()
                self.in_size = in_size
                self.stem = nn.Sequential(nn.Conv2d(3, 8, 9, stride=8), nn.ReLU())
                self.pool = nn.AvgPool2d(7, stride=1)
                self.head = nn.Linear(8, 4)

            def forward(self, x):
                return self.head(self.pool(self.stem(x)).flatten(1))
        """,
        "(8, 3, 64, 64) float32",
    ),
    "of pretrained weights": (
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.pretrained_cfg = {"input_size": (3, 48, 48)}
                self.embed = nn.Linear(192, 32)
                self.position = nn.Parameter(torch.randn(36, 32))

            def forward(self, x):
                if isinstance(x, dict):
                    x = x["patches"]
                elif x.ndim == 4:
                    x = F.unfold(x, 8, stride=8).mT
                else:
                    raise ValueError("patch_coord is required")
                return self.embed(x) + self.position
        """,
        "(8, 3, 48, 48) float32",
    ),
    "a tensor or a dict": (
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.a = nn.Conv2d(3, 8, 3)

            def forward(self, x):
                if isinstance(x, dict):
                    x = x["image"] * x["weight"]
                return self.a(x).relu()
        """,
        "(8, 3, 32, 32) float32",
    ),
    "pictures have few channels": (
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.body, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 3)

            def forward(self, images):
                features = self.body(images)
                images = features.relu()
                return self.head(images)
        """,
        "(8, 3, 32, 32) float32",
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


DETECTOR = """
class Detector(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.body = nn.Conv2d(3, width, 3, stride=4, padding=1)
        self.wide = nn.Linear(width, width)
        self.head = nn.Linear(width, 5)

    def forward(self, images{images}, targets{targets}=None):
        {comment}
        if self.training:
            if targets is None:
                raise ValueError("targets should not be none when in training mode")
            for target in targets:
                if target["boxes"].shape[-1] != 4 or (target["boxes"][:, 2:] <= target["boxes"][:, :2]).any():
                    raise ValueError("no boxes")
        maps = torch.stack([self.body(image[None])[0] for image in images])
        scores = self.head(self.wide(maps.flatten(2).mT))
        kept = scores[scores[..., 0] > scores[..., 0].mean()]
        count = sum(len(target["labels"]) for target in targets)
        return {{"boxes": kept[:, 1:].square().mean(), "scores": scores.mean() / count}}
"""
ANNOTATED = DETECTOR.format(
    images=": list[torch.Tensor]", targets=": list[dict[str, torch.Tensor]] | None", comment='"""Losses."""'
)
COMMENTED = DETECTOR.format(
    images="", targets="", comment="# type: (list[Tensor], Optional[list[dict[str, Tensor]]]) -> dict[str, Tensor]"
)
RECORD = "{boxes: (2, 4) float32, labels: (2,) int64}"


@pytest.mark.parametrize("text", [ANNOTATED, COMMENTED], ids=["annotated", "commented"])
def test_a_detector_is_given_images_and_boxes(text: str, examined_file: Examine) -> None:
    result = examined_file(text)
    assert result.fed is not None
    images = "[(3, 32, 32) float32, (3, 32, 32) float32]"
    assert result.fed.described == f"{images}, targets: [{RECORD}, {RECORD}]"
    assert all(flow.gradient_rms for flow in result.flow.parameters().values())


def test_a_forward_that_depends_on_values_is_given_them(examined_file: Examine) -> None:
    """Boxes that are chosen by what they hold, in a model that would be built without memory."""
    result = examined_file(ANNOTATED.replace("width=8", "width=5600"))
    assert result.built.fake_mode is None
    assert "built with real tensors: its forward pass reads the values of large ones" in result.built.notes
    assert result.fed is not None and RECORD in result.fed.described


def test_what_is_called_a_shape_is_one_and_other_brackets_beside_it_are_none(examined_file: Examine) -> None:
    examined = examined_file(
        '''
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc, self.where = nn.Linear(16, 8), nn.Linear(3, 8)

            def forward(self, latents, time, places):
                """Velocity.

                Args:
                    latents (`Tensor` of shape `(batch_size, seq_len, channels)`): latents, in order (b, s, and c).
                    time (`Tensor` of shape `(batch_size,)`): time in `[0, 1]` (1 is noise, 0 is data).
                    places (`Tensor` of shape `(seq_len, 3)`): `(t, h, w, n)` coordinates.
                """
                return self.fc(latents) * time[:, None, None] + self.where(places.float())
        '''
    )
    assert examined.fed is not None
    assert examined.fed.described == "(8, 8, 16) float32, (8,) int64, (8, 3) float32"
