"""The network that a config describes, as the training step sees it."""

import dataclasses
import functools
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import PIL.Image
import pytest

from cwmi_jax.losses import LOSSES, cross_entropy
from tests.train.runs.finished_run import Bright
from tests.train.runs.tiny_runs import tiny_config
from train.config import DataConfig, LossConfig, ModelConfig, OptimizerConfig
from train.datasets import prepare
from train.loss_options import TWO_CLASSES
from train.runs import parallel
from train.runs.folder import RunError, RunFolder
from train.runs.network import network_of
from train.runs.setup import check_loss, open_folder, prepare_run, reopen_run
from train.runs.steps import create_state, train_step

SMALL = ModelConfig(width=4, depth=1, groups=2)


def traced(config, *, classes=2, spatial_dims=2):
    """The training step of two devices, not compiled: its program as text, and the shapes of state and logits."""
    network = network_of(config, classes=classes, spatial_dims=spatial_dims)
    sides = (8,) * spatial_dims
    optimizer = optax.sgd(0.1)
    state = jax.eval_shape(functools.partial(create_state, network, optimizer, 0, (*sides, 1), ema=False))
    logits = []

    def loss(z, y, *, where):
        logits.append(z)
        return cross_entropy(z, y, where=where, spatial_dims=spatial_dims)

    step = functools.partial(
        train_step, network=network, optimizer=optimizer, loss=loss, ema=0.0, axis_name=parallel.AXIS
    )
    batch = {
        "images": jax.ShapeDtypeStruct((2, 3, *sides, 1), jnp.float32),
        "labels": jax.ShapeDtypeStruct((2, 3, *sides), jnp.int32),
        "where": jax.ShapeDtypeStruct((2, 3, *sides), jnp.bool_),
        "maps": {},
    }
    program = jax.make_jaxpr(jax.vmap(step, in_axes=(None, 0), axis_name=parallel.AXIS))(state, batch)
    return str(program), state, logits[0]


def count(state):
    return sum(leaf.size for leaf in jax.tree.leaves(state.params))


def test_two_classes_have_one_logit_and_more_have_one_each():
    assert traced(SMALL)[2].shape == (3, 8, 8, 1)
    assert traced(SMALL, classes=3)[2].shape == (3, 8, 8, 3)


@pytest.mark.parametrize("name", ["unet", "attention_unet"])
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_volumes(name, norm):
    _, state, logits = traced(dataclasses.replace(SMALL, name=name, norm=norm), spatial_dims=3)
    assert logits.shape == (3, 8, 8, 8, 1)
    kernels = [leaf for leaf in jax.tree.leaves(state.params) if leaf.ndim > 1]
    assert {leaf.ndim for leaf in kernels} == {5}
    assert bool(jax.tree.leaves(state.batch_statistics)) == (norm == "batch")


def test_width_depth_and_attention():
    plain = count(traced(SMALL)[1])
    for change in ({"width": 8}, {"depth": 2}, {"name": "attention_unet"}):
        assert count(traced(dataclasses.replace(SMALL, **change))[1]) > plain


def test_bfloat16_is_for_the_layers_alone():
    program, state, logits = traced(dataclasses.replace(SMALL, bfloat16=True))
    assert "bf16" in program and "bf16" not in traced(SMALL)[0]
    assert logits.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves((state.params, state.batch_statistics))} == {jnp.dtype(jnp.float32)}


def test_remat_computes_activations_again():
    plain, again = (traced(dataclasses.replace(SMALL, remat=remat))[0] for remat in (False, True))
    assert "remat" in again and "remat" not in plain
    assert again.count("conv_general_dilated") > plain.count("conv_general_dilated")


class Three(Bright):
    classes = 3


VOLUMES = Bright(9, shapes=((8, 8, 8),))


def prepared(folder, dataset, **settings):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.runs.data.open_dataset", lambda *_, **__: dataset)
        return prepare_run(tiny_config(folder / "run", **settings))


@pytest.mark.parametrize(
    ("dataset", "loss", "message"),
    [
        (Bright(9), LossConfig(options={"levels": 9}), "levels=9 does not fit images of"),
        (Bright(9, shapes=((9, 9),)), LossConfig(), "does not fit images of"),
        (VOLUMES, LossConfig(name="skea_topo", topology_epoch=1), "not defined for volumes"),
    ],
    ids=["levels", "small images", "volumes"],
)
def test_a_loss_that_does_not_fit_the_data_is_refused_before_anything_is_written(dataset, loss, message, tmp_path):
    made = prepared(tmp_path, dataset, loss=loss)
    with pytest.raises(ValueError, match=rf"loss\.name {loss.name} does not fit bright: .*{message}"):
        check_loss(made)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_for_two_classes_alone_or_fits_three(name, tmp_path):
    """And says so before anything else is looked at."""
    three = Three(9, shapes=((32, 32),))
    if name in TWO_CLASSES:
        with pytest.raises(
            ValueError, match=f"loss.name {name} is for two classes, and bright has 3; most others take"
        ):
            prepared(tmp_path, three, loss=LossConfig(name=name), epochs=9)
    else:
        check_loss(prepared(tmp_path, three, loss=LossConfig(name=name), epochs=9))
    check_loss(prepared(tmp_path, Bright(9, shapes=((32, 32),)), loss=LossConfig(name=name), epochs=9))


@pytest.mark.parametrize(
    ("dataset", "name"), [(Bright(9), "abw"), (Three(9), "boundary"), (VOLUMES, "wce"), (Three(9), "dice")]
)
def test_a_loss_that_fits(dataset, name, tmp_path):
    check_loss(prepared(tmp_path, dataset, loss=LossConfig(name=name)))


@pytest.mark.parametrize(
    ("name", "epochs", "firsts"), [("cwmi", 1, [0]), ("cwmi", 2, [0, 1]), ("skea_topo", 5, [0, 2])]
)
def test_a_short_run_has_epochs_of_its_own_loss(name, epochs, firsts, tmp_path):
    made = prepared(tmp_path, Bright(9), epochs=epochs, loss=LossConfig(name=name))
    assert [phase.first_epoch for phase in made.phases] == firsts
    assert made.config.loss.first_epochs == firsts[-1]


def test_an_optimizer_that_would_never_take_a_step_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"optimizer\.accumulate must be at most the 9 batches of the run, got 10"):
        prepared(tmp_path, Bright(9), optimizer=OptimizerConfig(accumulate=10))


def test_the_map_that_a_loss_is_checked_with_is_the_one_that_it_is_trained_with(tmp_path):
    """In the unit of the images' spacing; a second one, in pixels, would be made of every first image and never used."""
    dataset = Bright(9, shapes=((32, 32),))
    dataset.images = [facts._replace(spacing=(0.5, 0.5)) for facts in dataset.images]
    made = prepared(tmp_path, dataset, loss=LossConfig(name="wce"))
    check_loss(made)
    files = set((tmp_path / "data" / "maps").rglob("*.npy"))
    first = int(made.split.train[0])
    made.maps(dataset.names[first], dataset[first].label, (0.5, 0.5))
    assert len(files) == 1 and set((tmp_path / "data" / "maps").rglob("*.npy")) == files


def test_a_run_is_opened_again_on_its_split_without_the_files_that_made_it(tmp_path, monkeypatch):
    monkeypatch.setattr("train.runs.data.open_dataset", lambda *_, **__: Bright(9))
    lines = [f"image {number},{'train' if number < 5 else 'val' if number < 7 else 'test'}" for number in range(9)]
    (tmp_path / "splits.csv").write_text("\n".join(["name,part", *lines]))
    (tmp_path / "groups.csv").write_text("\n".join(["name,group", *(f"image {n},{n}" for n in range(9))]))
    paths = {name: str(tmp_path / f"{name}.csv") for name in ("splits", "groups")}
    data = DataConfig(dataset="bright", folder=str(tmp_path / "data"), folds=1, **paths)
    made = prepare_run(tiny_config(tmp_path / "run", data=data))
    folder = open_folder(made)
    for path in paths.values():
        (tmp_path / path).unlink()
    again = reopen_run(folder)
    assert [part.tolist() for part in again.split] == [[0, 1, 2, 3, 4], [5, 6], [7, 8]]
    assert again.epoch_steps == made.epoch_steps and again.config == folder.read_config()
    (folder.path / "split.json").write_text('{"train": {"image 9": 0}}')
    with pytest.raises(ValueError, match=r"split\.json of .*run is damaged \(KeyError\('image 9'\)\)"):
        reopen_run(folder)


def write_images(folder, seed):
    for number, part in ((number, part) for number in range(6) for part in ("images", "masks")):
        (folder / part).mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng((seed, number)).integers(0, 2, (16, 16), np.uint8) * 255
        PIL.Image.fromarray(values).save(folder / part / f"{number}.png")
    return folder


def test_a_run_finds_its_images_where_their_folder_is_gone_and_others_were_prepared(tmp_path):
    mine, yours, data = write_images(tmp_path / "mine", 0), write_images(tmp_path / "yours", 1), tmp_path / "data"
    settings = DataConfig(dataset="folder", source=str(mine), folder=str(data))
    made = prepare_run(tiny_config(tmp_path / "run", data=settings))
    folder = open_folder(made)
    prepare("folder", data_dir=data, source=yours)
    shutil.rmtree(mine)
    again = reopen_run(folder)
    assert again.dataset.path == made.dataset.path and again.dataset.path != prepare(
        "folder", data_dir=data, source=yours
    )
    remedy = "name the folder of those that it was trained on with --source"
    with pytest.raises(RunError) as raised:
        reopen_run(folder, source=yours)
    assert str(raised.value) == f"{folder} was trained on other images or masks than 'yours' has now; {remedy}"
    shutil.rmtree(made.dataset.path)
    with pytest.raises(RunError) as raised:
        reopen_run(RunFolder(tmp_path / "run"))
    assert str(raised.value) == f"the images of {folder} are not at hand (folder: there is no folder {mine}); {remedy}"
