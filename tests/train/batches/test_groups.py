"""Splits that part no patient: which groups there are, and where they go."""

import numpy as np
import pytest

from train.batches.groups import group_cross_validation, read_groups, validation_groups

EYES = ("01L", "01R", "02L", "02R", "03L")
VIDEOS = ["a"] * 6 + ["b"] * 3 + ["c"] * 3 + ["d"]


def test_a_group_is_the_bracket_or_what_fits():
    assert read_groups(r"^\d+", EYES) == ["01", "01", "02", "02", "03"]
    assert read_groups("(.*)[LR]$", EYES) == ["01", "01", "02", "02", "03"]


def test_groups_of_a_table(tmp_path):
    path = tmp_path / "patients.csv"
    path.write_text(
        "group, name\nAnna, 01L\nAnna, 02L\nBert, 01R\nBert, 02R\nBert, 03L\nCarl, 09L\n", encoding="utf-8-sig"
    )
    assert read_groups(str(path), EYES) == ["Anna", "Bert", "Anna", "Bert", "Bert"]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("^0[12]", "data.groups '^0[12]' finds a group in 4 of 5 names, not in '03L'"),
        ("^(0[12])?", "data.groups '^(0[12])?' finds a group in 4 of 5 names, not in '03L'"),
        ("([", "data.groups must be a regular expression or a CSV file, got '([': "),
        ("absent.csv", "data.groups absent.csv cannot be read (No such file or directory)"),
        ("few.csv", "few.csv names no group of the image '01R'; it names '1R', which no image is called"),
        ("two.csv", "two.csv names the group of '01L' twice, '1' and '2'"),
        ("other.csv", "other.csv must have the columns name and group"),
    ],
)
def test_images_without_a_group(groups, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.csv").write_text("name,group\n01L,1\n1R,1\n")
    (tmp_path / "two.csv").write_text("name,group\n01L,1\n01L.png,2\n")
    (tmp_path / "other.csv").write_text("image,patient\n01L,1\n")
    with pytest.raises(ValueError) as raised:
        read_groups(groups, EYES)
    assert message in str(raised.value)


def of_groups(places, groups=VIDEOS):
    return {groups[place] for place in places}


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_in_two_parts_and_every_image_is_tested_once(seed):
    splits = [
        group_cross_validation(VIDEOS, folds=3, fold=fold, validation_fraction=0.3, seed=seed) for fold in range(3)
    ]
    for split in splits:
        parts = [of_groups(part) for part in split]
        assert all(parts) and sum(map(len, parts)) == 4
        assert sorted(np.concatenate(split)) == list(range(13))
    tested = np.concatenate([split.test for split in splits])
    assert sorted(tested) == list(range(13))
    # The largest is alone, the small ones fill the smallest fold.
    assert sorted(len(split.test) for split in splits) == [3, 4, 6]


def test_the_seed_draws_what_is_equal():
    groups = [str(number) for number in range(12)]
    splits = [group_cross_validation(groups, folds=3, fold=0, validation_fraction=0.25, seed=s) for s in (0, 0, 1)]
    np.testing.assert_array_equal(splits[0].test, splits[1].test)
    np.testing.assert_array_equal(splits[0].validation, splits[1].validation)
    assert splits[0].test.tolist() != splits[2].test.tolist()
    assert [len(part) for part in splits[0]] == [6, 2, 4]


def test_whole_groups_come_as_near_to_the_share_as_they_can():
    # Of 12 images a quarter is 3: one of the groups of three, never that of six.
    places = np.arange(12)
    for seed in range(5):
        chosen = validation_groups(VIDEOS, places, 0.25, seed=seed, fold=0)
        assert of_groups(chosen) in ({"b"}, {"c"})


def test_too_few_groups():
    with pytest.raises(
        ValueError, match=r"a group to test in each of the 3 folds, and two more .*, got 2: a, b; lower"
    ):
        group_cross_validation(["a", "a", "b"], folds=3, fold=0, validation_fraction=0.3, seed=0)
    with pytest.raises(ValueError, match="got 2: a, b"):
        group_cross_validation(["a", "a", "b"], folds=2, fold=0, validation_fraction=0.3, seed=0)
    with pytest.raises(ValueError, match="fold 1 leaves the group a alone to train and validate on"):
        validation_groups(["a", "a"], np.arange(2), 0.5, seed=0, fold=1)
