"""Linear maps over positions, the taps of contractions and the statistics of a batch, against explicit matrices."""

import math

import pytest
import torch
import torch.nn.functional as F
from _properties import moments, quick
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.positions import PositionMap
from gradlint.propagation.transfer.batch_norm import BatchStatistics
from gradlint.propagation.transfer.contraction import Taps
from gradlint.propagation.transfer.convolution import valid_outputs
from gradlint.propagation.transfer.pooling import adaptive_matrix, window_matrix


def covariance(m: P.Moments, positions: int) -> Tensor:
    """`[2·positions, 2·positions]` of two samples at all their positions."""
    eye, ones = torch.eye(positions, dtype=P.DTYPE), torch.ones(positions, positions, dtype=P.DTYPE)
    same, other = (m.q - m.p) * eye + m.p * ones, (m.s - m.o) * eye + m.o * ones
    return torch.cat([torch.cat([same, other], 1), torch.cat([other, same], 1)])


def read(k: Tensor) -> tuple[float, float, float, float]:
    """The four mean moments of such a matrix."""
    n = k.shape[0] // 2
    off = ~torch.eye(n, dtype=torch.bool)
    same, other = k[:n, :n], k[:n, n:]
    p, o = (float(a[off].mean()) if n > 1 else float(a.mean()) for a in (same, other))
    return float(same.diagonal().mean()), p, float(other.diagonal().mean()), o


def explicit(a: Tensor, m: P.Moments) -> tuple[float, ...]:
    both = torch.block_diag(a, a)  # type: ignore[no-untyped-call]
    return read(both @ covariance(m, a.shape[1]) @ both.T)


@st.composite
def maps(draw: st.DrawFn) -> list[Tensor]:
    """One or two small matrices, some entries zero."""
    axes = draw(st.integers(1, 2))
    shapes = [(draw(st.integers(1, 5)), draw(st.integers(2, 5))) for _ in range(axes)]
    cell = st.sampled_from([0.0, 0.25, 0.5, 1.0, -1.0])
    return [torch.tensor([[draw(cell) for _ in range(n)] for _ in range(out)], dtype=P.DTYPE) for out, n in shapes]


@quick
@given(maps(), moments())
def test_a_position_map_is_its_matrix(matrices: list[Tensor], m: P.Moments) -> None:
    whole = matrices[0] if len(matrices) == 1 else torch.kron(*matrices)
    a = PositionMap.of(matrices)
    found = a(m)
    assert (found.q, found.p, found.s, found.o) == pytest.approx(explicit(whole, m), abs=1e-9)
    back = a.transposed(m)
    assert (back.q, back.p, back.s, back.o) == pytest.approx(explicit(whole.T, m), abs=1e-9)


@quick
@given(st.integers(3, 12), st.integers(1, 3), st.integers(1, 3), st.integers(0, 1), st.booleans())
def test_pooling_windows(n: int, kernel: int, stride: int, pad: int, count_pad: bool) -> None:
    pad = min(pad, kernel // 2)
    eye = torch.eye(n, dtype=P.DTYPE)[None]
    expected = F.avg_pool1d(eye, kernel, stride, pad, count_include_pad=count_pad)[0].T
    found = window_matrix(n, expected.shape[0], kernel, stride, pad, count_pad=count_pad)
    assert torch.allclose(found, expected)


@quick
@given(st.integers(1, 12), st.integers(1, 12))
def test_adaptive_windows(n: int, out: int) -> None:
    expected = F.adaptive_avg_pool1d(torch.eye(n, dtype=P.DTYPE)[None], out)[0].T
    assert torch.allclose(adaptive_matrix(n, out), expected)


@quick
@given(st.integers(4, 9), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2))
def test_taps_are_counted_as_a_convolution_meets_them(n: int, k: int, stride: int, pad: int, dilation: int) -> None:
    out = (n + 2 * pad - dilation * (k - 1) - 1) // stride + 1
    if out < 1:
        return
    eye = torch.eye(k, dtype=P.DTYPE)[:, None]
    meets = F.conv1d(torch.ones(1, 1, n, dtype=P.DTYPE), eye, None, stride, pad, dilation)[0]
    counts = valid_outputs(n, k, stride, pad, dilation, out)
    assert counts.tolist() == meets.sum(1).tolist()
    taps = Taps.of([counts], out, n)
    assert taps.valid == pytest.approx(float(meets.mean()))
    assert taps.gain == pytest.approx(float(meets.sum()) / k / n)
    together = torch.einsum("ka,kb->kab", meets, meets)
    off = ~torch.eye(out, dtype=torch.bool)
    if out > 1:
        assert taps.both == pytest.approx(float(together[:, off].mean()))
    assert taps.gain_both == pytest.approx(float(together[:, off].sum()) / k / (n * (n - 1)))
    turned = taps.transposed
    assert (turned.valid, turned.both, turned.gain, turned.gain_both) == (
        taps.gain,
        taps.gain_both,
        taps.valid,
        taps.both,
    )


def test_taps_of_two_axes_are_those_of_their_product() -> None:
    rows, columns = valid_outputs(6, 3, 1, 1, 1, 6), valid_outputs(5, 3, 2, 0, 1, 2)
    taps = Taps.of([rows, columns], 12, 30)
    counts = torch.outer(rows, columns).double()
    assert taps.valid == pytest.approx(float(counts.mean()) / 12)
    assert taps.both == pytest.approx(float((counts * (counts - 1)).mean()) / (12 * 11))
    assert taps.gain == pytest.approx(float(counts.mean()) / 30)


def batches(m: P.Moments, samples: int, positions: int, units: int) -> Tensor:
    """`[units, samples, positions]` Gaussian with the moments `m`."""
    gen = torch.Generator().manual_seed(0)
    parts = (
        (m.o, 1, 1),
        (m.p - m.o, samples, 1),
        (m.s - m.o, 1, positions),
        (m.q - m.p - m.s + m.o, samples, positions),
    )
    return sum(
        (math.sqrt(v) * torch.randn(units, b, p, generator=gen, dtype=P.DTYPE) for v, b, p in parts),
        torch.zeros(units, samples, positions, dtype=P.DTYPE),
    )


def averages(x: Tensor) -> tuple[float, ...]:
    """Mean over units of the products of equal, other positions', other samples' and both others' elements."""
    _, b, p = x.shape
    q = float(x.square().mean())
    rows, columns, whole = (float(x.sum(d).square().mean()) for d in (2, 1, (1, 2)))
    other_p = (rows / p - q) / (p - 1)
    other_s = (columns / b - q) / (b - 1)
    both = (whole / (b * p) - q - (p - 1) * other_p - (b - 1) * other_s) / ((b - 1) * (p - 1))
    return q, other_p, other_s, both


@pytest.mark.parametrize("shape", [(2, 8), (4, 6), (16, 2)])
def test_batch_statistics_are_those_of_real_batches(shape: tuple[int, int]) -> None:
    m, g = P.Moments(1.0, 0.4, 0.3, 0.2), P.Moments(1.0, 0.7, 0.1, 0.05)
    samples, positions = shape
    units = 20_000
    x = batches(m, samples, positions, units).requires_grad_()
    flat = x.reshape(units, -1).T
    y = F.batch_norm(flat, None, None, training=True, eps=1e-5)
    statistics = BatchStatistics.draw(m, samples, positions, 1e-5, chance=True)
    forward = statistics.forward()
    measured = averages(y.detach().T.reshape(x.shape))
    assert (forward.q, forward.p, forward.s, forward.o) == pytest.approx(measured, abs=0.02)
    cotangent = batches(g, samples, positions, units).flip(0)
    (back,) = torch.autograd.grad(y, x, cotangent.reshape(units, -1).T)
    left = statistics.backward(g)
    expected = averages(back)
    assert (left.q, left.p, left.s, left.o) == pytest.approx(expected, abs=0.03 * expected[0])
