"""Paired t-tests and Holm's correction against published and hand-worked values."""

import math

import pytest

from train.reports.significance import holm, paired_t_test

# Hours of sleep gained with two drugs: Student, Biometrika 1908. `t.test(extra ~ group, data = sleep, paired = TRUE)` of
# R's documentation gives t = -4.0621, df = 9, p = 0.002833, interval -2.4598858 to -0.7001142, mean difference -1.58.
FIRST_DRUG = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SECOND_DRUG = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def test_students_own_example():
    test = paired_t_test(FIRST_DRUG, SECOND_DRUG)
    assert test.n == 10
    assert test.difference == pytest.approx(-1.58)
    assert (test.low, test.high) == pytest.approx((-2.4598858, -0.7001142), abs=1e-7)
    assert test.p == pytest.approx(0.002833, abs=5e-7)


def test_two_pairs_by_hand():
    # Differences 1 and 3: mean 2, standard error 1, t = 2 with one degree of freedom, whose distribution is Cauchy's.
    test = paired_t_test([1.0, 5.0], [0.0, 2.0])
    assert test.p == pytest.approx(2 * (0.5 - math.atan(2) / math.pi))
    half = math.tan(0.475 * math.pi)
    assert (test.low, test.high) == pytest.approx((2 - half, 2 + half))


def test_the_other_way_round_only_the_signs_change():
    there, back = paired_t_test(FIRST_DRUG, SECOND_DRUG), paired_t_test(SECOND_DRUG, FIRST_DRUG)
    assert (back.difference, back.low, back.high, back.p) == (-there.difference, -there.high, -there.low, there.p)


def test_pairs_without_a_finite_value_are_left_out():
    nan, inf = math.nan, math.inf
    assert paired_t_test([*FIRST_DRUG, nan, 1.0], [*SECOND_DRUG, 2.0, inf]) == paired_t_test(FIRST_DRUG, SECOND_DRUG)


@pytest.mark.parametrize(
    ("scores", "reference", "n", "difference"),
    [
        ([], [], 0, math.nan),
        ([0.5], [0.25], 1, 0.25),
        ([0.5, 0.7], [0.5, 0.7], 2, 0.0),
        # Differences of 0.1 up to rounding, which scipy would call infinitely significant, with a warning.
        ([0.3, 0.4, 0.8], [0.2, 0.3, 0.7], 3, 0.1),
    ],
)
def test_no_test_without_a_spread(scores, reference, n, difference):
    test = paired_t_test(scores, reference)
    assert test.n == n
    assert test.difference == pytest.approx(difference, nan_ok=True)
    assert all(math.isnan(value) for value in (test.low, test.high, test.p))


def test_scores_of_other_images_are_refused():
    with pytest.raises(ValueError, match=r"alike, got shapes \(2,\) and \(3,\)"):
        paired_t_test([1.0, 2.0], [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [
        # By hand: sorted .005 .01 .03 .04, times 4 3 2 1 = .02 .03 .06 .04, and .04 is raised to the .06 before it.
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        # R: p.adjust(c(0.6, 0.02, 0.9), "holm") = 1.00 0.06 1.00
        ([0.6, 0.02, 0.9], [1.0, 0.06, 1.0]),
        ([0.02, math.nan, 0.03], [0.04, math.nan, 0.04]),
        ([0.02, 0.02], [0.04, 0.04]),
        ([0.04], [0.04]),
        ([math.nan], [math.nan]),
        ([], []),
    ],
)
def test_holm(p_values, corrected):
    assert holm(p_values) == pytest.approx(corrected, nan_ok=True)
