"""Which mask belongs to which image, for the names that data sets give them."""

import pathlib
import unicodedata

import pytest

from train.datasets.matching import check_links, match_masks, pair_by_name
from train.datasets.readers import DatasetError, stem

IMAGES, MASKS = pathlib.Path("mine/images"), pathlib.Path("mine/masks")


def pair(images, masks, **patterns):
    return pair_by_name([IMAGES / name for name in images], [MASKS / name for name in masks], **patterns)


def error(images, masks, **patterns):
    with pytest.raises(DatasetError) as raised:
        pair(images, masks, **patterns)
    return str(raised.value)


@pytest.mark.parametrize(
    ("images", "masks", "names", "rule"),
    [
        (["a.tif", "b.x.png"], ["a.png", "b.x.nii.gz"], ["a", "b.x"], ""),
        (["a.png", "b.png"], ["a_mask.png", "b_mask.png"], ["a", "b"], "masks are named X_mask for images X"),
        (["1.png", "10.png"], ["1_mask.png", "10_mask.png"], ["1", "10"], "masks are named X_mask for images X"),
        (
            ["21_training.tif", "22_training.tif"],
            ["21_manual1.gif", "22_manual1.gif"],
            ["21", "22"],
            "masks are named X_manual1 for images X_training",
        ),
        (["21_training.tif"], ["21_manual1.gif"], ["21"], "masks are named X_manual1 for images X_training"),
        (["Image_01L.jpg"], ["Image_01L_1stHO.png"], ["Image_01L"], "masks are named X_1stHO for images X"),
        (
            ["0001TP_006690.png", "0001TP_006720.png"],
            ["0001TP_006690_L.png", "0001TP_006720_L.png"],
            ["0001TP_006690", "0001TP_006720"],
            "masks are named X_L for images X",
        ),
        (
            ["la_003_0000.nii.gz", "la_004_0000.nii.gz"],
            ["la_003.nii.gz", "la_004.nii.gz"],
            ["la_003", "la_004"],
            "masks are named X for images X_0000",
        ),
        (
            ["img_1.png", "img_2.png"],
            ["mask_1.png", "mask_2.png"],
            ["1", "2"],
            "masks are named mask_X for images img_X",
        ),
        (
            ["a-rgb.png", "b-rgb.png"],
            ["seg.a label.png", "seg.b label.png"],
            ["a", "b"],
            "masks are named seg.X label for images X-rgb",
        ),
    ],
)
def test_the_rule_that_pairs_all_files_is_found(images, masks, names, rule):
    expected = [(name, IMAGES / image, MASKS / mask) for name, image, mask in zip(names, images, masks, strict=True)]
    # In whatever order they are listed.
    assert pair(images[::-1], masks) == (expected, rule, [])


def test_patterns_choose_among_masks_by_two_people():
    images = [f"Image_0{number}{side}.jpg" for number in (1, 2) for side in "LR"]
    masks = [f"{stem(pathlib.Path(name))}_{who}HO.png" for name in images for who in ("1st", "2nd")]
    assert error(images, masks) == (
        "mine/images: each image has several masks: masks are named X_1stHO for images X (Image_01L.jpg, "
        "Image_01L_1stHO.png) or masks are named X_2ndHO for images X (Image_01L.jpg, Image_01L_2ndHO.png); choose with "
        "--data.mask-names, as in '*_1stHO'"
    )
    pairs, rule, left_out = pair(images, masks, mask_names="*_2ndHO")
    assert pairs[0] == ("Image_01L", IMAGES / "Image_01L.jpg", MASKS / "Image_01L_2ndHO.png") and len(pairs) == 4
    assert rule == "masks are named X_2ndHO for images X"
    assert left_out == [MASKS / name for name in masks if "1st" in name]


def test_patterns_choose_among_images_of_two_kinds():
    images, masks = [f"{name}_000{kind}.nii.gz" for name in "ab" for kind in (0, 1)], ["a.nii.gz", "b.nii.gz"]
    message = error(images, masks)
    assert message.startswith(
        "mine/masks: each mask has several images: masks are named X for images X_0000 (a_0000.nii.g"
    )
    assert message.endswith("choose with --data.image-names, as in '*_0000'")
    pairs, _, left_out = pair(images, masks, image_names="*_0001")
    assert pairs[1] == ("b", IMAGES / "b_0001.nii.gz", MASKS / "b.nii.gz")
    assert left_out == [IMAGES / "a_0000.nii.gz", IMAGES / "b_0000.nii.gz"]


def test_equal_names_beside_others_are_a_choice():
    message = error(["a.png", "b.png"], ["a.png", "b.png", "a_mask.png", "b_mask.png"])
    assert "masks are named X for images X (a.png, a.png) or masks are named X_mask" in message
    assert message.endswith("choose with --data.mask-names, as in '*_mask'")


def test_one_pattern_is_enough_where_the_other_names_follow_a_rule():
    pairs, rule, left_out = pair(
        ["1_training.tif", "2_training.tif"], ["1_a.png", "2_a.png", "x.png"], mask_names="*_a"
    )
    assert [name for name, *_ in pairs] == ["1", "2"] and left_out == [MASKS / "x.png"]
    assert rule == "masks are named X_a for images X_training"


@pytest.mark.parametrize("pattern", ["_mask", "*_*", "X_mask"])
def test_a_pattern_holds_one_star(pattern):
    assert error(["a.png"], ["a_mask.png"], mask_names=pattern) == (
        "--data.mask-names must hold one *, for what the names of an image and its mask have in common, got "
        f"{pattern!r}"
    )


def test_a_pattern_that_fits_nothing():
    assert error(["a.png"], ["a_mask.png"], mask_names="*_mask.png") == (
        "--data.mask-names '*_mask.png' fits none of the 1 masks in mine/masks, for example 'a_mask' (without the suffix)"
    )
    assert error(["x_.png"], ["a.png"], image_names="x_*").startswith(
        "--data.image-names 'x_*' fits none of the 1 images"
    )


def test_files_without_a_partner_are_named_by_the_rule_that_nearly_fits():
    images, masks = [f"{number}.png" for number in range(20)], [f"{number}_mask.png" for number in range(17)]
    hint = " (17 of 20 pair: masks are named X_mask for images X)"
    missing = "mine/images/17.png: no mask '17_mask' in mine/masks for this image; add it or remove this"
    assert error(images, masks) == missing + hint
    assert error(images, [*masks, "17.png", "18-mask.png", "other.png"]) == missing + hint
    assert error(images[:17], [*masks, "17_mask.png"]) == (
        "mine/masks/17_mask.png: no image '17' in mine/images for this mask; add it or remove this (17 of 18 pair: masks "
        "are named X_mask for images X)"
    )
    assert error(images[:17], [*masks, "other.png"]).startswith(
        "mine/masks/other.png: no image in mine/images for this"
    )


@pytest.mark.parametrize(
    ("images", "masks", "expected"),
    [
        (["a", "b"], ["a"], "mine/images/b.png: no mask 'b' in mine/masks for this image; add it or remove this"),
        (["a"], ["a", "B"], "mine/masks/B.png: no image 'B' in mine/images for this mask; add it or remove this"),
        (["a", "b"], ["x", "y"], "mine/images/a.png: no mask 'a' in mine/masks for this image; add it or remove this"),
    ],
)
def test_without_a_rule_the_names_are_compared_as_they_are(images, masks, expected):
    assert error([f"{name}.png" for name in images], [f"{name}.png" for name in masks]) == expected


def test_two_files_of_one_name():
    assert error(["a.png", "a.tif"], ["a.png"]) == "mine/images/a.tif: has the same name as a.png; keep one of them"
    assert error(["a.png"], ["a_m.png", "a_m.tif"], mask_names="*_m").startswith(
        "mine/masks/a_m.tif: has the same name"
    )


def test_composed_and_decomposed_letters_are_one():
    composed, decomposed = (
        unicodedata.normalize(form, "caf\N{LATIN SMALL LETTER E WITH ACUTE}") for form in ("NFC", "NFD")
    )
    assert composed != decomposed
    for image, mask in ((composed, decomposed), (decomposed, composed)):
        ((name, image_path, _),) = pair([f"{image}.png"], [f"{mask}.png"]).pairs
        assert name == composed and image_path == IMAGES / f"{image}.png"
    assert pair(["1.png"], [f"1_{decomposed}.png"], mask_names=f"*_{composed}").pairs[0][0] == "1"
    assert "has the same name" in error([f"{composed}.png", f"{decomposed}.png"], ["a.png"])
    ((name, *_),) = match_masks([IMAGES / f"{composed}.png"], [MASKS / f"{decomposed}.png"], key=stem)
    assert name == composed


def test_pairs_by_a_key_of_their_own():
    images, masks = [IMAGES / "2_training.tif", IMAGES / "1_test.tif"], [MASKS / "1_x.gif", MASKS / "2_y.gif"]
    assert match_masks(images, masks, key=lambda path: path.name[0]) == [
        ("1", images[1], masks[0]),
        ("2", images[0], masks[1]),
    ]
    with pytest.raises(
        DatasetError, match=r"2_training\.tif: no mask '2' in mine/masks for this image; add it or remove"
    ):
        match_masks(images, masks[:1], key=lambda path: path.name[0])


def test_broken_links_are_called_that(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "b.png").symlink_to("a.png")
    check_links(tmp_path)
    (tmp_path / "c.png").symlink_to("/nowhere/c.png")
    with pytest.raises(DatasetError) as raised:
        check_links(tmp_path)
    assert str(raised.value) == (
        f"{tmp_path / 'c.png'}: is a broken link, there is no /nowhere/c.png; copy the file there, or remove the link"
    )
