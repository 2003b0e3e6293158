"""The presets have the paper's values."""

import dataclasses
import re

import pytest

from train.config import Config
from train.datasets import DATASETS
from train.presets import PRESETS

PAPER = ("drive", "glas", "snemi3d", "massachusetts-roads", "isbi2012")


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_protocol(name):
    config = PRESETS[name][1]
    assert (config.epochs, config.epoch_steps, config.batch_size, config.validate_epochs) == (50, 0, 10, 1)
    optimizer = config.optimizer
    assert (optimizer.name, optimizer.learning_rate, optimizer.clip_norm) == ("adam", 1e-4, 5.0)
    assert (optimizer.schedule, optimizer.decay, optimizer.decay_epochs, optimizer.warmup_epochs) == (
        "steps",
        0.8,
        10,
        0,
    )
    assert (optimizer.weight_decay, optimizer.accumulate, optimizer.ema) == (0, 1, 0)
    model = config.model
    assert (model.name, model.width, model.depth, model.norm, model.bfloat16) == ("unet", 64, 4, "batch", False)
    loss = config.loss.with_first_epochs(config.epochs)
    assert (loss.name, loss.cross_entropy_epochs, loss.topology_epoch) == ("cwmi", 1, 20)
    assert (config.data.folds, config.data.validation_fraction) == (3, 0.2)
    augmentation = config.data.augmentation
    assert augmentation.flips and not augmentation.rot90
    assert augmentation.elastic_pixels == augmentation.intensity == 0


def test_crops():
    crops = {name: PRESETS[name][1].data.augmentation.crop for name in PAPER}
    assert crops == {
        "drive": (),
        "glas": (448, 576),
        "snemi3d": (512, 512),
        "massachusetts-roads": (512, 512),
        "isbi2012": (512, 512),
    }


@pytest.mark.parametrize(
    ("name", "scores"),
    [
        ("drive", "mIoU .801, mDice .880, VI 1.06, ARI .596, HD 1.07"),
        ("glas", "mIoU .845, mDice .911, VI 0.73, ARI .745, HD 2.47"),
        ("snemi3d", "mIoU .779, mDice .869, VI 1.16, ARI .640, HD 0.69"),
        ("massachusetts-roads", "mIoU .773, mDice .859, VI 1.15, ARI .664, HD 11.17"),
    ],
)
def test_the_expected_scores_are_those_of_table_1(name, scores):
    assert scores in " ".join(PRESETS[name][0].split())


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_says_what_to_expect_and_how_long_it_takes(name):
    described = " ".join(PRESETS[name][0].split())
    assert re.search(r"Expected[\w ,]*: mIoU \.\d+", described) or name in ("isbi2012", "own")
    assert re.search(r"Time on 2 CPU cores: (\d+ hours \(\d+ steps\)|\d to \d+ minutes)\.", described)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_says_its_command_and_has_data_and_a_folder_of_its_own(name):
    described, config = PRESETS[name]
    assert isinstance(config, Config) and config.data.dataset in DATASETS
    assert f"python -m train {name}" in described or f"--dataset {name}" in described or name == "demo"
    assert [other for other, (_, one) in PRESETS.items() if one.output == config.output] == [name]


def test_the_demo_needs_nothing_and_is_small():
    described, config = PRESETS["demo"]
    assert "`make demo`" in described and "minutes" in described
    assert config.data.dataset == "mni152" and config.data.blocks
    assert config.model.width * 2**config.model.depth <= 128


@pytest.mark.parametrize("name", ["drive", "isbi2012"])
def test_the_narrow_ones_are_the_others_made_small(name):
    narrow, config = PRESETS[f"{name}-narrow"][1], PRESETS[name][1]
    assert narrow.loss == dataclasses.replace(config.loss, name="bounded_cwmi")
    # Of 8 epochs, as the paper's 20 of 50.
    assert narrow.loss.with_first_epochs(narrow.epochs).topology_epoch == 3
    assert narrow.data.dataset == name and narrow.data.blocks == config.data.blocks
    assert narrow.model.width == 16 and narrow.epochs * narrow.epoch_steps == 240
