"""The package's transforms against NumPy's, and their derivatives against those that JAX has for its own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from cwmi_jax import _fourier
from tests.golden import quick_jit

SHAPES = [(6, 7), (5, 8), (3, 1), (4, 3, 6)]
KINDS = ("fft", "ifft", "rfft", "irfft")


def random(shape, complex_valued, seed=0):
    rng = np.random.default_rng(seed)
    real = rng.standard_normal(shape)
    return real + 1j * rng.standard_normal(shape) if complex_valued else real


def case(kind, shape):
    """Our transform, NumPy's and JAX's, and a batch for them, `[3, 2, *shape]`."""
    if kind == "irfft":
        ours = functools.partial(_fourier.irfft, shape=shape)
    else:
        ours = functools.partial(getattr(_fourier, kind), spatial_dims=len(shape))
    options = dict(s=shape, axes=tuple(range(-len(shape), 0)))
    numpys, jaxs = (functools.partial(getattr(module, f"{kind}n"), **options) for module in (np.fft, jnp.fft))
    half = (*shape[:-1], shape[-1] // 2 + 1) if kind == "irfft" else shape
    return ours, numpys, jaxs, random((3, 2, *half), complex_valued=kind != "rfft")


each_kind_and_shape = pytest.mark.parametrize(("kind", "shape"), [(kind, shape) for kind in KINDS for shape in SHAPES])


@each_kind_and_shape
def test_values_are_those_of_numpy(x64, kind, shape):
    ours, numpys, _, array = case(kind, shape)
    expected = numpys(array)
    assert_allclose(ours(array), expected, atol=1e-12)
    assert_allclose(jax.jit(jax.vmap(ours, in_axes=1, out_axes=1))(array), expected, atol=1e-12)
    with jax.disable_jit():
        assert_allclose(ours(array), expected, atol=1e-12)


def test_a_real_image_has_a_whole_spectrum_too(x64):
    image = random((2, 5, 6), complex_valued=False)
    assert_allclose(_fourier.fft(image, 2), np.fft.fft2(image), atol=1e-12)


@each_kind_and_shape
def test_derivatives_of_any_order_are_those_of_jax(x64, kind, shape):
    ours, _, jaxs, array = case(kind, shape)
    tangent = random(array.shape, np.iscomplexobj(array), seed=1)

    def derivatives(transform, array, tangent):
        def energy(array):
            return jnp.sum(jnp.abs(transform(array)) ** 4)

        gradient = jax.grad(energy)
        of_gradient = jax.grad(lambda array: jnp.sum(gradient(array) * tangent).real)
        return [
            jax.jvp(transform, (array,), (tangent,)),
            gradient(array),
            jax.vmap(gradient)(array),
            jax.jvp(gradient, (array,), (tangent,)),
            of_gradient(array),
        ]

    both = [quick_jit(functools.partial(derivatives, transform))(array, tangent) for transform in (ours, jaxs)]
    for got, want in zip(*map(jax.tree.leaves, both), strict=True):
        assert_allclose(got, want, atol=1e-9 * np.abs(want).max())
