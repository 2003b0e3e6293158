"""Settings that are chosen from the images, for folders as people have them."""

import dataclasses

import pytest

from train.batches.augmentation import Augmentation
from train.config import Config, DataConfig, LossConfig, ModelConfig
from train.datasets import ImageFacts
from train.fitting import OF_IMAGES, PartSizes, filled, fitted, in_words, open_settings
from train.presets import PRESETS
from train.settings import flat_settings, to_json, with_settings

OWN = PRESETS["own"][1]


def images(count, *shape):
    return [ImageFacts(shape, (0.5,), (0.1,), (10, 10))] * count


def fit(config, found):
    """Of three folds, of which two train and validate: four fifths and one."""
    others = 2 * len(found) / 3
    validated = max(1, round(others / 5))
    return fitted(config, found, PartSizes(round(others) - validated, validated))


def chosen(found, config=OWN):
    flat = flat_settings(to_json(fit(config, found)))
    return [flat[name] for name in OF_IMAGES]


@pytest.mark.parametrize(
    ("found", "crop", "batch", "width", "depth", "epochs", "validate"),
    [
        (images(28, 999, 960), [160, 160], 4, 16, 3, 20, 1),
        (images(12, 64, 64), [64, 64], 6, 16, 3, 40, 1),  # as many a batch as there are to train on
        (images(300, 64, 64), [64, 64], 16, 16, 3, 31, 1),
        (images(30, 30, 45), [32, 48], 16, 16, 2, 40, 1),
        (images(3, 500, 500), [160, 160], 2, 16, 3, 40, 1),
        (images(5, 3000, 4000), [160, 160], 2, 16, 3, 40, 4),
        (images(3000, 512, 512), [160, 160], 4, 16, 3, 20, 18),
        (images(65, 36, 50, 35), [32, 32, 32], 2, 8, 3, 10, 1),
        (images(20, 12, 128, 128), [32, 32, 32], 2, 8, 2, 10, 1),
    ],
    ids=["large", "twelve", "small", "tiny", "three", "huge", "many", "volumes", "flat volumes"],
)
def test_what_is_chosen(found, crop, batch, width, depth, epochs, validate):
    assert chosen(found) == [crop, batch, width, depth, epochs, validate]


@pytest.mark.parametrize("shape", [(33, 900), (65, 130), (40, 41, 42)])
@pytest.mark.parametrize("depth", [0, 1, 4, 6])
def test_crops_are_halved_without_a_rest_and_allow_four_levels(shape, depth):
    config = fit(dataclasses.replace(OWN, model=ModelConfig(width=0, depth=depth)), images(9, *shape))
    assert len(config.data.augmentation.crop) == len(shape)
    for side in config.data.augmentation.crop:
        assert side % 2**config.model.depth == 0 and side >= 32


def test_batch_and_validation_follow_the_parts():
    """A network sees 48 x 48 pixels: 16 images a batch would be its most, and 12 is what there is."""
    small, large = images(100, 48, 48), images(100, 3000, 3000)
    assert fitted(OWN, small, PartSizes(70, 10)).batch_size == 16
    assert fitted(OWN, small, PartSizes(12, 10)).batch_size == 12
    # 20 epochs of 9 seconds an image, in 120 seconds: 20 * 9 * 1 / 120 = 1.5, and 15 of ten images.
    assert fitted(OWN, large, PartSizes(70, 1)).validate_epochs == 2
    assert fitted(OWN, large, PartSizes(70, 10)).validate_epochs == 15


def test_images_of_several_sizes_get_the_crop_of_the_largest():
    assert chosen(images(9, 50, 60) + images(1, 90, 70))[0] == [96, 72]


def test_a_crop_that_is_rotated_is_square():
    augmentation = Augmentation(crop=(0,), rot90=True)
    config = dataclasses.replace(OWN, data=dataclasses.replace(OWN.data, augmentation=augmentation))
    assert chosen(images(9, 50, 100), config)[0] == [100, 100]


def test_what_is_given_goes_before():
    given = {
        "data.augmentation.crop": (),
        "batch_size": 7,
        "model.width": 64,
        "model.depth": 5,
        "epochs": 3,
        "validate_epochs": 2,
    }
    found = fit(with_settings(OWN, given), images(28, 999, 960))
    flat = flat_settings(to_json(found))
    assert {name: flat[name] for name in given} == {**given, "data.augmentation.crop": []}
    assert fit(found, images(3, 64, 64)) == found


def test_nothing_else_is_touched_and_nothing_stays_open():
    found = fit(OWN, images(28, 999, 960))
    assert open_settings(found) == []
    others = set(flat_settings(to_json(OWN))) - {*OF_IMAGES, "loss.cross_entropy_epochs", "loss.topology_epoch"}
    before, after = (flat_settings(to_json(config)) for config in (OWN, found))
    assert {name: before[name] for name in others} == {name: after[name] for name in others}


def test_first_phases_follow_the_epochs_that_are_chosen():
    loss = fit(dataclasses.replace(OWN, loss=LossConfig(name="skea_topo")), images(28, 999, 960)).loss
    assert (loss.cross_entropy_epochs, loss.topology_epoch) == (1, 8)


def test_what_is_open_is_taken_from_a_run_that_has_begun():
    recorded = fit(dataclasses.replace(OWN, epochs=7), images(28, 999, 960))
    assert filled(OWN, recorded) == recorded
    longer = filled(dataclasses.replace(OWN, epochs=80), recorded)
    assert longer == dataclasses.replace(recorded, epochs=80)


def test_the_choices_are_told_as_flags():
    config = dataclasses.replace(OWN, batch_size=6)
    found = images(28, 999, 960)
    assert in_words(config, fit(config, found), found).splitlines() == [
        "chosen for 28 images of 999 x 960: --data.augmentation.crop 160 160 --model.width 16 --model.depth 3 --epochs 20 "
        "--validate-epochs 1",
        "(give any of these flags to change it; on a GPU raise --model.width, --data.augmentation.crop and --epochs)",
    ]
    mixed = [*found, *images(1, 64, 2000)]
    assert "chosen for 29 images of up to 999 x 2000: " in in_words(config, fit(config, mixed), mixed)
    plain = Config(data=DataConfig(dataset="drive"))
    assert in_words(plain, fit(plain, found), found) == ""
