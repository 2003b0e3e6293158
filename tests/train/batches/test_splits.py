"""Parts of a cross-validation."""

import numpy as np
import pytest

from train.batches.splits import cross_validation

PAPER = dict(folds=3, validation_fraction=0.2, seed=0)


def every_fold(count, folds=3, **settings):
    return [cross_validation(count, folds=folds, fold=fold, **settings) for fold in range(folds)]


@pytest.mark.parametrize("count", [40, 165, 7])
@pytest.mark.parametrize("folds", [2, 3, 5])
@pytest.mark.parametrize("blocks", [False, True])
def test_every_image_is_tested_once_and_is_in_one_part_of_each_fold(count, folds, blocks):
    splits = every_fold(count, folds, validation_fraction=0.2, seed=3, blocks=blocks)
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(count))
    for split in splits:
        assert sorted(np.concatenate(split)) == list(range(count))
        assert all((np.diff(part) > 0).all() for part in split)


def test_drive_has_the_paper_s_shares():
    # 40 images: 14, 13 and 13 tested; of the other 26 or 27 a fifth, 5, validates.
    sizes = [[part.size for part in split] for split in every_fold(40, **{**PAPER, "seed": 1})]
    assert sizes == [[21, 5, 14], [22, 5, 13], [22, 5, 13]]


def test_split_depends_on_the_settings_alone():
    first, again = every_fold(40, **PAPER), every_fold(40, **PAPER)
    for one, other in zip(first, again, strict=True):
        for part, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(part, same)
    other_seed = cross_validation(40, fold=0, **{**PAPER, "seed": 1})
    assert list(first[0].test) != list(other_seed.test)
    more_validation = cross_validation(40, fold=0, folds=3, validation_fraction=0.5, seed=0)
    np.testing.assert_array_equal(first[0].test, more_validation.test)


def test_seeds_choose_every_image_for_validation():
    chosen = [cross_validation(9, fold=0, **{**PAPER, "seed": seed}).validation for seed in range(60)]
    assert set(np.concatenate(chosen)) == set(range(9))


@pytest.mark.parametrize("gap", [0, 1, 4])
@pytest.mark.parametrize("seed", range(5))
def test_runs_are_unbroken_and_a_gap_apart(gap, seed):
    splits = every_fold(61, validation_fraction=0.2, seed=seed, blocks=True, gap=gap)
    assert [split.test.tolist() for split in splits] == [[*range(21)], [*range(21, 41)], [*range(41, 61)]]
    for train, validation, test in splits:
        assert (np.diff(validation) == 1).all()
        for one, other in ((train, validation), (train, test), (validation, test)):
            assert abs(one[:, None] - other).min() > gap
        # Beside each held-out run there is a gap on either side, and no more than that is left out.
        assert train.size + validation.size + test.size >= 61 - 4 * gap
        assert validation.size == round(0.2 * (61 - test.size - gap * (2 if test[0] == 21 else 1)))


def test_seed_moves_the_validation_run():
    runs = {
        int(cross_validation(30, fold=1, **{**PAPER, "seed": seed}, blocks=True, gap=1).validation[0])
        for seed in range(40)
    }
    # Fold 1 tests 10 to 19; beside the gap 0 to 8 and 21 to 29 are left, for runs of four.
    assert runs <= {*range(6), *range(21, 27)} and min(runs) < 6 and max(runs) > 20 and len(runs) > 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": 1}, "folds must be 2 or more, got 1"),
        ({"fold": 3}, r"fold must be 0 to 2 \(folds - 1\), got 3"),
        ({"fold": -1}, "fold must be 0 to 2"),
        ({"validation_fraction": 0}, "validation_fraction must be above 0 and below 1, got 0"),
        ({"validation_fraction": 1.0}, "validation_fraction must be above 0 and below 1, got 1.0"),
        ({"gap": 1}, "gap must be 0 or more, and 0 without blocks, got 1"),
        ({"gap": -1, "blocks": True}, "gap must be 0 or more, and 0 without blocks, got -1"),
        ({"count": 0}, "0 images are too few for fold 0 of 3: .* 0 for the test; add images"),
        ({"count": 1}, "1 images are too few for fold 0 of 3: .* 1 for the test; add images, or lower data.folds"),
        ({"count": 2}, "0 for training, 1 for validation and 1 for the test"),
        ({"count": 9, "blocks": True, "gap": 3}, "3 left out on each side of a run; .* lower .* or data.gap"),
        ({"count": 3, "blocks": True, "gap": 9}, "3 images are too few"),
        # The middle run leaves two of 3 at its sides, in which a run of 5 has no place.
        ({"count": 9, "blocks": True, "fold": 1, "validation_fraction": 0.9}, "6 for training, 0 for validation"),
    ],
)
def test_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        cross_validation(**{"count": 40, "fold": 0, **PAPER, **settings})
