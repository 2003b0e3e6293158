"""Extrema of neighbours, and the soft skeletons that are made of them, with gradients that ties share."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from cwmi_jax._meshes import vary_alike

Offsets = tuple[tuple[int, ...], ...]
"""Neighbours of a pixel, itself included, by how far they lie along each axis."""


def square(spatial_dims: int) -> Offsets:
    """All neighbours: 3 x 3 (x 3) pixels."""
    return tuple(itertools.product((-1, 0, 1), repeat=spatial_dims))


def cross(spatial_dims: int) -> Offsets:
    """The neighbours along the axes."""
    return tuple(offset for offset in square(spatial_dims) if sum(map(abs, offset)) <= 1)


def soft_skeletons(images: jax.Array, iterations: int) -> jax.Array:
    """Soft skeletons of `[N, C, *shape]`: what an opening removes from the image and from each of its erosions.

    Erosion takes the least of a pixel and its neighbours along the axes, dilation the greatest of its 3 x 3 (x 3)
    neighbourhood; beyond the edges there is nothing. Of binary images they are binary.
    """
    spatial_dims = images.ndim - 2

    # A step is computed again for the gradient, which would otherwise hold a dozen images of each, and so is a block of
    # steps, so that the two images between steps are held within one block at a time.
    @jax.checkpoint
    def step(carry: tuple[jax.Array, jax.Array], _: None) -> tuple[tuple[jax.Array, jax.Array], None]:
        image, background = carry
        eroded = extremum(image, cross(spatial_dims), -1)
        removed = jax.nn.relu(image - extremum(eroded, square(spatial_dims), 1))
        return (eroded, background * (1 - removed)), None

    @functools.partial(jax.checkpoint, static_argnums=2)
    def block(image: jax.Array, background: jax.Array, steps: int) -> tuple[jax.Array, jax.Array]:
        return jax.lax.scan(step, (image, background), length=steps)[0]

    count = iterations + 1
    steps = math.isqrt(count)
    carry = tuple(vary_alike(images, jnp.ones_like(images)))
    carry, _ = jax.lax.scan(lambda carry, _: (block(*carry, steps), None), carry, length=count // steps)
    if count % steps:
        carry = block(*carry, count % steps)
    return 1 - carry[1]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def extremum(images: jax.Array, offsets: Offsets, sign: int) -> jax.Array:
    """The greatest (`sign` 1) or least (-1) of `[N, C, *shape]` at some offsets from each pixel.

    Its gradient goes to the pixels that it came from, in equal shares. It is written out because XLA scatters that of a
    window's maximum, and takes thirty times as long on a CPU.
    """
    either = jnp.maximum if sign > 0 else jnp.minimum
    return functools.reduce(either, _shifted(images, offsets, -sign * np.inf))


def _forward(images, offsets, sign):
    result = extremum(images, offsets, sign)
    # Without the barrier JAX forwards an argument of the step to its derivative, and loses it in the second one.
    return result, jax.lax.optimization_barrier((images, result))


def _backward(offsets, sign, saved, cotangent):
    images, result = saved
    origins = [part == result for part in _shifted(images, offsets, np.nan)]
    shares = cotangent / functools.reduce(jnp.add, [origin.astype(images.dtype) for origin in origins])
    back = tuple(tuple(-step for step in offset) for offset in offsets)
    arrivals = zip(_shifted(result, back, np.nan), _shifted(shares, back, 0), strict=True)
    return (functools.reduce(jnp.add, [jnp.where(images == there, share, 0) for there, share in arrivals]),)


extremum.defvjp(_forward, _backward)


def _shifted(images: jax.Array, offsets: Offsets, beyond: float) -> list[jax.Array]:
    """The values at some offsets, of one pixel at most, from each pixel of `[N, C, *shape]`."""
    edges = [(0, 0), (0, 0), *[(1, 1)] * (images.ndim - 2)]
    # Without the barrier the compiler asks for every pixel anew whether it lies beyond the edge.
    padded = jax.lax.optimization_barrier(jnp.pad(images, edges, constant_values=beyond))
    starts = [tuple(1 + step for step in offset) for offset in offsets]
    sides = images.shape[2:]
    return [
        padded[(..., *(slice(start, start + side) for start, side in zip(corner, sides, strict=True)))]
        for corner in starts
    ]
