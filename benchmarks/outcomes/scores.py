"""Precision, recall, AUROC and rank correlation, with the intervals that so many networks allow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import rankdata, spearmanr

CONFIDENCE = 1.96
"""Standard deviations of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `total`, with its 95 % interval (Wilson 1927)."""

    hits: int
    total: int

    @property
    def value(self) -> float:
        """NaN where there is nothing to count."""
        return self.hits / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval."""
        if not self.total:
            return 0.0, 1.0
        n, p, z = self.total, self.value, CONFIDENCE
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.3f} ({low:.3f}–{high:.3f}; {self.hits}/{self.total})"


def precision(flags: Sequence[bool], truth: Sequence[bool]) -> Share:
    """Of those flagged, the share that is true."""
    return Share(sum(f and t for f, t in zip(flags, truth, strict=True)), sum(flags))


def recall(flags: Sequence[bool], truth: Sequence[bool]) -> Share:
    """Of those that are true, the share that is flagged."""
    return Share(sum(f and t for f, t in zip(flags, truth, strict=True)), sum(truth))


def auroc(scores: Sequence[float], truth: Sequence[bool]) -> float:
    """Chance that a true one scores higher than one that is not (Mann–Whitney; ties count half)."""
    positive = sum(truth)
    negative = len(truth) - positive
    if not positive or not negative:
        return math.nan
    ranks = rankdata(scores)
    total = sum(rank for rank, is_true in zip(ranks, truth, strict=True) if is_true)
    return float((total - positive * (positive + 1) / 2) / (positive * negative))


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's ρ."""
    return float(spearmanr(first, second).statistic)
