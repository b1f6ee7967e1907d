"""The algebra under the engine: moments, eigenvalues, particles, cotangents."""

import math

import pytest
import torch
from _properties import moments, quick
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gradlint.propagation import particles as P
from gradlint.propagation.recurrent_cell import sequence_moments
from gradlint.propagation.signal import modes


def matrix(m: P.Moments) -> Tensor:
    """The `[4, 4]` covariance over replicas that four moments stand for: samples a a b b, positions 1 2 1 2."""
    q, p, s, o = m.q, m.p, m.s, m.o
    return torch.tensor([[q, p, s, o], [p, q, o, s], [s, o, q, p], [o, s, p, q]], dtype=P.DTYPE)


def entries(m: P.Moments) -> tuple[float, ...]:
    return (m.q, m.p, m.s, m.o)


@quick
@given(st.tuples(*[st.floats(-10, 10) for _ in range(4)]))
def test_eigenvalues_and_back(values: tuple[float, float, float, float]) -> None:
    m = P.Moments(*values)
    assert entries(P.Moments.from_eigenvalues(*m.eigenvalues())) == pytest.approx(values, abs=1e-12)


@quick
@given(moments())
def test_eigenvalues_are_those_of_the_matrix(m: P.Moments) -> None:
    diagonal = P.HADAMARD @ matrix(m) @ P.HADAMARD.T
    assert torch.allclose(diagonal, torch.diag(torch.tensor(m.eigenvalues(), dtype=P.DTYPE)), atol=1e-12)
    assert torch.allclose(torch.linalg.eigvalsh(matrix(m)), torch.tensor(sorted(m.eigenvalues()), dtype=P.DTYPE))


@quick
@given(moments(), moments(), st.floats(0, 3))
def test_sums_and_products_are_those_of_the_matrices(a: P.Moments, b: P.Moments, factor: float) -> None:
    assert torch.allclose(matrix(a.plus(b)), matrix(a) + matrix(b))
    assert torch.allclose(matrix(a.minus(b)), matrix(a) - matrix(b))
    assert torch.allclose(matrix(a.product(b)), matrix(a) * matrix(b))
    assert torch.allclose(matrix(a.times(factor)), matrix(a) * factor)


@quick
@given(moments())
def test_symmetrise_reads_what_a_matrix_holds(m: P.Moments) -> None:
    assert entries(P.symmetrise(matrix(m))) == pytest.approx(entries(m))


def test_normal_particles_are_standard_exactly() -> None:
    x = P.normal("some", "key")
    assert x.shape == (P.R, P.S)
    assert torch.allclose(x.mean(1), torch.zeros(P.R, dtype=P.DTYPE), atol=1e-12)
    assert torch.allclose(P.covariance(x), torch.eye(P.R, dtype=P.DTYPE), atol=1e-10)
    assert torch.equal(x, P.normal("some", "key"))
    assert not torch.equal(x, P.normal("another", "key"))
    assert float(x.pow(4).mean()) == pytest.approx(3, abs=0.15)


@quick
@given(moments(), st.integers(0, 10**6))
def test_gaussian_particles_have_the_moments_asked_for(m: P.Moments, key: int) -> None:
    assert entries(P.moments(P.gaussian(m, key))) == pytest.approx(entries(m), abs=1e-9)


@quick
@given(moments(), st.integers(0, 10**6))
def test_cotangents_are_exact_given_any_function_of_the_activations(m: P.Moments, key: int) -> None:
    g = P.cotangent(m, key)
    assert entries(P.moments(g)) == pytest.approx(entries(m), abs=1e-9)
    units = g.view(P.R, P.BLOCKS, -1)
    each = torch.einsum("rbu,sbu->urs", units, units) / P.BLOCKS
    assert torch.allclose(each, matrix(m).expand_as(each), atol=1e-9)
    weight = P.normal("activation", key)[0].square()
    weighted = (g * weight) @ g.T / weight.sum()
    assert torch.allclose(weighted, matrix(m), atol=1e-9)


@quick
@given(moments())
def test_roots_square_to_the_covariance(m: P.Moments) -> None:
    assert torch.allclose(P.roots(m) @ P.roots(m), matrix(m), atol=1e-9)
    assert entries(P.moments(P.columns(m))) == pytest.approx(entries(m), abs=1e-9)


@quick
@given(moments(), moments(), st.integers(0, 10**6))
def test_reshape_moments_hits_its_target(now: P.Moments, target: P.Moments, key: int) -> None:
    y = P.reshape_moments(P.gaussian(now, key), target, "reshape", key)
    assert entries(P.moments(y)) == pytest.approx(entries(target), rel=1e-6, abs=1e-6)


@quick
@given(moments(), st.integers(0, 10**6))
def test_reshape_moments_fills_directions_that_are_lacking(target: P.Moments, key: int) -> None:
    alike = P.gaussian(P.Moments(1.0, 1.0, 1.0, 1.0), key)
    y = P.reshape_moments(alike, target, "fill", key)
    assert entries(P.moments(y)) == pytest.approx(entries(target), rel=0.15, abs=0.15 * target.q)


@quick
@given(moments(), st.integers(0, 10**6))
def test_modes_have_the_mean_square_asked_for(m: P.Moments, key: int) -> None:
    x = modes(m, key)
    assert x.shape == (P.R, 1)
    assert float(x.square().mean()) == pytest.approx(m.q)


def test_centred_moments_ignore_the_unit_mean() -> None:
    x = P.gaussian(P.Moments(1.0, 0.5, 0.2, 0.1), "x")
    assert entries(P.centred(x + 7)) == pytest.approx(entries(P.moments(x)))
    g = P.cotangent(P.Moments(1.0, 0.5, 0.2, 0.1), "g")
    assert entries(P.centred_blocks(g)) == pytest.approx(entries(P.moments(g)))


def test_signs_and_permutations_are_alike_in_all_blocks() -> None:
    signs, order, n = P.signs("k"), P.permutation("k"), P.distinct()
    assert signs.sum() == 0
    assert torch.equal(signs.view(P.BLOCKS, n), signs[:n].expand(P.BLOCKS, n))
    assert torch.equal(order.sort().values, torch.arange(P.S))
    assert torch.equal(order.view(P.BLOCKS, n), order[:n] + n * torch.arange(P.BLOCKS)[:, None])


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1.0, 1e200, 1e300])
def test_rms_neither_underflows_nor_overflows(scale: float) -> None:
    x = P.normal("x")
    assert P.rms(x * scale) / scale == pytest.approx(1.0, rel=1e-9)


def test_rms_of_nothing_is_zero() -> None:
    assert P.rms(torch.zeros(P.R, P.S)) == 0.0
    assert P.rms(torch.zeros(P.R, 0)) == 0.0
    assert math.isnan(P.rms(torch.tensor([math.nan])))


@quick
@given(st.integers(2, 5), st.integers(2, 6), st.integers(0, 10**6))
def test_sequence_moments_are_means_over_pairs(samples: int, steps: int, seed: int) -> None:
    x = torch.randn(steps, samples, 7, generator=torch.Generator().manual_seed(seed), dtype=P.DTYPE)
    sums: dict[tuple[bool, bool], list[float]] = {}
    for t in range(steps):
        for u in range(steps):
            for a in range(samples):
                for b in range(samples):
                    sums.setdefault((t == u, a == b), []).append(float((x[t, a] * x[u, b]).mean()))
    mean = {pair: sum(values) / len(values) for pair, values in sums.items()}
    expected = (mean[True, True], mean[False, True], mean[True, False], mean[False, False])
    assert entries(sequence_moments(x)) == pytest.approx(expected, abs=1e-9)
