"""Steps against gradients and updates made by hand, on one device and on several."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from cwmi_jax.losses import LOSSES
from cwmi_jax.metrics import mean_dice, mean_iou
from tests.golden import quick_jit
from tests.versions import KINDS, collectives, make_mesh, transformed
from train.config import OptimizerConfig
from train.models import UNet
from train.runs import parallel
from train.runs.optimizer import create_optimizer
from train.runs.steps import create_state, eval_step, predict_step, train_step
from train.scores import mean_iou as mean_iou_of_image

CE = functools.partial(LOSSES["ce"], spatial_dims=2)

# Compiled: one operation after the other, each is a program of its own.
take = quick_jit(train_step, static_argnames=("network", "optimizer", "loss", "ema"))
evaluate = quick_jit(eval_step, static_argnames="network")
predict = quick_jit(predict_step, static_argnames="network")


class Net(nn.Module):
    """A layer, a normalisation and a layer."""

    norm: str = "group"
    classes: int = 1
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images, *, train, sides=None):
        hidden = nn.Conv(4, (3, 3), use_bias=False)(images)
        if self.norm == "batch":
            axis_name = None if self.is_initializing() else self.axis_name
            hidden = nn.BatchNorm(use_running_average=not train, momentum=0.9, axis_name=axis_name)(hidden)
        else:
            hidden = nn.GroupNorm(num_groups=2)(hidden)
        return nn.Conv(self.classes, (1, 1))(nn.relu(hidden))


def batch_of(count=4, classes=2):
    rng = np.random.default_rng(0)
    return {
        "images": rng.normal(size=(count, 8, 8, 1)).astype(np.float32),
        "labels": rng.integers(0, classes, (count, 8, 8)).astype(np.int32),
        "where": np.ones((count, 8, 8), bool),
        "sides": np.full((count, 2), 8, np.int32),
        "maps": {},
    }


def part(batch, place):
    return jax.tree.map(lambda array: array[place], batch)


def assert_close(tree, other, atol=1e-6):
    for one, two in zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=atol)


def state_of(network, optimizer, ema=False):
    return create_state(network, optimizer, 0, (8, 8, 1), ema=ema)


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_a_step_is_a_gradient_and_an_update(norm):
    network, optimizer, batch = Net(norm), optax.sgd(0.5), batch_of()
    state = state_of(network, optimizer)

    def objective(params):
        variables = {"params": params, "batch_stats": state.batch_statistics}
        logits, changed = network.apply(variables, batch["images"], train=True, mutable=["batch_stats"])
        probability = 1 / (1 + jnp.exp(-logits[..., 0]))
        chosen = jnp.where(batch["labels"] == 1, probability, 1 - probability)
        return -jnp.log(chosen).mean(), changed.get("batch_stats", {})

    (value, statistics), gradients = quick_jit(jax.value_and_grad(objective, has_aux=True))(state.params)
    after, metrics = take(state, batch, network=network, optimizer=optimizer, loss=CE, ema=0.0)
    assert_close(after.params, jax.tree.map(lambda p, g: p - 0.5 * g, state.params, gradients))
    assert_close(after.batch_statistics, statistics)
    assert after.step == 1 and after.ema is None and len(jax.tree.leaves(statistics)) == 2 * (norm == "batch")
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-5)
    norm_of_all = np.sqrt(sum(float(np.sum(np.square(leaf))) for leaf in jax.tree.leaves(gradients)))
    np.testing.assert_allclose(metrics["gradient_norm"], norm_of_all, rtol=1e-5)


def test_the_gradient_norm_is_that_before_clipping():
    optimizer = optax.chain(optax.clip_by_global_norm(1e-3), optax.sgd(1.0))
    state, batch = state_of(Net(), optimizer), batch_of()
    after, metrics = take(state, batch, network=Net(), optimizer=optimizer, loss=CE, ema=0.0)
    change = optax.tree.norm(jax.tree.map(lambda p, q: p - q, after.params, state.params))
    np.testing.assert_allclose(change, 1e-3, rtol=1e-3)
    assert metrics["gradient_norm"] > 1e-2


def test_pixels_outside_where_do_not_count():
    network, optimizer, batch = Net(), optax.sgd(0.5), batch_of()
    where = batch["where"].copy()
    where[:2] = False
    other = batch | {"labels": np.where(where, batch["labels"], 1 - batch["labels"])}
    step = functools.partial(take, network=network, optimizer=optimizer, loss=CE, ema=0.0)
    state = state_of(network, optimizer)
    one, of_one = step(state, batch | {"where": where})
    two, _ = step(state, other | {"where": where})
    assert_close(one.params, two.params)
    _, of_half = step(state, part(batch, slice(2, 4)))
    np.testing.assert_allclose(of_one["loss"], of_half["loss"], rtol=1e-5)


def test_maps_reach_the_loss():
    def weighted(logits, labels, *, where, weight_map):
        return jnp.mean(logits[..., 0] * weight_map)

    batch = batch_of() | {"maps": {"weight_map": np.zeros((4, 8, 8), np.float32)}}
    optimizer = optax.sgd(1.0)
    state = state_of(Net(), optimizer)
    _, metrics = take(state, batch, network=Net(), optimizer=optimizer, loss=weighted, ema=0.0)
    assert metrics["loss"] == metrics["gradient_norm"] == 0


def test_the_running_mean_of_parameters_follows_them_and_is_evaluated():
    optimizer, batch = optax.sgd(0.5), batch_of()
    state = state_of(Net(), optimizer, ema=True)
    means = state.params
    for _ in range(2):
        state, _ = take(state, batch, network=Net(), optimizer=optimizer, loss=CE, ema=0.75)
        means = jax.tree.map(lambda mean, now: 0.75 * mean + 0.25 * now, means, state.params)
    assert_close(state.ema, means)
    images = batch["images"]
    logits = Net().apply({"params": means}, images, train=False)
    np.testing.assert_allclose(predict(state, images, network=Net()), 1 / (1 + np.exp(-logits)), atol=1e-5)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_accumulated_halves_are_the_whole_batch(name):
    config = OptimizerConfig(name=name, learning_rate=0.1, clip_norm=0.01)
    halved = OptimizerConfig(name=name, learning_rate=0.1, clip_norm=0.01, accumulate=2)
    whole, parts = (create_optimizer(one, optax.constant_schedule(0.1)) for one in (config, halved))
    batch = batch_of()
    expected, _ = take(state_of(Net(), whole), batch, network=Net(), optimizer=whole, loss=CE, ema=0.0)
    state = before = state_of(Net(), parts)
    for half in (slice(0, 2), slice(2, 4)):
        assert_close(state.params, before.params, atol=0)
        state, _ = take(state, part(batch, half), network=Net(), optimizer=parts, loss=CE, ema=0.0)
    assert_close(state.params, expected.params, atol=1e-5)
    assert state.step == 2


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_four_devices_are_one_with_the_whole_batch(norm):
    assert jax.local_device_count() == 4
    optimizer, batch = optax.sgd(0.5, momentum=0.9), batch_of()
    together = Net(norm, axis_name=parallel.AXIS)
    one = state_of(Net(norm), optimizer, ema=True)
    four = parallel.replicate(jax.tree.map(np.asarray, state_of(together, optimizer, ema=True)))
    step = parallel.parallel_train_step(together, optimizer, CE, 0.75)
    for _ in range(3):
        one, of_one = take(one, batch, network=Net(norm), optimizer=optimizer, loss=CE, ema=0.75)
        four, of_four = step(four, parallel.split_over_devices(batch))
    # Every device has the same state, to the bit.
    for leaf in map(np.asarray, jax.tree.leaves(four)):
        np.testing.assert_array_equal(leaf[1:], np.broadcast_to(leaf[:1], leaf[1:].shape))
    for name, value in parallel.first(of_four).items():
        np.testing.assert_allclose(value, of_one[name], rtol=1e-5)
    assert_close(parallel.to_host(four), one, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_under_jit_alone_splits_the_batch_over_a_mesh(kind):
    """As in a loop of one's own: put the batch on a mesh, and jit the step; batch norm sees the whole batch."""
    network = UNet(width=4, depth=1, classes=1)
    loss = functools.partial(LOSSES["cwmi"], levels=1)
    rng = np.random.default_rng(0)
    labels = np.repeat(rng.integers(0, 2, (8, 4, 4)), 4, axis=1).repeat(4, axis=2).astype(np.int32)[:, 1:, 2:]
    images = (labels + rng.normal(size=labels.shape)).astype(np.float32)[..., None]
    batch = {"images": images, "labels": labels, "where": np.ones(labels.shape, bool), "maps": {}}
    optimizer = optax.sgd(0.1, momentum=0.9)
    state = create_state(network, optimizer, 0, (15, 14, 1), ema=False)
    step = quick_jit(functools.partial(train_step, network=network, optimizer=optimizer, loss=loss, ema=0.0))
    expected, of_one = step(state, batch)

    mesh = make_mesh(kind)
    whole, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))
    arguments = jax.device_put(state, whole), jax.device_put(batch, split)
    program = step.lower(*arguments).compile()
    after, of_mesh = program(*arguments)
    np.testing.assert_allclose(of_mesh["loss"], of_one["loss"], rtol=1e-5)
    np.testing.assert_allclose(of_mesh["gradient_norm"], of_one["gradient_norm"], rtol=1e-4)
    assert_close(after.params, expected.params, atol=1e-4)
    assert_close(after.batch_statistics, expected.batch_statistics, atol=1e-4)
    assert collectives(program) == {"all-reduce"}
    assert {shape[0] for shape in transformed(program)} == {2}


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_are_sums_of_those_of_each_image(classes):
    network = Net(classes=1 if classes == 2 else classes)
    state, batch = state_of(network, optax.sgd(1.0)), batch_of(5, classes)
    where = batch["where"].copy()
    where[1, 4:], where[3] = False, False  # a padded image, and one that fills the batch
    sums = evaluate(state, batch | {"where": where}, network=network)
    logits = network.apply({"params": state.params}, batch["images"], train=False)
    predicted = np.argmax(logits, -1) if classes > 2 else np.asarray(logits[..., 0] > 0).astype(int)
    expected = {"mIoU": 0.0, "mDice": 0.0}
    for place in (0, 1, 2, 4):
        rows = slice(0, 4 if place == 1 else 8)
        images = predicted[place, rows], batch["labels"][place, rows]
        for name, metric in (("mIoU", mean_iou), ("mDice", mean_dice)):
            expected[name] += float(metric(*images, num_classes=classes, spatial_dims=2))
    assert sums["images"] == 4
    for name, value in expected.items():
        np.testing.assert_allclose(sums[name], value, rtol=1e-5)


def test_of_several_classes_those_count_that_an_image_has():
    """As when it is tested; an image is validated by the mean over its own classes."""
    network = Net(classes=4)
    state, batch = state_of(network, optax.sgd(1.0)), batch_of(3)
    del batch["maps"]
    batch["labels"] = np.minimum(batch["labels"], 1)
    sums = evaluate(state, batch, network=network)
    logits = network.apply({"params": state.params}, batch["images"], train=False)
    expected = [
        mean_iou_of_image(predicted, label, where=np.ones(label.shape, bool), classes=4)
        for predicted, label in zip(np.argmax(logits, -1), batch["labels"], strict=True)
    ]
    assert not np.isin(3, batch["labels"]) and sums["images"] == 3
    np.testing.assert_allclose(sums["mIoU"], sum(expected), rtol=1e-5)


def test_scores_of_devices_add_up_and_padding_alone_is_nothing():
    network = Net("batch", axis_name=parallel.AXIS)
    state, batch = state_of(network, optax.sgd(1.0)), batch_of(4)
    batch["where"][2:] = False  # all that half of the devices have
    del batch["maps"]
    expected = evaluate(state, part(batch, slice(0, 2)), network=network)
    sums = parallel.parallel_eval_step(network)(
        parallel.replicate(jax.tree.map(np.asarray, state)), parallel.split_over_devices(batch)
    )
    for name, value in parallel.first(sums).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-6)
    assert parallel.first(sums)["images"] == 2


def test_probabilities_of_several_classes_sum_to_one():
    state, images = state_of(Net(classes=3), optax.sgd(1.0)), batch_of()["images"]
    logits = np.asarray(Net(classes=3).apply({"params": state.params}, images, train=False))
    exponentials = np.exp(logits)
    expected = exponentials / exponentials.sum(-1, keepdims=True)
    np.testing.assert_allclose(predict(state, images, network=Net(classes=3)), expected, rtol=1e-5)


def test_the_seed_decides_the_weights():
    optimizer = optax.sgd(1.0)
    one, same, other = (create_state(Net(), optimizer, seed, (8, 8, 1), ema=False) for seed in (3, 3, 4))
    assert_close(one.params, same.params, atol=0)
    kernel = ("Conv_0", "kernel")
    assert (one.params[kernel[0]][kernel[1]] != other.params[kernel[0]][kernel[1]]).all()
    assert one.step == 0 and one.step.dtype == jnp.int32 and one.ema is None
