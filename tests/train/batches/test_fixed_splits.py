"""Splits of a file: nnU-Net's, and tables."""

import json

import pytest

from train.batches.fixed_splits import fixed_split, read_splits

NAMES = ("a", "b", "c", "d", "e", "f")
FOLDS = [{"train": ["a", "b", "c", "d"], "val": ["e", "f"]}, {"train": ["c", "d", "e", "f"], "val": ["a", "b"]}]


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def split(folds, fold=0, **settings):
    defaults = dict(validation_fraction=0.25, seed=0)
    return [part.tolist() for part in fixed_split(folds, NAMES, fold=fold, **(defaults | settings))]


def test_what_nnu_net_validates_on_is_tested_and_a_share_of_its_training_validates(tmp_path):
    folds = read_splits(write(tmp_path / "splits_final.json", FOLDS))
    for fold, tested in ((0, [4, 5]), (1, [0, 1])):
        train, validation, test = split(folds, fold)
        assert test == tested
        assert len(validation) == 1 and len(train) == 3
        assert sorted(train + validation + test) == list(range(6))
    # The share is drawn by the seed, for every loss alike.
    drawn = {tuple(split(folds, seed=seed)[1]) for seed in range(9)}
    assert len(drawn) > 1 and split(folds, seed=3) == split(folds, seed=3)


def test_groups_are_not_parted_by_what_validates(tmp_path):
    folds = read_splits(write(tmp_path / "splits.json", FOLDS))
    for seed in range(5):
        _, validation, _ = split(folds, seed=seed, groups=["1", "1", "2", "2", "3", "3"])
        assert validation in ([0, 1], [2, 3])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        # Without a validation part one of the three groups to train on is drawn; with this seed it is that of c.
        ({"train": ["a", "b", "c"], "test": ["d"]}, "'c' is in validation and 'd' in test"),
        ({"train": ["a", "b"], "validation": ["c"], "test": ["d"]}, "'c' is in validation and 'd' in test"),
        ({"train": ["a", "d"], "validation": ["c"], "test": ["b"]}, "'d' is in train and 'c' in validation"),
    ],
)
def test_groups_that_the_file_parts_are_refused(parts, message):
    with pytest.raises(ValueError) as raised:
        split([parts], groups=["1", "2", "patient 3", "patient 3", "4", "4"])
    assert str(raised.value) == (
        f"data.splits parts the group 'patient 3' of data.groups in fold 0: {message}; correct the file, or leave "
        "data.groups out"
    )


def test_all_three_parts_as_they_are_named(tmp_path):
    parts = {"train": ["a.png", "b.png"], "val": ["c.nii.gz"], "test": ["f"]}
    assert split(read_splits(write(tmp_path / "splits.json", parts))) == [[0, 1], [2], [5]]
    table = "name,part\na,train\nb,Training\nc,validation\nf,test\n"
    assert split(read_splits(write(tmp_path / "splits.csv", table))) == [[0, 1], [2], [5]]


def test_a_table_of_folds(tmp_path):
    folds = read_splits(write(tmp_path / "splits.csv", "name, fold\na,0\nb,1\nc,0\nd,1\ne,2\nf,2\n"))
    assert [split(folds, fold)[2] for fold in range(3)] == [[0, 2], [1, 3], [4, 5]]
    assert sorted(place for part in split(folds, 1) for place in part) == list(range(6))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{", "must be a list of folds with train and val, as JSON, or CSV with name and fold or part, got"),
        ("a.json", [{"train": ["a"], "held": ["b"]}], "got KeyError: 'held'"),
        ("a.json", [{"train": ["a", "b"], "val": []}], "names no image to test in fold 0"),
        ("a.csv", "name,fold\na,0\nb,2\n", "folds must be 0, 1, ... without a gap, got 0, 2"),
        ("a.csv", "name,fold\na,0\na.png,1\n", "got ValueError: names the fold of 'a' twice, '0' and '1'"),
        ("a.csv", "image,fold\na,0\n", "got ValueError: must have the columns name and part or fold"),
    ],
)
def test_files_of_another_form(name, content, message, tmp_path):
    path = write(tmp_path / name, content)
    with pytest.raises(ValueError) as raised:
        read_splits(path)
    assert message in str(raised.value) and str(path) in str(raised.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"data.splits .*absent.json cannot be read \(No such file"):
        read_splits(tmp_path / "absent.json")


def test_names_that_do_not_fit():
    with pytest.raises(ValueError, match=r"data\.splits names 'x', which no image is called; the first is 'a'"):
        split([{"train": ["a", "x"], "test": ["b"]}])
    with pytest.raises(ValueError, match=r"data\.splits has 'a' in train and in test of fold 0"):
        split([{"train": ["a", "c"], "test": ["a"]}])
    with pytest.raises(ValueError, match=r"data\.splits must name two images to train on, got 1 in fold 0"):
        split([{"train": ["a"], "test": ["b"]}])
