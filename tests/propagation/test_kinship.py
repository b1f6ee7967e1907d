"""How much the variances of a convolution's units differ, against convolutions of real maps."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gradlint.propagation.kinship import REACH, Kinship, border, summed
from gradlint.propagation.transfer.convolution import valid_taps

UNITS, SIDE = 48, 24


def participation(x: Tensor, kernel: int, pad: int) -> float:
    """Tr Σ²/(Tr Σ)² of the windows of `[B, C, H, W]`."""
    windows = F.unfold(x, kernel, padding=pad).transpose(1, 2).reshape(-1, x.shape[1] * kernel**2)
    windows = windows - windows.mean(0)
    sigma = windows.T @ windows / len(windows)
    return float(sigma.square().sum() / sigma.trace().square())


def maps(seed: int, samples: int = 48) -> Tensor:
    return torch.randn(samples, UNITS, SIDE, SIDE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_convolutions_of_few_units_make_units_and_neighbours_alike() -> None:
    """Two convolutions in a row, without padding: what the third one reads has fewer directions than elements."""
    kin, x = Kinship.none(UNITS, 2), maps(0)
    for seed in (1, 2):
        _, kin = kin.contracted(UNITS, [3, 3], [1, 1], [1, 1])
        w = torch.randn(UNITS, UNITS, 3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        x = F.conv2d(x, w)
    beyond, _ = kin.contracted(UNITS, [3, 3], [1, 1], [1, 1])
    measured = participation(x, 3, 0) - 1 / (9 * UNITS)
    assert beyond == pytest.approx(measured, rel=0.25)


def test_padding_adds_what_the_common_mean_lacks_at_the_border() -> None:
    x = maps(3).abs()
    valid = [valid_taps(SIDE, 3, 1, 1, 1, SIDE)] * 2
    mean, spread = float(x.mean()) ** 2, float(x.var())
    measured = participation(x, 3, 1) - participation(x, 3, 0)
    assert border(valid, mean, spread) == pytest.approx(measured, rel=0.15)
    assert border(valid, 0.0, spread) == 0.0


def test_windows_that_overlap_make_neighbours_alike() -> None:
    apart, overlapping = (Kinship.none(UNITS, 2).pooled([k, k], [2, 2]) for k in (2, 3))
    assert not apart.pairs.any()
    pooled = F.avg_pool2d(maps(4), 3, 2)
    a, b = pooled[..., :-1], pooled[..., 1:]
    alike = float((a * b).mean() / pooled.square().mean()) ** 2 / UNITS
    assert float(overlapping.pairs[REACH, REACH + 1]) == pytest.approx(alike, rel=0.1)


def test_a_sum_of_independent_maps_is_less_alike_than_each() -> None:
    kin = Kinship.none(UNITS, 1).contracted(UNITS, [3], [1], [1])[1]
    both = summed([(kin, 1.0), (kin, 1.0)])
    assert both is not None
    torch.testing.assert_close(both.pairs, kin.pairs / 2)
    assert summed([(kin, 1.0), (Kinship.none(UNITS + 1, 1), 1.0)]) is None


def test_units_meet_only_themselves_in_a_depthwise_convolution() -> None:
    kin = Kinship.none(UNITS, 1).each_alone([3], [1], [1])
    assert float(kin.pairs[REACH]) == 0.0  # other units stay apart
    assert float(kin.pairs[REACH + 1]) == pytest.approx(2 / 9 / UNITS)  # two of three taps meet in the next window
