"""How many images the parts of a split have, whoever made it."""

import json

import pytest

from train.config import DataConfig
from train.runs.data import part_sizes, split_of

NAMES = tuple(f"image {number}" for number in range(20))


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def test_drawn_parts_have_their_shares():
    """Of 20 images two thirds are not tested, 13; a fifth of them, 2.67, validates."""
    data = DataConfig(folds=3)
    assert part_sizes(data, 20) == (10, 3)
    train, validation, _ = split_of(data, NAMES, fold=0, seed=0)
    assert (train.size, validation.size) == (10, 3)


def test_one_fold_of_a_file_has_what_it_names(tmp_path):
    named = [NAMES[:12], NAMES[12:16], NAMES[16:]]
    lines = [f"{name},{part}" for part, of in zip(("train", "val", "test"), named, strict=True) for name in of]
    data = DataConfig(folds=1, splits=write(tmp_path / "splits.csv", "\n".join(["name,part", *lines])))
    assert part_sizes(data, len(NAMES)) == (12, 4)
    assert [part.size for part in split_of(data, NAMES, fold=0, seed=0)] == [12, 4, 4]


def test_folds_of_several_sizes_count_as_their_mean(tmp_path):
    """A fifth of what the file trains on validates: 2 of 10 and 3 of 16. Their means, halves to even."""
    folds = [{"train": NAMES[:10], "val": NAMES[10:12]}, {"train": NAMES[:16], "val": [NAMES[16]]}]
    data = DataConfig(folds=2, splits=write(tmp_path / "splits.json", folds))
    assert part_sizes(data, len(NAMES)) == (10, 2)


def test_a_part_that_names_nothing_is_none(tmp_path):
    """A fifth of ten images validates then."""
    folds = {"train": NAMES[:10], "val": [], "test": NAMES[10:]}
    data = DataConfig(folds=1, splits=write(tmp_path / "splits.json", folds))
    assert [part.size for part in split_of(data, NAMES, fold=0, seed=0)] == [8, 2, 10]
    assert part_sizes(data, len(NAMES)) == (8, 2)


def test_a_number_of_folds_that_is_not_the_files(tmp_path):
    data = DataConfig(splits=write(tmp_path / "splits.json", {"train": NAMES[:10], "test": NAMES[10:]}))
    for read in (lambda: part_sizes(data, 20), lambda: split_of(data, NAMES, fold=0, seed=0)):
        with pytest.raises(ValueError, match=r"data\.folds must be 1, as in data\.splits .*splits\.json, got 3"):
            read()
