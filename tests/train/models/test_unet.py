"""The two networks: the paper's sizes, values against a NumPy program, and what each attribute promises."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from numpy.testing import assert_allclose, assert_array_equal

from tests.golden import quick_jit
from tests.thorough import crossed
from tests.train.models.numpy_unet import NumpyUNet, random_variables
from tests.versions import make_mesh
from train.models import AttentionUNet, UNet

each_network = pytest.mark.parametrize("network_class", [UNet, AttentionUNet])


def random_images(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def function(network, **settings):
    """The compiled network, with running statistics unless `train=True` is among the settings."""
    return quick_jit(functools.partial(network.apply, **({"train": False} | settings)))


def updating(network):
    return functools.partial(network.apply, train=True, mutable=["batch_stats"])


def as_arrays(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def assert_trees_allclose(actual, expected, **tolerances):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for one, other in zip(as_arrays(actual), as_arrays(expected), strict=True):
        assert_allclose(one, other, **tolerances)


@pytest.mark.parametrize(
    ("network", "channels", "parameters"),
    [
        (UNet(), 3, 34_527_106),
        (UNet(), 1, 34_525_954),
        (AttentionUNet(), 3, 34_878_638),
        (AttentionUNet(), 1, 34_877_486),
    ],
)
def test_the_default_is_the_size_of_the_papers(network, channels, parameters):
    images = jnp.ones((1, 16, 16, channels))
    logits, variables = jax.eval_shape(
        functools.partial(network.init_with_output, train=False), jax.random.key(0), images
    )
    assert logits.shape == (1, 16, 16, 2)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == parameters


@pytest.mark.parametrize(
    ("network", "shape", "train"),
    [
        (UNet(width=2, depth=2), (2, 8, 12, 3), True),
        (AttentionUNet(width=4, depth=2, classes=1), (2, 8, 4, 1), True),
        (AttentionUNet(width=3, depth=1), (1, 4, 6, 1), False),
        (UNet(width=2, depth=1, spatial_dims=3), (1, 4, 2, 6, 2), True),
        (AttentionUNet(width=4, depth=1, norm="group", groups=4), (2, 4, 6, 1), True),
        (AttentionUNet(width=2, depth=1, spatial_dims=3, norm="group", groups=2, classes=3), (1, 2, 4, 4, 1), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, UNet) else None,
)
def test_logits_are_those_of_a_numpy_program(network, shape, train):
    images = random_images(*shape)
    variables = random_variables(network, images)
    result = function(network, train=train, mutable=["batch_stats"] if train else False)(variables, images)
    logits = result[0] if train else result
    reference = NumpyUNet(
        variables,
        depth=network.depth,
        attention=isinstance(network, AttentionUNet),
        groups=network.groups if network.norm == "group" else None,
        train=train,
    )
    expected = reference(images)
    assert expected.std() > 0.05
    assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("size", [(1, 1, 1), (5, 8, 2), (7, 3, 17), (16, 16, 4)])
def test_any_size_is_kept(spatial_dims, size):
    network = AttentionUNet(width=2, depth=3, spatial_dims=spatial_dims, classes=3)
    images = jnp.ones((2, *size[:spatial_dims], 1))
    logits, _ = jax.eval_shape(functools.partial(network.init_with_output, train=True), jax.random.key(0), images)
    assert logits.shape == (2, *size[:spatial_dims], 3)
    assert logits.dtype == jnp.float32


@pytest.mark.parametrize("shape", [(6, 7), (1, 3)])
def test_padding_repeats_the_edge_and_is_cropped_again(shape):
    network = UNet(width=2, depth=2)
    images = random_images(1, *shape, 1)
    variables = random_variables(network, images)
    by_hand = np.pad(images, [(0, 0), (0, -shape[0] % 4), (0, -shape[1] % 4), (0, 0)], mode="edge")
    expected = NumpyUNet(variables, depth=2, attention=False)(by_hand)[:, : shape[0], : shape[1]]
    assert_allclose(function(network)(variables, images), expected, rtol=1e-4, atol=1e-5)


@crossed(
    "norm, network_class, sides",
    ["group", "batch"],
    [UNet, AttentionUNet],
    [[(5, 9), (12, 3), (16, 16)], [(3, 6, 4), (8, 1, 7)]],
)
def test_images_that_were_padded_to_one_canvas_have_the_logits_of_their_own(network_class, norm, sides):
    """With group normalisation too, whose statistics are those of the image alone."""
    network = network_class(width=4, depth=2, norm=norm, groups=4, spatial_dims=len(sides[0]))
    images = [random_images(*shape, 1, seed=seed) for seed, shape in enumerate(sides)]
    canvas = np.max(sides, axis=0)
    padded = np.stack(
        [
            np.pad(
                image, [*((0, end - side) for side, end in zip(image.shape, canvas, strict=False)), (0, 0)], mode="edge"
            )
            for image in images
        ]
    )
    variables = random_variables(network, padded)
    together = function(network)(variables, padded, sides=jnp.asarray(sides))
    for logits, image in zip(together, images, strict=True):
        alone = function(network)(variables, image[None])[0]
        assert_allclose(logits[tuple(map(slice, alone.shape[:-1]))], alone, rtol=1e-4, atol=1e-4)


def test_far_from_its_border_a_crop_is_as_the_whole():
    network = AttentionUNet(width=2, depth=1)
    images = random_images(1, 4, 40, 1)
    variables = random_variables(network, images)
    whole = function(network)(variables, images)
    crop = function(network)(variables, images[:, :, 2:37])
    # Reach of a logit in pixels: two 3x3 convolutions at full size, two at half, three at full, and the grid of two.
    reach = 2 + 2 * 2 + 3 + 2
    assert_allclose(crop[:, :, reach:-reach], whole[:, :, 2 + reach : 37 - reach], rtol=1e-5, atol=1e-6)
    assert np.abs(crop[:, :, 0] - whole[:, :, 2]).max() > 1e-2


def test_statistics_across_devices_are_those_of_the_whole_batch():
    shards = random_images(2, 2, 4, 6, 1)
    whole = shards.reshape(4, 4, 6, 1)
    alone, together = (AttentionUNet(width=2, depth=1, axis_name=axis) for axis in (None, "batch"))
    variables = random_variables(alone, whole)

    def gradients(network, parameters, images):
        def objective(parameters):
            logits, updates = updating(network)(variables | {"params": parameters}, images)
            return jnp.mean(jnp.sin(logits)), (logits, updates)

        return jax.grad(objective, has_aux=True)(parameters)

    def on_each_device(parameters, images):
        gradient, rest = gradients(together, parameters, images)
        return jax.lax.pmean(gradient, "batch"), rest

    expected_gradient, (expected_logits, expected_updates) = quick_jit(functools.partial(gradients, alone))(
        variables["params"], whole
    )
    devices = jax.devices()[:2]
    mapped = jax.pmap(on_each_device, axis_name="batch", in_axes=(None, 0), devices=devices)
    gradient, (logits, updates) = quick_jit(mapped)(variables["params"], shards)
    assert_allclose(np.asarray(logits).reshape(expected_logits.shape), expected_logits, rtol=1e-4, atol=1e-5)

    def on_both(tree):
        return jax.tree.map(lambda leaf: np.stack([leaf, leaf]), tree)

    assert_trees_allclose(updates, on_both(expected_updates), rtol=1e-5, atol=1e-6)
    assert_trees_allclose(gradient, on_both(expected_gradient), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("network", "train"),
    [(AttentionUNet(width=2, depth=1), False), (UNet(width=4, depth=1, norm="group", groups=2), True)],
    ids=["batch norm in use", "group norm in training"],
)
def test_an_image_does_not_depend_on_its_batch(network, train):
    images = random_images(3, 4, 6, 1)
    variables = random_variables(network, images)
    apply = function(network, train=train)
    alone = np.concatenate([apply(variables, image[None]) for image in images])
    assert_allclose(apply(variables, images), alone, rtol=1e-5, atol=1e-6)


def test_running_statistics_change_in_training_alone():
    network = AttentionUNet(width=2, depth=1)
    images = random_images(2, 4, 4, 1)
    variables = random_variables(network, images)
    _, unchanged = function(network, mutable=["batch_stats"])(variables, images)
    for one, other in zip(as_arrays(unchanged["batch_stats"]), as_arrays(variables["batch_stats"]), strict=True):
        assert_array_equal(one, other)
    _, changed = quick_jit(updating(network))(variables, images)
    for one, other in zip(as_arrays(changed["batch_stats"]), as_arrays(variables["batch_stats"]), strict=True):
        assert not np.allclose(one, other)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_first_variables_are_float32_whatever_the_computation(norm):
    network = UNet(width=2, depth=1, norm=norm, groups=2, axis_name="batch", dtype="bfloat16")
    key = jax.random.key(0, impl="rbg")
    variables = quick_jit(functools.partial(network.init, train=True))(key, jnp.ones((1, 4, 4, 1)))
    assert {leaf.dtype for leaf in as_arrays(variables)} == {np.dtype(np.float32)}
    normalise = variables["params"]["bottleneck"]["second"]["normalise"]
    assert_array_equal(normalise["scale"], np.ones(4))
    assert_array_equal(normalise["bias"], np.zeros(4))
    if norm == "batch":
        statistics = variables["batch_stats"]["bottleneck"]["second"]["normalise"]
        assert_array_equal(statistics["mean"], np.zeros(4))
        assert_array_equal(statistics["var"], np.ones(4))
    else:
        assert list(variables) == ["params"]


def step(network, variables, images):
    """Gradient of a step of training, and its logits and updates."""

    def objective(parameters):
        logits, updates = updating(network)({**variables, "params": parameters}, images)
        return jnp.mean(jnp.sin(logits)), (logits, updates)

    return quick_jit(jax.grad(objective, has_aux=True))(variables["params"])


@each_network
def test_stages_computed_again_give_the_same(network_class):
    images = random_images(2, 4, 4, 1)
    kept, again = (network_class(width=2, depth=1, remat=remat) for remat in (False, True))
    variables = random_variables(kept, images)
    assert_trees_allclose(step(again, variables, images), step(kept, variables, images), rtol=1e-5, atol=1e-6)


def test_stages_are_computed_again_in_the_backward_pass():
    images = random_images(1, 4, 4, 1)

    def convolutions(remat):
        network = UNet(width=2, depth=1, remat=remat)
        variables = random_variables(network, images)

        def loss(parameters):
            return updating(network)({**variables, "params": parameters}, images)[0].sum()

        return str(jax.make_jaxpr(jax.grad(loss))(variables["params"])).count("conv_general_dilated[")

    # Two, two, one and two 3x3 convolutions, once more.
    assert convolutions(True) == convolutions(False) + 7


def test_bfloat16_is_close_with_float32_logits_gradients_and_statistics():
    images = random_images(2, 16, 16, 1)
    exact, coarse = (AttentionUNet(width=4, depth=1, dtype=dtype) for dtype in (jnp.float32, "bfloat16"))
    variables = random_variables(exact, images)
    gradient, (logits, updates) = step(coarse, variables, images)
    expected_gradient, (expected_logits, expected_updates) = step(exact, variables, images)
    assert logits.dtype == jnp.float32
    assert {leaf.dtype for leaf in as_arrays((gradient, updates))} == {np.dtype(np.float32)}
    # A bfloat16 has eight bits, half a percent, and ten layers follow each other.
    error = np.sqrt(np.mean((np.asarray(logits) - np.asarray(expected_logits)) ** 2)) / np.std(expected_logits)
    assert 1e-3 < error < 0.03
    assert_trees_allclose(updates, expected_updates, rtol=0.02, atol=0.01)
    one, other = (np.concatenate([leaf.ravel() for leaf in as_arrays(tree)]) for tree in (gradient, expected_gradient))
    assert one @ other > 0.98 * np.linalg.norm(one) * np.linalg.norm(other)


@each_network
@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"norm": "layer"}, "norm must be of 'batch', 'group', got 'layer'"),
        ({"norm": "group", "width": 6, "groups": 4}, "groups must divide width, got 4 and 6"),
        ({"groups": 0}, "groups must be at least 1, got 0"),
        ({"spatial_dims": 1}, "spatial_dims must be 2 or 3, got 1"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"depth": 0}, "depth must be at least 1, got 0"),
        ({"classes": 0}, "classes must be at least 1, got 0"),
        ({"dtype": "int32"}, "dtype must be a floating one, got int32"),
    ],
)
def test_attributes_out_of_range_fail_at_once(network_class, attributes, message):
    with pytest.raises(ValueError, match=message):
        network_class(**attributes)


@pytest.mark.parametrize(
    ("spatial_dims", "shape", "message"),
    [
        (2, (8, 8, 1), r"images must be \[B, H, W, C\] with spatial_dims=2, got shape \(8, 8, 1\)"),
        (3, (2, 8, 8, 1), r"images must be \[B, D, H, W, C\] with spatial_dims=3, got shape \(2, 8, 8, 1\)"),
        (2, (2, 0, 8, 1), r"images must have sides of at least 1 pixel, got shape \(2, 0, 8, 1\)"),
    ],
)
def test_images_of_the_wrong_shape_are_named(spatial_dims, shape, message):
    network = UNet(width=2, depth=1, spatial_dims=spatial_dims)
    with pytest.raises(ValueError, match=message):
        network.init(jax.random.key(0), jnp.ones(shape), train=False)


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("norm", ["batch", "group"])
@each_network
def test_an_explicit_mesh_shards_the_logits_as_the_images(network_class, norm, spatial_dims):
    """With and without sizes of images on a canvas, and where they have to be padded."""
    network = network_class(width=2, depth=2, groups=2, norm=norm, spatial_dims=spatial_dims)
    shape = (4, *(9, 6, 5)[:spatial_dims], 1)
    mesh = make_mesh("Explicit")
    whole, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))
    init = functools.partial(network.init, train=False)
    variables = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=whole),
        jax.eval_shape(init, jax.random.key(0), jnp.ones(shape)),
    )
    images = jax.ShapeDtypeStruct(shape, np.float32, sharding=split)
    for given in ({}, {"sides": jax.ShapeDtypeStruct((4, spatial_dims), np.int32, sharding=split)}):
        logits, _ = jax.eval_shape(updating(network), variables, images, **given)
        assert logits.shape == (*images.shape[:-1], 2)
        assert logits.sharding.spec[0] == "data"


def test_strict_promotion_is_enough():
    network = AttentionUNet(width=2, depth=1)
    with jax.numpy_dtype_promotion("strict"):
        jax.eval_shape(functools.partial(network.init, train=True), jax.random.key(0), np.ones((1, 4, 4, 1), np.uint8))
