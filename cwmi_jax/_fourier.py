"""Fourier transforms that leave every image on its device.

XLA does not split a transform along its batch: of images that are spread over devices, each device would gather and
transform all. The transforms here tell it how. Otherwise they are those of `jnp.fft` over the last axes: linear,
differentiable any number of times in both modes, right under every transformation. An image that is itself spread over
devices is gathered.

They are a primitive of their own because `jax.experimental.custom_partitioning` has neither batching nor derivatives.
"""

import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
from jax.extend.core.primitives import fft_p
from jax.interpreters import ad, batching, mlir
from jax.lax import FftType
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from cwmi_jax import _versions


def fft(images: jax.Array, spatial_dims: int) -> jax.Array:
    """Spectra of real or complex images `[..., *shape]`, `[..., *shape]`."""
    if not jnp.iscomplexobj(images):
        images = jax.lax.complex(images, jnp.zeros_like(images))
    return _transform(images, "FFT", images.shape[-spatial_dims:])


def ifft(spectra: jax.Array, spatial_dims: int) -> jax.Array:
    """The inverse of `fft`, complex `[..., *shape]`."""
    return _transform(spectra, "IFFT", spectra.shape[-spatial_dims:])


def rfft(images: jax.Array, spatial_dims: int) -> jax.Array:
    """Half spectra of real images `[..., *shape]`, whose last axis has `side // 2 + 1` frequencies."""
    return _transform(images, "RFFT", images.shape[-spatial_dims:])


def irfft(spectra: jax.Array, shape: Sequence[int]) -> jax.Array:
    """The inverse of `rfft`, real `[..., *shape]`."""
    return _transform(spectra, "IRFFT", tuple(shape))


_transform_p = jax.extend.core.Primitive("fourier_transform")


def _transform(array: jax.Array, kind: str, shape: tuple[int, ...]) -> jax.Array:
    # A program among the parameters is how JAX learns that devices matter to this primitive's lowering.
    program = jax.make_jaxpr(_split(kind, shape, array.ndim - len(shape)))(array)
    return _transform_p.bind(array, program=program, kind=kind, shape=shape)


def _run(array: jax.Array, *, program, **_) -> jax.Array:
    return jax.extend.core.jaxpr_as_fun(program)(array)[0]


def _whole(kind: str, shape: tuple[int, ...]) -> Callable[[jax.Array], jax.Array]:
    """The transform as JAX has it."""

    def transform(array: jax.Array) -> jax.Array:
        # Not `jax.lax.fft`, which looks up whether there is float64: compilers call this from threads that cannot tell.
        return fft_p.bind(array, fft_type=getattr(FftType, kind), fft_lengths=shape)

    return transform


@functools.lru_cache
def _split(kind: str, shape: tuple[int, ...], leading: int) -> Callable[[jax.Array], jax.Array]:
    """The transform with the rule by which it is split over devices: along leading axes, never along those of `shape`."""

    def whole_images(mesh: Mesh, sharding: Sharding | None) -> Sharding:
        if sharding is None:
            return NamedSharding(mesh, PartitionSpec())
        if not isinstance(sharding, NamedSharding):
            return sharding
        spec = (*sharding.spec, *[None] * leading)[:leading]
        return NamedSharding(sharding.mesh, PartitionSpec(*spec))

    transform = _whole(kind, shape)

    def infer(mesh, arguments, result):
        return whole_images(mesh, arguments[0].sharding)

    def partition(mesh, arguments, result):
        sharding = infer(mesh, arguments, result)
        return mesh, transform, sharding, (sharding,)

    batch = [f"b{axis}" for axis in range(leading)]
    before, after = ([f"{name}{axis}" for axis in range(len(shape))] for name in "xw")
    rule = f"{' '.join(batch + before)} -> {' '.join(batch + after)}"
    return _versions.partitioned(transform, partition, infer, rule, (*before, *after))


def _lower(context, array, *, program, kind: str, shape: tuple[int, ...]):
    run = _whole(kind, shape) if _versions.is_export(context) else functools.partial(_run, program=program)
    return mlir.lower_fun(run, multiple_results=False)(context, array)


def _batch(arrays, axes, *, program, kind: str, shape: tuple[int, ...]):
    return _transform(jnp.moveaxis(arrays[0], axes[0], 0), kind, shape), 0


def _transpose(cotangent, array, *, program, kind: str, shape: tuple[int, ...]):
    """Transforms are symmetric; half spectra hold all frequencies but those of two columns for their mirror images too."""
    if kind in ("FFT", "IFFT"):
        return (_transform(cotangent, kind, shape),)
    shares = np.full([1] * (cotangent.ndim - 1) + [shape[-1] // 2 + 1], 2 / math.prod(shape))
    shares[..., 0] /= 2
    if shape[-1] % 2 == 0:
        shares[..., -1] /= 2
    if kind == "RFFT":
        return (_transform(jnp.conj(cotangent) / shares.astype(cotangent.dtype), "IRFFT", shape),)
    half = jnp.conj(_transform(cotangent, "RFFT", shape))
    return (half * shares.astype(half.dtype),)


_transform_p.def_impl(_run)
_transform_p.def_abstract_eval(lambda array, *, program, kind, shape: program.out_avals[0])
ad.deflinear2(_transform_p, _transpose)
batching.primitive_batchers[_transform_p] = _batch
mlir.register_lowering(_transform_p, _lower)
_versions.register_replication(_transform_p)
