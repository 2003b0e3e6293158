"""Sizes, parameters and padding of the U-Net."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from train.models import UNet

# Compiles faster than the default.
KEY = jax.random.key(0, impl="rbg")


@pytest.fixture(scope="module")
def network():
    return UNet(width=4, depth=2, groups=2)


@pytest.fixture(scope="module")
def parameters(network):
    return jax.jit(network.init)(KEY, jnp.ones((1, 8, 8, 1)))


@pytest.fixture(scope="module")
def apply(network):
    return jax.jit(network.apply)


@pytest.mark.parametrize("size", [(1, 1), (5, 8), (31, 17), (16, 16)])
def test_any_size_is_kept(network, size):
    images = jnp.ones((2, *size, 1))
    logits, _ = jax.eval_shape(network.init_with_output, jax.random.key(0), images)
    assert logits.shape == (2, *size, 1)


def test_padding_repeats_the_edge_and_is_cropped_again(parameters, apply):
    images = jax.random.normal(KEY, (1, 6, 7, 1))
    by_hand = jnp.asarray(np.pad(images, ((0, 0), (0, 2), (0, 1), (0, 0)), mode="edge"))
    expected = apply(parameters, by_hand)[:, :6, :7]
    np.testing.assert_allclose(apply(parameters, images), expected, rtol=1e-5, atol=1e-6)


def test_number_of_parameters():
    network = UNet(width=4, depth=1, groups=2)
    parameters = jax.eval_shape(network.init, jax.random.key(0), jnp.ones((1, 8, 8, 1)))
    # 3x3 kernel, in, out, and a scale and a shift of each normalised channel.
    encoder = (9 * 1 * 4 + 8) + (9 * 4 * 4 + 8)
    bottleneck = (9 * 4 * 8 + 16) + (9 * 8 * 8 + 16)
    upsampling = 9 * 8 * 4 + 8
    decoder = (9 * (4 + 4) * 4 + 8) + (9 * 4 * 4 + 8)
    head = 4 + 1
    assert encoder + bottleneck + upsampling + decoder + head == 1841
    assert sum(leaf.size for leaf in jax.tree.leaves(parameters)) == 1841


def test_an_image_does_not_depend_on_its_batch(parameters, apply):
    images = jax.random.normal(KEY, (3, 6, 7, 1))
    alone = jnp.concatenate([apply(parameters, image[None]) for image in images])
    np.testing.assert_allclose(apply(parameters, images), alone, rtol=1e-5, atol=1e-6)
