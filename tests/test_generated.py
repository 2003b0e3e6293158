"""Generated shapes, dtypes, masks and settings, against explicit bands and counts in NumPy."""

import functools
import itertools
import math
from typing import NamedTuple

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from cwmi_jax import (
    cwmi_loss,
    reconstruct,
    steerable_pyramid,
    wavelet_conditional_log_det,
    wavelet_mutual_information,
)
from cwmi_jax.metrics import confusion_matrix, mean_iou
from tests.golden import quick_jit, softmax
from tests.versions import enable_x64

INTEGERS = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)
FLOATS = (np.float16, jnp.bfloat16, np.float32, np.float64)
LEADING = [axes for n in range(4) for axes in itertools.product(range(1, 5), repeat=n) if math.prod(axes) <= 4]
ROUNDS = 3
"""How often the program of an example runs, each time with other images: compiling it is what takes time."""
seeds = st.integers(0, 2**32 - 1)


def generated(*arguments, examples: int):
    """Runs a test with the same examples every time, a part of them with the profile of `make test`."""
    # An explanation would take minutes of compilation.
    phases = [hypothesis.Phase.generate, hypothesis.Phase.shrink]
    count = max(2, examples * hypothesis.settings.default.max_examples // 100)
    fixed = hypothesis.settings(max_examples=count, derandomize=True, database=None, deadline=None, phases=phases)
    return lambda test: fixed(hypothesis.given(*arguments)(test))


@functools.cache
def analytic_filters(shape: tuple[int, ...], level: int, orientations: int) -> tuple[np.ndarray, complex]:
    """Gains of a level's complex bands, `[K, *shape]`, and the phase that makes their real parts the real bands."""
    frequencies = np.stack(np.meshgrid(*(2 * np.pi * np.fft.fftfreq(side) for side in shape), indexing="ij"))
    radius = np.maximum(np.linalg.norm(frequencies, axis=0), 1e-300)

    def low(cutoff):
        return np.cos(np.pi / 2 * np.clip(np.log2(2 * radius / cutoff), 0, 1))

    radial = low(np.pi) * math.prod(low(np.pi / 2**m) for m in range(1, level))
    radial = radial * np.sqrt(1 - low(np.pi / 2**level) ** 2)
    if len(shape) == 2:
        order = orientations - 1
        gain = 2**order * math.factorial(order) / math.sqrt(orientations * math.factorial(2 * order))
        # One band has a half-plane with sharp edges, on which no frequency may lie.
        angles = np.pi * np.arange(orientations) / orientations + (1e-6 if orientations == 1 else 0)
        axes = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    elif orientations == 3:
        order, gain, axes = 1, 1.0, np.eye(3)
    else:
        order, gain, golden = 2, math.sqrt(5 / 6), (1 + math.sqrt(5)) / 2
        axes = np.array([np.roll((0, 1, sign * golden), shift) for shift in range(3) for sign in (1, -1)])
        axes = axes / math.hypot(1, golden)
    cosines = np.tensordot(axes, frequencies, 1) / radius
    return radial * np.where(cosines > 0, 2 * gain * np.maximum(cosines, 0) ** order, 0), (-1j) ** order


def explicit_bands(image, level, orientations, complex_valued):
    """`[K, pixels]`, on the whole grid, so scaled that sums over its pixels are those over the fewer ones of the level."""
    filters, phase = analytic_filters(image.shape, level, orientations)
    bands = np.fft.ifftn(np.fft.fftn(image) * filters, axes=range(1, image.ndim + 1)).reshape(orientations, -1)
    return (bands if complex_valued else (phase * bands).real) * 2 ** (image.ndim * (level - 1) / 2)


def explicit_covariances(y, p, level, *, orientations, complex_valued, epsilon, noise=0.0):
    """S_yy and S_y|p, both observed through noise."""
    of_y, of_p = (explicit_bands(image, level, orientations, complex_valued) for image in (y, p))
    yy, pp, yp = (a @ b.conj().T for a, b in ((of_y, of_y), (of_p, of_p), (of_y, of_p)))
    added = noise * np.trace(yy).real / orientations * np.eye(orientations)
    left = yy - yp @ np.linalg.solve(pp + added + epsilon * np.eye(orientations), yp.conj().T)
    return yy + added, left + added


def has_structure(y, yy):
    """Labels here have none at all or much more than rounding leaves, which is about 1e-28 of the image's energy."""
    return np.trace(yy).real > 1e-24 * np.sum(y**2)


def explicit_log_dets(y, p, *, levels, **settings):
    """`log det S_yy` and `log det S_y|p` of each level, `[2, levels]`.

    They are 0 where y has no structure, and NaN where a combination of bands is so small beside the others that rounding
    decides on it: there are more bands than frequencies, or the label happens to lack some of these.
    """
    log_dets = np.zeros((2, levels))
    for i in range(levels):
        yy, conditional = explicit_covariances(y, p, i + 1, **settings)
        if has_structure(y, yy):
            determined = np.linalg.eigvalsh(conditional)[0] > 1e-7 * np.linalg.eigvalsh(yy)[-1]
            log_dets[:, i] = [np.linalg.slogdet(s)[1] if determined else np.nan for s in (yy, conditional)]
    return log_dets


def explicit_loss(logits, targets, where, *, ce_weight, class_weights, **pyramid):
    """The loss of one image `[*shape, C]` whose targets are those of two classes at least."""
    if not where.any():
        return 0.0
    if logits.shape[-1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
    p, inside = softmax(logits), where[..., None]
    compared = [1] if logits.shape[-1] == 2 else range(logits.shape[-1])
    terms = [explicit_log_dets(*(np.where(where, x[..., c], 0) for x in (targets, p)), **pyramid)[1] for c in compared]
    sizes = np.sum(targets, axis=tuple(range(where.ndim)), where=inside)
    if class_weights is None:
        class_weights = 1
    elif isinstance(class_weights, str):
        class_weights = np.where(sizes.min() > 0, sizes.max() / np.maximum(sizes, 1e-300), 1)
    each = -np.sum(class_weights * targets * (logits - np.logaddexp.reduce(logits, axis=-1)[..., None]), axis=-1)
    return np.sum(terms) / len(terms) + ce_weight * np.mean(each, where=where)


@functools.cache
def numbers_of_orientations(shape: tuple[int, ...], levels: int, complex_valued: bool) -> list[int]:
    """Those for which white noise has no combination of bands that is lost in rounding.

    The coarsest level decides: of 4 x 4 pixels it has 8 frequencies, which carry 6 complex bands or 4 real ones.
    """
    noise = np.random.default_rng(0).random((2, *shape))
    settings = dict(levels=levels, complex_valued=complex_valued, epsilon=5e-4)
    possible = any_orientations(shape, levels, complex_valued)
    return [k for k in possible if np.isfinite(explicit_log_dets(*noise, orientations=k, **settings)).all()]


def few_orientations(shape, levels, complex_valued):
    """Those whose covariances have condition numbers that leave digits to float32, and to a difference of two losses."""
    return [k for k in numbers_of_orientations(shape, levels, complex_valued) if k <= 6]


def any_orientations(shape, levels, complex_valued):
    return range(1, 17) if len(shape) == 2 else (3, 6)


class Bank(NamedTuple):
    """What a program of a pyramid is compiled for."""

    leading: tuple[int, ...]
    shape: tuple[int, ...]
    settings: dict

    @property
    def images(self) -> int:
        return math.prod(self.leading)


@st.composite
def banks(draw, allowed=numbers_of_orientations):
    leading = draw(st.sampled_from(LEADING))
    dims = draw(st.sampled_from([2, 2, 2, 3]))
    shape = tuple(draw(st.integers(4, 40 if dims == 2 else 12)) for _ in range(dims))
    levels = draw(st.integers(1, sum(min(shape) >= 4 * 2**i for i in range(4))))
    complex_valued = draw(st.booleans())
    orientations = draw(st.sampled_from(allowed(shape, levels, complex_valued)))
    return Bank(leading, shape, dict(levels=levels, orientations=orientations, complex_valued=complex_valued))


class Segmentation(NamedTuple):
    """What a program of the loss is compiled for."""

    bank: Bank
    classes: int
    label_dtype: type
    channel_axis: bool
    masked: bool
    class_weights: str | None
    ce_weight: float
    epsilon: float
    reduction: str


@st.composite
def segmentations(draw, allowed=numbers_of_orientations):
    classes = draw(st.integers(1, 5))
    return Segmentation(
        bank=draw(banks(allowed)),
        classes=classes,
        label_dtype=draw(st.sampled_from([bool, *INTEGERS, *FLOATS] if classes <= 2 else [*INTEGERS, *FLOATS])),
        channel_axis=draw(st.booleans()),
        masked=draw(st.booleans()),
        # Balanced weights of more than two classes are worked out by hand in `test_cwmi`.
        class_weights=draw(st.sampled_from([None, "array", "balanced"] if classes <= 2 else [None, "array"])),
        ce_weight=draw(st.sampled_from([0.9, 0.0, 2.5])),
        epsilon=draw(st.sampled_from([5e-4, 1e-2, 1.0])),
        reduction=draw(st.sampled_from(["mean", "none"])),
    )


class Images(NamedTuple):
    """Logits `[N, *shape, C]`, targets of two classes at least, masks, class weights, and the loss of each image."""

    logits: np.ndarray
    targets: np.ndarray
    where: np.ndarray
    class_weights: np.ndarray | str | None
    losses: np.ndarray


def generate_images(case, rng):
    weights = rng.uniform(0, 3, max(case.classes, 2)) if case.class_weights == "array" else case.class_weights
    images = [generate_image(case, weights, rng) for _ in range(case.bank.images)]
    logits, targets, where, losses = map(np.array, zip(*images, strict=True))
    return Images(logits, targets, where, weights, losses)


def generate_image(case, weights, rng):
    """One whose loss does not hang on rounding: a label of few pixels may lack one of a level's few frequencies."""
    shape, classes = case.bank.shape, max(case.classes, 2)
    for _ in range(100):
        shares = np.eye(classes)[rng.integers(classes)] if rng.random() < 0.1 else rng.dirichlet(np.ones(classes))
        # So many 64ths are probabilities in all precisions.
        count = 64 if case.label_dtype in FLOATS and rng.random() < 0.8 else 1
        targets = rng.multinomial(count, shares, shape) / count
        kept = rng.choice([0, 0.7, 0.9, 1]) if case.masked else 1
        where = rng.random(shape) < kept
        logits = rng.choice([0.5, 3]) * rng.standard_normal((*shape, case.classes))
        logits = (logits + rng.choice([0, 2]) * targets[..., -case.classes :]).astype(np.float32).astype(float)
        loss = expected_loss(case, logits, targets, where, weights)
        if np.isfinite(loss):
            return logits, targets, where, loss
    return hypothesis.reject()


def expected_loss(case, logits, targets, where, weights):
    return explicit_loss(
        logits,
        targets,
        where,
        class_weights=weights,
        ce_weight=case.ce_weight,
        epsilon=case.epsilon,
        **case.bank.settings,
    )


def given_to_the_loss(case, images, rng, dtype=np.float64):
    """Logits, labels and keyword arguments with the axes of the example, and with anything where pixels are masked."""
    hidden = ~images.where[..., None]
    logits = np.where(hidden, rng.choice([np.nan, np.inf, 1e30]), images.logits).astype(dtype)
    if case.label_dtype in FLOATS:
        labels = np.where(hidden, np.nan, images.targets)[..., -case.classes :].astype(case.label_dtype)
        labels = labels if case.classes > 1 or case.channel_axis else labels[..., 0]
    else:
        labels = images.targets.argmax(axis=-1).astype(case.label_dtype)
        anything = rng.integers(0, 2, labels.shape) * 255
        labels = np.where(images.where, labels, anything.astype(case.label_dtype))
    options = dict(where=images.where) if case.masked else {}
    logits, labels, options = jax.tree.map(
        lambda array: array.reshape(*case.bank.leading, *array.shape[1:]), (logits, labels, options)
    )
    if case.class_weights == "array":
        options["class_weights"] = images.class_weights.astype(dtype)
    return logits, labels, options


def loss_of(case):
    """The loss with all that is static."""
    weights = {} if case.class_weights == "array" else dict(class_weights=case.class_weights)
    return functools.partial(
        cwmi_loss,
        ce_weight=case.ce_weight,
        epsilon=case.epsilon,
        reduction=case.reduction,
        spatial_dims=len(case.bank.shape),
        **case.bank.settings,
        **weights,
    )


def reduced(case, losses, where):
    """Of the losses of all images `[N]`: themselves, or their mean over images that are not wholly masked."""
    if case.reduction == "none":
        return losses.reshape(case.bank.leading)
    seen = where.reshape(len(losses), -1).any(axis=1)
    return losses[seen].mean() if seen.any() else 0.0


@generated(segmentations(), seeds, examples=15)
def test_the_loss_is_that_of_explicit_bands(case, seed):
    """Expected image by image, and without what masks hide: a batch's losses are those of its images, of visible pixels."""
    rng = np.random.default_rng(seed)
    with enable_x64(True):
        program = quick_jit(loss_of(case))
        for _ in range(ROUNDS):
            images = generate_images(case, rng)
            logits, labels, options = given_to_the_loss(case, images, rng)
            result = program(logits, labels, **options)
            assert_allclose(result, reduced(case, images.losses, images.where), rtol=1e-9, atol=1e-6)


@generated(segmentations(few_orientations), seeds, examples=6)
def test_the_gradient_is_the_slope_of_explicit_bands(case, seed):
    rng = np.random.default_rng(seed)
    with enable_x64(True):

        @quick_jit
        @jax.grad
        def program(logits, labels, weights, options):
            return jnp.sum(weights * loss_of(case)(logits, labels, **options))

        for _ in range(ROUNDS):
            images = generate_images(case, rng)
            logits, labels, options = given_to_the_loss(case, images, rng)
            weights = rng.standard_normal(case.bank.leading if case.reduction == "none" else ())
            gradient = np.asarray(program(logits, labels, weights, options)).reshape(images.logits.shape)
            assert_array_equal(gradient[~images.where], 0)
            direction, step = rng.standard_normal(gradient.shape), 1e-5
            ahead, behind = (
                [
                    expected_loss(case, *image, images.class_weights)
                    for image in zip(images.logits + side * direction, images.targets, images.where, strict=True)
                ]
                for side in (step, -step)
            )
            slopes = (np.array(ahead) - np.array(behind)) / (2 * step)
            expected = np.sum(weights * reduced(case, slopes, images.where))
            assert_allclose(np.sum(gradient * direction), expected, rtol=0, atol=1e-5 * np.linalg.norm(gradient))


@generated(segmentations(few_orientations), seeds, examples=6)
def test_the_loss_in_float32_is_that_of_explicit_bands_in_float64(case, seed):
    rng = np.random.default_rng(seed)
    with enable_x64(False):
        program = quick_jit(loss_of(case))
        for _ in range(ROUNDS):
            images = generate_images(case, rng)
            logits, labels, options = given_to_the_loss(case, images, rng, np.float32)
            result = program(logits, labels, **options)
            assert result.dtype == np.float32
            assert_allclose(result, reduced(case, images.losses, images.where), rtol=0, atol=3e-4)


def generate_pair(bank, rng):
    """An image y and one that shows more or less of it, with or without structure at fine levels."""
    y = rng.uniform(-1, 1, bank.shape)
    kind = rng.choice(["grey", "binary", "smooth", "constant"])
    if kind == "binary":
        y = (y > 0.2).astype(float)
    elif kind == "smooth":
        frequencies = np.meshgrid(*map(np.fft.fftfreq, bank.shape), indexing="ij")
        y = np.fft.ifftn(np.fft.fftn(y) * (np.linalg.norm(frequencies, axis=0) < 1 / 8)).real
    elif kind == "constant":
        y = np.full(bank.shape, rng.uniform(-1, 1))
    return y, rng.choice([-2, 0, 0.5]) * y + rng.uniform(-1, 1, bank.shape)


@generated(
    banks(), st.sampled_from([5e-4, 1e-2, 1.0]), st.sampled_from([0.0, 0.01, 1.0]), st.booleans(), seeds, examples=8
)
def test_log_dets_and_information_are_those_of_explicit_bands(bank, epsilon, noise, masked, seed):
    rng = np.random.default_rng(seed)
    settings = dict(spatial_dims=len(bank.shape), epsilon=epsilon, noise=noise, **bank.settings)

    @quick_jit
    def program(y, p, where):
        functions = wavelet_conditional_log_det, wavelet_mutual_information
        return [function(y, p, where=where, **settings) for function in functions]

    with enable_x64(True):
        for _ in range(ROUNDS):
            y, p = map(np.array, zip(*(generate_pair(bank, rng) for _ in range(bank.images)), strict=True))
            where = rng.random(y.shape) < rng.choice([0.7, 1]) if masked else np.ones(y.shape, bool)
            pairs = zip(y * where, p * where, strict=True)
            of_y, conditional = np.stack(
                [explicit_log_dets(*pair, epsilon=epsilon, noise=noise, **bank.settings) for pair in pairs], 1
            )
            y, p = (np.where(where, image, np.nan).reshape(*bank.leading, *bank.shape) for image in (y, p))
            results = program(y, p, where.reshape(y.shape) if masked else None)
            known = np.isfinite(conditional)
            for result, expected in zip(results, (conditional, of_y - conditional), strict=True):
                assert result.shape == (*bank.leading, bank.settings["levels"])
                result = np.asarray(result).reshape(expected.shape)
                assert_allclose(result[known], expected[known], rtol=1e-9, atol=1e-6)
                assert np.isfinite(result).all()


def check_what_is_lost(y, p, levels, **settings):
    """A combination of bands that y lacks counts as rounding: float64's of a band's mean energy, give or take 100 times."""
    results = quick_jit(functools.partial(wavelet_conditional_log_det, spatial_dims=y.ndim, levels=levels, **settings))(
        y, p
    )
    for i, result in enumerate(np.asarray(results)):
        yy, conditional = explicit_covariances(y, p, i + 1, epsilon=5e-4, **settings)
        if not has_structure(y, yy):
            assert result == 0
            continue
        sizes = np.linalg.eigvalsh(conditional)
        lost = sizes < 1e-13 * np.linalg.eigvalsh(yy)[-1]
        hypothesis.assume((sizes[~lost] > 1e-7 * np.linalg.eigvalsh(yy)[-1]).all())
        assert lost.any()
        rounding = np.finfo(float).eps * np.trace(yy).real / len(yy)
        expected = np.log(np.where(lost, rounding, sizes)).sum()
        assert_allclose(result, expected, rtol=0, atol=lost.sum() * np.log(100))


def several_orientations(shape, levels, complex_valued):
    return [k for k in few_orientations(shape, levels, complex_valued) if k > 1]


@generated(banks(several_orientations), st.booleans(), seeds, examples=4)
def test_bands_that_straight_lines_lack_count_as_rounding(bank, binary, seed):
    rng = np.random.default_rng(seed)
    profile = rng.integers(0, 2, bank.shape[-1]) if binary else rng.random(bank.shape[-1])
    with enable_x64(True):
        check_what_is_lost(np.broadcast_to(profile, bank.shape).astype(float), rng.random(bank.shape), **bank.settings)


@generated(st.tuples(*[st.integers(4, 6)] * 2), st.integers(9, 16), seeds, examples=4)
def test_bands_that_outnumber_frequencies_count_as_rounding(shape, orientations, seed):
    y, p = np.random.default_rng(seed).random((2, *shape))
    with enable_x64(True):
        check_what_is_lost(y, p, levels=1, orientations=orientations, complex_valued=False)


@generated(banks(any_orientations), st.sampled_from([(np.float32, 1e-5), (np.float64, 1e-12)]), seeds, examples=8)
def test_a_pyramid_has_the_energy_of_explicit_bands_and_leads_back(bank, precision, seed):
    dtype, tolerance = precision
    dims = len(bank.shape)

    @quick_jit
    def program(image):
        pyramid = steerable_pyramid(image, spatial_dims=dims, **bank.settings)
        return pyramid, reconstruct(pyramid)

    images = np.random.default_rng(seed).uniform(-1, 1, (*bank.leading, *bank.shape)).astype(dtype)
    with enable_x64(dtype == np.float64):
        (high, bands, low), again = program(images)
    assert again.dtype == dtype
    assert_allclose(again, images, rtol=0, atol=tolerance)

    def energies(array):
        """Of each image, or of each of its bands."""
        return np.sum(np.abs(np.asarray(array, complex)) ** 2, axis=tuple(range(-dims, 0)))

    whole = energies(images)
    parts = energies(high) + energies(low) / 2 ** (dims * len(bands))
    for i, band in enumerate(bands):
        _, orientations, complex_valued = bank.settings.values()
        expected = [
            np.sum(np.abs(explicit_bands(image, i + 1, orientations, complex_valued)) ** 2, axis=1)
            for image in images.reshape(-1, *bank.shape).astype(float)
        ]
        found = energies(band)
        assert_allclose(found.reshape(-1, orientations), expected, rtol=20 * tolerance, atol=20 * tolerance)
        parts += found.sum(axis=-1) / 2 ** (dims * i) / (2 if complex_valued else 1)
    assert_allclose(parts, whole, rtol=tolerance)


@st.composite
def classifications(draw):
    classes = draw(st.integers(2, 6))
    dtypes = st.sampled_from(([bool] if classes == 2 else []) + [*INTEGERS])
    spatial_dims = draw(st.sampled_from([2, 3]))
    shape = draw(st.lists(st.integers(1, 12), min_size=spatial_dims, max_size=spatial_dims + 2))
    return classes, draw(dtypes), draw(dtypes), spatial_dims, tuple(shape), draw(st.booleans())


def generate_classes(classification, seed):
    classes, predicted_dtype, dtype, _, shape, masked = classification
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, shape, p=rng.dirichlet(np.ones(classes)))
    predictions = np.where(rng.random(shape) < 0.5, labels, rng.choice(classes, shape))
    where = rng.random(shape) < rng.choice([0, 0.5, 1]) if masked else np.ones(shape, bool)
    hidden = (np.where(where, array, 255) for array in (predictions, labels))
    return (
        predictions,
        labels,
        where,
        *(array.astype(d) for array, d in zip(hidden, (predicted_dtype, dtype), strict=True)),
    )


@generated(classifications(), seeds, examples=15)
def test_confusion_matrices_are_counts(classification, seed):
    predictions, labels, where, *hidden = generate_classes(classification, seed)
    classes, masked = classification[0], classification[-1]
    expected = [[np.sum(where & (labels == i) & (predictions == j)) for j in range(classes)] for i in range(classes)]
    with enable_x64(True):
        counts = quick_jit(functools.partial(confusion_matrix, num_classes=classes))(
            *hidden, where=where if masked else None
        )
    assert_array_equal(counts, expected)


@generated(classifications(), seeds, examples=50)
def test_mean_iou_is_that_of_counts(classification, seed):
    predictions, labels, where, *hidden = generate_classes(classification, seed)
    classes, _, _, spatial_dims, _, masked = classification
    axes = tuple(range(-spatial_dims, 0))
    scores = []
    for c in range(classes):
        either = np.sum(where & ((labels == c) | (predictions == c)), axis=axes)
        both = np.sum(where & (labels == c) & (predictions == c), axis=axes)
        scores.append(np.where(either == 0, 1, both / np.maximum(either, 1)))
    result = mean_iou(*hidden, num_classes=classes, spatial_dims=spatial_dims, where=where if masked else None)
    assert_allclose(result, np.mean(scores, axis=0), rtol=1e-12)
