"""Names as people write them: with suffixes, and in both forms of Unicode."""

import unicodedata

import pytest

from train.batches.fixed_splits import read_splits
from train.batches.groups import read_groups
from train.batches.name_tables import image_name, read_name_table

COMPOSED = unicodedata.normalize("NFC", "Größe_1")
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


@pytest.mark.parametrize(
    ("written", "name"),
    [("a", "a"), (" a.png ", "a"), ("images/a.b.nii.gz", "a.b"), ("a.01", "a.01"), (f"{DECOMPOSED}.tif", COMPOSED)],
)
def test_a_name_is_that_of_the_image(written, name):
    assert COMPOSED != DECOMPOSED
    assert image_name(written) == name


def test_the_first_column_that_is_there_counts(tmp_path):
    (tmp_path / "a.csv").write_text("fold, name, part\n0, a.png, test\n1, b, train\n1, b.tif, train\n")
    assert read_name_table(tmp_path / "a.csv", ["part", "fold"]) == ("part", {"a": "test", "b": "train"})
    assert read_name_table(tmp_path / "a.csv", ["fold"]) == ("fold", {"a": "0", "b": "1"})
    with pytest.raises(ValueError, match="must have the columns name and group or patient"):
        read_name_table(tmp_path / "a.csv", ["group", "patient"])
    with pytest.raises(ValueError, match="names the part of 'a' twice, 'test' and 'train'"):
        (tmp_path / "a.csv").write_text("name,part\na,test\na.tif,train\n")
        read_name_table(tmp_path / "a.csv", ["part"])


def test_groups_and_splits_read_names_alike(tmp_path):
    (tmp_path / "groups.csv").write_text(f"name,group\n{DECOMPOSED}.png,1\nb.tif,2\n", encoding="utf-8")
    assert read_groups(str(tmp_path / "groups.csv"), [COMPOSED, "b"]) == ["1", "2"]
    assert read_groups(f"^{DECOMPOSED}|b", [COMPOSED, "b"]) == [COMPOSED, "b"]
    (tmp_path / "splits.csv").write_text(f"name,part\n{DECOMPOSED}.png,train\nb.tif,test\n", encoding="utf-8")
    (tmp_path / "splits.json").write_text(f'{{"train": ["{DECOMPOSED}"], "val": ["b"]}}', encoding="utf-8")
    for name in ("splits.csv", "splits.json"):
        assert read_splits(tmp_path / name) == [{"train": [COMPOSED], "test": ["b"]}]
