"""The pieces of the networks, against values worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.golden import quick_jit
from tests.train.models.numpy_unet import convolve
from train.models.layers import (
    AttentionGate,
    Convolution,
    Normalisation,
    NormalisedConvolution,
    downsample,
    pad_to_multiple,
    upsample,
)

# Compiles faster than the default.
KEY = jax.random.key(0, impl="rbg")


def normalisation(norm="batch", groups=1, train=False):
    return Normalisation(norm, groups, None, train, jnp.float32)


def as_image(rows):
    """One image of one channel, or a volume."""
    return jnp.asarray(rows, jnp.float32)[None, ..., None]


def test_upsampling_repeats_each_pixel():
    assert_array_equal(
        upsample(as_image([[1, 2], [3, 4]]))[0, ..., 0], [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    )
    assert_array_equal(upsample(as_image([[[1, 2]]]))[0, ..., 0], [[[1, 1, 2, 2]] * 2] * 2)


def test_downsampling_keeps_the_largest_of_each_square_and_cube():
    assert_array_equal(downsample(as_image([[1, 2, -5, -6], [4, 3, -7, -8]]))[0, ..., 0], [[4, -5]])
    assert_array_equal(downsample(as_image([[[1, 2], [4, 3]], [[7, 0], [-1, 9]]]))[0, ..., 0], [[[9]]])


def test_padding_repeats_the_edge_at_the_end():
    assert_array_equal(
        pad_to_multiple(as_image([[1, 2, 3]]), 2)[0, ..., 0],
        [[1, 2, 3, 3], [1, 2, 3, 3]],
    )
    assert pad_to_multiple(jnp.ones((2, 1, 4, 5, 3)), 4).shape == (2, 4, 4, 8, 3)
    images = jnp.ones((2, 4, 8, 1))
    assert_array_equal(pad_to_multiple(images, 4), images)


def test_attention_gate_of_hand_set_weights():
    # Variances of 1 - epsilon make every normalisation its scale and shift alone.
    def piece(kernel, bias, scale, shift):
        return {
            "convolve": {"convolution": {"kernel": jnp.full((1, 1, 1, 1), kernel), "bias": jnp.full(1, bias)}},
            "normalise": {"scale": jnp.full(1, scale), "bias": jnp.full(1, shift)},
        }

    statistics = {"normalise": {"mean": jnp.zeros(1), "var": jnp.full(1, 1 - 1e-5)}}
    variables = {
        "params": {
            "gate": piece(2.0, 0.5, 1.0, 0.0),
            "skip": piece(-1.0, 0.0, 3.0, 1.0),
            "attention": piece(0.5, -1.0, 2.0, 0.25),
        },
        "batch_stats": dict.fromkeys(("gate", "skip", "attention"), statistics),
    }
    skip = jnp.asarray([1.0, -2.0]).reshape(1, 1, 2, 1)
    gate = jnp.asarray([1.0, 0.25]).reshape(1, 1, 2, 1)
    weighed = AttentionGate(normalisation()).apply(variables, skip, gate)
    # First: relu((2 + 0.5) + (-3 + 1)) = 0.5, psi 2 (0.25 - 1) + 0.25 = -1.25, sigmoid 0.222700.
    # Second: relu((0.5 + 0.5) + (6 + 1)) = 8, psi 2 (4 - 1) + 0.25 = 6.25, sigmoid 0.998073.
    assert_allclose(weighed.ravel(), [0.2227001, -1.9961455], rtol=1e-6)


def test_the_last_normalisation_of_a_gate_has_one_group():
    # Half of six channels are three, and then one: groups of one, three and one channels.
    shapes = jax.eval_shape(
        AttentionGate(normalisation("group", groups=6)).init, KEY, jnp.ones((1, 2, 2, 6)), jnp.ones((1, 2, 2, 6))
    )
    assert {name: piece["normalise"]["scale"].shape for name, piece in shapes["params"].items()} == {
        "gate": (3,),
        "skip": (3,),
        "attention": (1,),
    }


@pytest.mark.parametrize(("side", "channels", "axes"), [(3, 16, 2), (1, 64, 2), (3, 8, 3)])
def test_weights_and_biases_start_as_pytorch_draws_them(side, channels, axes):
    convolution = Convolution(512, side, jnp.float32)
    drawn = quick_jit(convolution.init)(KEY, jnp.ones((1,) + (2,) * axes + (channels,)))["params"]["convolution"]
    # torch.nn.Conv2d: uniform within 1 / sqrt(fan_in), of standard deviation 1 / sqrt(3 fan_in), weights and bias alike.
    bound = 1 / np.sqrt(side**axes * channels)
    assert drawn["kernel"].shape == (side,) * axes + (channels, 512)
    for values in drawn.values():
        assert np.abs(values).max() <= bound
        assert_allclose(np.abs(values).max(), bound, rtol=0.02)
        assert_allclose(values.std(), bound / np.sqrt(3), rtol=0.06)
        assert abs(values.mean()) < 0.1 * bound


def test_running_statistics_keep_nine_tenths_even_far_from_zero():
    random = np.random.default_rng(0)
    images = (1000 + random.normal(size=(3, 6, 5, 2))).astype(np.float32)
    layer = NormalisedConvolution(2, 1, normalisation(train=True))
    parameters = {
        "convolve": {
            "convolution": {"kernel": jnp.eye(2)[None, None], "bias": jnp.asarray([0.0, 3.0])},
        },
        "normalise": {"scale": jnp.ones(2), "bias": jnp.zeros(2)},
    }
    before = {"mean": jnp.asarray([1.0, 2.0]), "var": jnp.asarray([3.0, 4.0])}
    normalised, updates = layer.apply(
        {"params": parameters, "batch_stats": {"normalise": before}}, images, mutable=["batch_stats"]
    )
    features = images.astype(np.float64) + np.asarray([0, 3])
    mean, variance = features.mean((0, 1, 2)), ((features - features.mean((0, 1, 2))) ** 2).mean((0, 1, 2))
    after = updates["batch_stats"]["normalise"]
    assert_allclose(after["mean"], 0.9 * np.asarray([1, 2]) + 0.1 * mean, rtol=1e-6)
    assert_allclose(after["var"], 0.9 * np.asarray([3, 4]) + 0.1 * variance, rtol=1e-4)
    assert_allclose(normalised, (features - mean) / np.sqrt(variance + 1e-5), atol=1e-3)


def test_convolution_of_an_image_worked_out_by_hand():
    kernel = np.arange(9.0).reshape(3, 3, 1, 1)
    parameters = {"kernel": kernel, "bias": np.asarray([10.0])}
    images = as_image([[1, 0], [0, 2]])
    # Top left: 1 * 4 (centre) + 2 * 8 (lower right), and so on, with zeros outside.
    expected = [[30, 10 + 3 + 2 * 7], [10 + 1 + 2 * 5, 10 + 0 + 2 * 4]]
    variables = {"params": {"convolution": jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), parameters)}}
    assert_allclose(Convolution(1, 3, jnp.float32).apply(variables, images)[0, ..., 0], expected, rtol=1e-6)
    assert_allclose(convolve(np.asarray(images, np.float64), parameters)[0, ..., 0], expected, rtol=1e-12)
