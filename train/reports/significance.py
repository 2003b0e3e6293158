"""Whether two networks differ on the same test images: paired t-tests, corrected for their number."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

LEVEL = 0.05
"""Largest p-value that counts as a difference; the intervals cover 1 - LEVEL."""

# Differences that vary by less than this share of the largest differ by rounding alone.
_ROUNDING = 1e-9


class PairedTest(NamedTuple):
    """A paired t-test, two-sided.

    Attributes:
        n: pairs.
        difference: mean of the scores minus those of the reference.
        low: lower end of the 95 percent interval of the mean difference; NaN without a test.
        high: upper end.
        p: probability of a mean difference this far from 0 if there were none; NaN without a test.
    """

    n: int
    difference: float
    low: float
    high: float
    p: float


def paired_t_test(scores: npt.ArrayLike, reference: npt.ArrayLike) -> PairedTest:
    """Student's t-test of the differences between two scores of the same images.

    There is no test of fewer than two pairs, nor of differences that are all the same: its p-value and interval are NaN.

    Args:
        scores: `[N]`.
        reference: `[N]`, of the same images in the same order. Pairs with a value that is not finite are left out.

    Returns:
        The test.

    Raises:
        ValueError: the shapes differ.

    References:
        Student, "The Probable Error of a Mean", Biometrika 1908.
    """
    first, second = np.asarray(scores, np.float64), np.asarray(reference, np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"scores and reference must be [N] alike, got shapes {first.shape} and {second.shape}")
    whole = np.isfinite(first) & np.isfinite(second)
    first, second = first[whole], second[whole]
    differences = first - second
    n = len(differences)
    if n < 2 or np.ptp(differences) <= _ROUNDING * max(np.abs(first).max(), np.abs(second).max()):
        mean = float(differences.mean()) if n else float("nan")
        return PairedTest(n, mean, float("nan"), float("nan"), float("nan"))
    result = stats.ttest_rel(first, second)
    interval = result.confidence_interval(1 - LEVEL)
    return PairedTest(n, float(differences.mean()), float(interval.low), float(interval.high), float(result.pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p-values for their number: the chance of one false difference among all of them stays below the level.

    The k-th smallest of m is multiplied by m - k + 1; a corrected value is never below that of a smaller p-value.

    Args:
        p_values: those of all tests that one reader looks at; NaN where there was no test, which does not count.

    Returns:
        The corrected p-values in the same order, at most 1; NaN stays.

    References:
        Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 1979.
    """
    values = np.asarray(p_values, np.float64)
    corrected = np.full(values.shape, np.nan)
    order = np.argsort(values)[: int(np.isfinite(values).sum())]  # NaN are sorted to the end
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(factors * values[order]), 1.0)
    return corrected.tolist()
