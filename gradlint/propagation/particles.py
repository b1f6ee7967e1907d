"""Particles: a tensor's elements seen through four replicas, and the second moments between them.

A particle array is float64 `[R, U]` with R = 4 replicas (sample a position 1, sample a position 2, sample b position 1,
sample b position 2) and U = `S` units, or U = 1 where a reduction over units has left one number per replica.

The S particles are `BLOCKS` = 4 copies of S/4 distinct ones. Activations are alike in all blocks; a cotangent of
covariance K is, in block j, column j of 2·√K (with a random sign per particle). Backward is linear, so only second
moments of cotangents matter, and this design gives E[g gᵀ | x] = K exactly: no sampling noise enters the correlations
between samples and positions, which batch sums would multiply by thousands.

By exchangeability every covariance over replicas is described by four numbers (`Moments`), and all of them share the
eigenvectors `HADAMARD`: linear statements about samples and positions become statements about four eigenvalues.

Sources: Poole et al. 2016 and Schoenholz et al. 2017 (mean-field propagation of q and of correlations).
"""

import hashlib
import math
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TypeVar

import torch
from torch import Tensor

R = 4
BLOCKS = 4
S = 2048
DTYPE = torch.float64

Entry = TypeVar("Entry", float, Tensor)

HADAMARD = 0.5 * torch.tensor(
    [[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]],  # common, sample, position, both
    dtype=DTYPE,
)


@dataclass(frozen=True, slots=True)
class Moments:
    """Second moments over replicas: q same, p other position, s other sample, o both (uncentred unless said)."""

    q: float
    p: float
    s: float
    o: float

    def eigenvalues(self) -> tuple[float, float, float, float]:
        """Eigenvalues along the rows of `HADAMARD`: common, sample contrast, position contrast, both contrasts."""
        q, p, s, o = self.q, self.p, self.s, self.o
        return (q + p + s + o, q + p - s - o, q - p + s - o, q - p - s + o)

    @staticmethod
    def from_eigenvalues(a: float, b: float, c: float, d: float) -> "Moments":
        """Inverse of `eigenvalues`."""
        return Moments((a + b + c + d) / 4, (a + b - c - d) / 4, (a - b + c - d) / 4, (a - b - c + d) / 4)

    def times(self, factor: float) -> "Moments":
        """All moments multiplied by one factor."""
        return Moments(self.q * factor, self.p * factor, self.s * factor, self.o * factor)

    def plus(self, other: "Moments") -> "Moments":
        """Moments of the sum of two independent zero-mean signals."""
        return Moments(self.q + other.q, self.p + other.p, self.s + other.s, self.o + other.o)

    def minus(self, other: "Moments") -> "Moments":
        """Difference entry by entry."""
        return Moments(self.q - other.q, self.p - other.p, self.s - other.s, self.o - other.o)

    def product(self, other: "Moments") -> "Moments":
        """Entry by entry product: moments of the product of two independent signals."""
        return Moments(self.q * other.q, self.p * other.p, self.s * other.s, self.o * other.o)


ZERO = Moments(0.0, 0.0, 0.0, 0.0)
ALONE = Moments(1.0, 0.0, 0.0, 0.0)


def seed_of(*parts: object) -> int:
    """A stable 63-bit seed (Python's own `hash` differs from run to run)."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def generator(*parts: object) -> torch.Generator:
    """A generator seeded from its parts."""
    return torch.Generator().manual_seed(seed_of(*parts))


@cache
def _base(rows: int, distinct: int) -> Tensor:
    """`[rows, distinct]` normal scores of a Sobol sequence, antithetic, zero mean, identity covariance: exactly."""
    sobol = torch.quasirandom.SobolEngine(rows, scramble=True, seed=20)  # type: ignore[no-untyped-call]
    points: Tensor = sobol.draw(distinct // 2, dtype=DTYPE)
    half = torch.erfinv((2 * points - 1).clamp(-1 + 1e-9, 1 - 1e-9)).T * math.sqrt(2)
    z = torch.cat([half, -half], 1)
    factor = torch.linalg.cholesky(z @ z.T / distinct)
    white: Tensor = torch.linalg.solve_triangular(factor, z, upper=False)
    return white


def distinct() -> int:
    """Number of different particles (each stands once in every block); a power of two."""
    return S // BLOCKS


def tiled(index: Tensor) -> Tensor:
    """`[n]` places within one block → `[BLOCKS·n]` the same places in all blocks."""
    return torch.cat([index + block * distinct() for block in range(BLOCKS)])


def normal(*key: object, rows: int = R, units: object = None) -> Tensor:
    """`[rows, S]` standard normal particles with exactly zero mean and identity covariance, permuted by `key`.

    Their antithetic pairs stand where `units` has them, if given: several draws for the same units.
    """
    first, second = pairs(*key) if units is None else pairs(units)
    if units is not None:
        order = torch.randperm(first.numel(), generator=generator("order", *key))
        first, second = first[order], second[order]
    order = torch.empty(distinct(), dtype=torch.long)
    order[torch.cat([first, second])] = torch.arange(distinct())
    return _base(rows, distinct()).index_select(1, order.repeat(BLOCKS))


@lru_cache(maxsize=32)
def pairs(*key: object) -> tuple[Tensor, Tensor]:
    """Places of the antithetic pairs of `normal(*key)` within a block: z at the second is minus z at the first.

    Which places are partners differs from key to key (they differ in one bit of their index), or products of
    independent draws would be estimated from half as many particles.
    """
    n = distinct()
    gen = generator("pairs", *key)
    bit = 1 << int(torch.randint(0, n.bit_length() - 1, (1,), generator=gen))
    places = torch.arange(n)
    first = places[(places & bit) == 0][torch.randperm(n // 2, generator=gen)]
    return first, first ^ bit


def permutation(*key: object) -> Tensor:
    """`[S]` a permutation of the units that depends on `key` only, the same in all blocks."""
    return tiled(torch.randperm(distinct(), generator=generator(*key)))


def signs(*key: object) -> Tensor:
    """`[S]` as many +1 as -1, the same in all blocks."""
    n = distinct()
    base = torch.ones(n, dtype=DTYPE)
    base[n // 2 :] = -1
    return base[torch.randperm(n, generator=generator("signs", *key))].repeat(BLOCKS)


def roots(m: "Moments") -> Tensor:
    """`[R, R]` the symmetric square root of the covariance over replicas (negative eigenvalues count as zero)."""
    diagonal = torch.tensor([math.sqrt(max(v, 0.0)) for v in m.eigenvalues()], dtype=DTYPE)
    return HADAMARD.T @ (diagonal[:, None] * HADAMARD)


def columns(m: "Moments") -> Tensor:
    """`[R, S]` in block j column j of 2·√K, the same for every particle."""
    return (2 * roots(m)).repeat_interleave(distinct(), dim=1)


def along_directions(m: "Moments", z: Tensor) -> Tensor:
    """`[R, U]` particles of moments `m`, from unit particles `z` along the rows of `HADAMARD`."""
    diagonal = torch.tensor([math.sqrt(max(v, 0.0)) for v in m.eigenvalues()], dtype=DTYPE)
    return HADAMARD.T @ (diagonal[:, None] * z)


def cotangent(m: "Moments", *key: object) -> Tensor:
    """`[R, S]` cotangents of zero mean whose moments are `m`, given any function of the activations."""
    return columns(m) * signs(*key)


def scale_of(x: Tensor) -> float:
    """Largest magnitude, 1.0 where there is none: dividing by it keeps squares from under- and overflowing."""
    top = float(x.abs().amax()) if x.numel() else 0.0
    return top if top > 0 and math.isfinite(top) else 1.0


def covariance(x: Tensor) -> Tensor:
    """`[R, U]` → `[R, R]` uncentred second moments over units."""
    return x @ x.T / x.shape[1]


def symmetrise(k: Tensor) -> Moments:
    """`[R, R]` → the four class averages."""
    r = k.tolist()
    return Moments(
        (r[0][0] + r[1][1] + r[2][2] + r[3][3]) / 4,
        (r[0][1] + r[1][0] + r[2][3] + r[3][2]) / 4,
        (r[0][2] + r[2][0] + r[1][3] + r[3][1]) / 4,
        (r[0][3] + r[3][0] + r[1][2] + r[2][1]) / 4,
    )


def moments(x: Tensor) -> Moments:
    """Uncentred moments of `[R, U]` particles."""
    return symmetrise(covariance(x))


def centred(x: Tensor) -> Moments:
    """Moments after the mean over units has been taken out of each replica."""
    return moments(x - x.mean(1, keepdim=True)) if x.shape[1] > 1 else ZERO


def centred_blocks(g: Tensor) -> Moments:
    """Moments of cotangents after the mean over units has been taken out of each replica in each block."""
    return moments(g - block_means(g))


def block_means(g: Tensor) -> Tensor:
    """`[R, S]` in each block the mean of its cotangents."""
    return g.view(R, BLOCKS, -1).mean(2).repeat_interleave(g.shape[1] // BLOCKS, dim=1)


def gaussian(m: Moments, *key: object) -> Tensor:
    """`[R, S]` zero-mean Gaussian particles with the moments `m` (negative eigenvalues count as zero)."""
    return along_directions(m, normal(*key))


def reshape_moments(x: Tensor, target: Moments, *key: object, current: Moments | None = None) -> Tensor:
    """Map `[R, U]` particles linearly over replicas so that their moments become `target`; units keep their identity.

    Where the particles lack an eigen-direction that the target has, fresh noise keyed by `key` fills it.
    """
    y, lacking = _reshaped(x, target, current or moments(x))
    if any(lacking) and x.shape[1] > 1:
        y = y + HADAMARD.T @ (torch.tensor(lacking, dtype=DTYPE)[:, None] * normal(*key)[:, : x.shape[1]])
    return y


def reshape_cotangent(g: Tensor, target: Moments, *key: object, current: Moments | None = None) -> Tensor:
    """`reshape_moments` for cotangents: what fills a lacking direction is a cotangent too (see `columns`)."""
    y, lacking = _reshaped(g, target, current or moments(g))
    if any(lacking) and g.shape[1] > 1:
        a, b, c, d = (v * v for v in lacking)
        y = y + cotangent(Moments.from_eigenvalues(a, b, c, d), *key)[:, : g.shape[1]]
    return y


def _reshaped(x: Tensor, target: Moments, current: Moments) -> tuple[Tensor, list[float]]:
    """What can be had by scaling eigen-directions, and the roots of the eigenvalues that cannot."""
    now = current.eigenvalues()
    want = [max(v, 0.0) for v in target.eigenvalues()]
    top = max(max(now), 1e-300)
    gains = [math.sqrt(w / n) if n > 1e-12 * top else 0.0 for w, n in zip(want, now, strict=True)]
    y = HADAMARD.T @ (torch.tensor(gains, dtype=DTYPE)[:, None] * (HADAMARD @ x))
    lacking = [
        math.sqrt(w) if n <= 1e-12 * top and w > 1e-12 * max(want) else 0.0 for w, n in zip(want, now, strict=True)
    ]
    return y, lacking


def batch_eigenvalues(m: Moments, samples: int, positions: int) -> tuple[float, float, float, float]:
    """Eigenvalues of the covariance over all samples and positions of a batch: common, position contrasts, sample
    contrasts, both."""
    values = over_batch(m.q, m.p, m.s, m.o, samples, positions)
    common, position, sample, both = (not_by_chance(v, m.q, samples * positions) for v in values)
    return common, position, sample, both


def over_batch(q: Entry, p: Entry, s: Entry, o: Entry, samples: int, positions: int) -> tuple[Entry, ...]:
    """The same as they come, chance included, of one covariance or of a tensor of them."""
    b, n = samples - 1, positions - 1
    return (q + n * p + b * s + b * n * o, q - p + b * (s - o), q - s + n * (p - o), q - p - s + o)


def freedoms(samples: int, positions: int) -> tuple[int, int, int, int]:
    """How often each of the `batch_eigenvalues` occurs."""
    return 1, positions - 1, samples - 1, (samples - 1) * (positions - 1)


def not_by_chance(eigenvalue: float, q: float, n: int = 1) -> float:
    """An eigenvalue of a sum over `n` elements, not below zero.

    A covariance has none below zero. What chance has pushed there says that nothing coherent is known, which leaves the
    value of independent elements, q; exact cancellation (what a norm takes out) stays zero.
    """
    return q if eigenvalue < -1e-9 * q * n else max(eigenvalue, 0.0)


def rms(x: Tensor) -> float:
    """Root mean square over replicas and units, safe against under- and overflow."""
    if not x.numel():
        return 0.0
    if x.is_complex():
        return math.sqrt(2) * rms(torch.view_as_real(x))
    norm = float(torch.linalg.vector_norm(x, dtype=DTYPE)) / math.sqrt(x.numel())
    if 1e-140 < norm < 1e140 or (norm == 0.0 and not bool(x.any())):
        return norm
    scale = scale_of(x)
    return scale * float(torch.linalg.vector_norm(x / scale, dtype=DTYPE)) / math.sqrt(x.numel())
