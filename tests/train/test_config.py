"""Settings: ranges, contradictions, JSON."""

import json

import pytest

from train.batches.augmentation import Augmentation
from train.config import Config, DataConfig, LossConfig, ModelConfig, OptimizerConfig
from train.loss_options import loss_options, option_arguments
from train.settings import flat_settings, from_json, to_json


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Config(epochs=-1), "epochs must be 1 or more, or 0 to have it chosen, got -1"),
        (lambda: Config(output=""), "output must be a folder, got ''"),
        (lambda: Config(seed=-1), "seed must be 0 or more, got -1"),
        (lambda: Config(batch_size=-1), "batch_size must be 1 or more, or 0 to have it chosen, got -1"),
        (lambda: Config(epoch_steps=-1), "epoch_steps must be 0 or more"),
        (lambda: Config(validate_epochs=-1), "validate_epochs must be 1 or more"),
        (lambda: Config(log_steps=0), "log_steps must be 1 or more"),
        (lambda: Config(panels=-1), "panels must be 0 or more"),
        (
            lambda: Config(epochs=3, optimizer=OptimizerConfig(warmup_epochs=3.0)),
            r"optimizer.warmup_epochs must be below epochs \(3\), got 3.0",
        ),
        (
            lambda: Config(epochs=1, loss=LossConfig(cross_entropy_epochs=1)),
            r"loss.cross_entropy_epochs must be below epochs \(1\), or cwmi is never minimised, got 1",
        ),
        (
            lambda: Config(epochs=20, loss=LossConfig(name="skea_topo", topology_epoch=20)),
            r"loss.topology_epoch must be below epochs \(20\), or skea_topo is never minimised, got 20",
        ),
        (lambda: DataConfig(folds=1), "data.folds must be 2 or more, got 1"),
        (lambda: DataConfig(fold=3), r"data.fold must be all or 0 to 2 \(data.folds - 1\), got 3"),
        (lambda: DataConfig(validation_fraction=1.0), "data.validation_fraction must be above 0 and below 1, got 1.0"),
        (lambda: DataConfig(gap=2), "data.gap must be 0 unless data.blocks is set, got 2"),
        (lambda: DataConfig(workers=-1), "data.workers must be 0 or more"),
        (lambda: DataConfig(prefetch=0), "data.prefetch must be 1 or more"),
        (lambda: ModelConfig(width=-1), "model.width must be 1 or more"),
        (lambda: ModelConfig(depth=-1), "model.depth must be 1 or more"),
        (lambda: ModelConfig(norm="group", width=12), "model.groups must be a divisor of model.width 12, got 8"),
        (lambda: LossConfig(name="cwm"), "loss.name must be one of ce, .*cwmi.*, got 'cwm'"),
        (lambda: LossConfig(options={"gamma": 2}), "loss.options must be of levels, .* for cwmi, got 'gamma'"),
        (lambda: LossConfig(options={"levels": 2.5}), "loss.options levels must be a whole number, got 2.5"),
        (lambda: LossConfig(options={"levels": "three"}), "loss.options levels must be a number, got 'three'"),
        (lambda: LossConfig(options={"ce_weight": "inf"}), "loss.options ce_weight must be finite, got 'inf'"),
        (
            lambda: LossConfig(options={"class_weights": "even"}),
            "loss.options class_weights must be balanced or none, got 'even'",
        ),
        (lambda: LossConfig(cross_entropy_epochs=-1), "loss.cross_entropy_epochs must be 0 or more"),
        (lambda: LossConfig(topology_epoch=-1), "loss.topology_epoch must be 0 or more"),
        (lambda: OptimizerConfig(learning_rate=0.0), "optimizer.learning_rate must be above 0"),
        (lambda: OptimizerConfig(weight_decay=0.1), "optimizer.weight_decay must be 0 unless optimizer.name is adamw"),
        (lambda: OptimizerConfig(decay=1.5), "optimizer.decay must be above 0 and at most 1"),
        (lambda: OptimizerConfig(decay_epochs=0), "optimizer.decay_epochs must be 1 or more"),
        (lambda: OptimizerConfig(warmup_epochs=-1.0), "optimizer.warmup_epochs must be 0 or more"),
        (lambda: OptimizerConfig(clip_norm=-1.0), "optimizer.clip_norm must be 0 or more"),
        (lambda: OptimizerConfig(accumulate=0), "optimizer.accumulate must be 1 or more"),
        (lambda: OptimizerConfig(ema=1.0), "optimizer.ema must be at least 0 and below 1"),
    ],
)
def test_what_is_wrong_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("epochs", "cross_entropy", "topology"), [(1, 0, 0), (2, 1, 0), (3, 1, 1), (8, 1, 3), (50, 1, 20), (200, 1, 20)]
)
def test_the_first_phase_is_the_papers_and_shorter_in_a_short_run(epochs, cross_entropy, topology):
    """The paper's are 1 and 20 of 50, and a run of any length has epochs of its own loss."""
    losses = [Config(epochs=epochs, loss=LossConfig(name=name)).loss for name in ("cwmi", "skea_topo", "dice")]
    assert [loss.with_first_epochs(epochs).first_epochs for loss in losses] == [cross_entropy, topology, 0]


def test_a_first_phase_that_is_given_is_kept():
    loss = LossConfig(cross_entropy_epochs=3, topology_epoch=0)
    assert loss.with_first_epochs(2) == loss


def test_a_config_comes_back_from_json():
    config = Config(
        epochs=3,
        data=DataConfig(dataset="folder", augmentation=Augmentation(crop=(32, 48))),
        loss=LossConfig(name="tversky", options={"alpha": 0.3}),
        optimizer=OptimizerConfig(name="adamw", weight_decay=0.1),
    )
    assert from_json(json.loads(json.dumps(to_json(config)))) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": 3}, "unknown setting epoch; known: output, seed"),
        ({"data": {"crop": 3}}, "unknown setting data.crop; known: dataset, "),
        ({"model": {"width": -1}}, "model.width must be 1 or more, or 0 to have it chosen, got -1"),
    ],
)
def test_json_of_other_settings_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        from_json(change)


@pytest.mark.parametrize(
    ("given", "folder"), [("", "mine/compiled"), ("elsewhere", "elsewhere"), ("./off", "./off"), ("off", None)]
)
def test_compiled_programs_are_kept_beside_the_data_unless_told_otherwise(given, folder):
    assert Config(compilation_cache=given, data=DataConfig(folder="mine")).program_folder == folder


@pytest.mark.parametrize(
    ("dataset", "source", "title"),
    [
        ("drive", "/lab/downloads", "drive"),
        ("folder", "/lab/vessels", "vessels"),
        ("folder", "vessels/", "vessels"),
        ("folder", "", "folder"),
    ],
)
def test_ones_own_data_are_called_by_their_folder(dataset, source, title):
    assert DataConfig(dataset=dataset, source=source).title == title


def test_settings_have_dotted_names():
    flat = flat_settings(to_json(Config(loss=LossConfig(options={"levels": 3}))))
    assert flat["data.augmentation.flips"] is True
    assert flat["loss.options"] == {"levels": 3}
    assert flat["model.width"] == 64


def test_options_of_a_loss_are_its_numbers_and_words():
    assert loss_options("tversky") == {"alpha": float, "beta": float, "smooth": float, "per_batch": ("true", "false")}
    assert loss_options("rmi") == {"radius": int, "pool": int, "rmi_weight": float}
    assert loss_options("cwmi_real") == {
        "levels": int,
        "orientations": int,
        "ce_weight": float,
        "class_weights": ("balanced", "none"),
        "complex_valued": ("true", "false"),
        "epsilon": float,
    }


def test_options_reach_the_function_as_what_they_are():
    options = {"levels": 3.0, "ce_weight": "5", "class_weights": "none", "complex_valued": "False"}
    arguments = option_arguments("cwmi", options)
    assert arguments == {"levels": 3, "ce_weight": 5.0, "class_weights": None, "complex_valued": False}
    assert type(arguments["levels"]) is int
