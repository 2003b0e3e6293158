"""What all metrics of masks share: forms of masks, one value an image, errors; and what works without the extras."""

import inspect
import itertools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from cwmi_jax import metrics
from tests.metrics.masks import ON_THE_HOST, random_pairs

each_metric = pytest.mark.parametrize("metric", [getattr(metrics, name) for name in ON_THE_HOST])


@each_metric
def test_an_image_of_a_batch_has_the_score_that_it_has_alone(metric):
    predictions, labels = (np.stack(masks) for masks in zip(*random_pairs()[:6], strict=True))
    singles = [metric(*pair) for pair in zip(predictions, labels, strict=True)]
    assert all(score.shape == () and score.dtype == np.float64 for score in singles)
    scores = metric(predictions.reshape(2, 1, 3, *labels.shape[1:]), labels.reshape(2, 1, 3, *labels.shape[1:]))
    assert scores.shape == (2, 1, 3) and scores.dtype == np.float64
    assert_array_equal(scores.ravel(), singles)
    assert len(np.unique(scores)) > 1


@each_metric
def test_no_random_or_degenerate_pair_is_without_a_score(metric):
    points = [tuple(np.full((1, 1), value) for value in pair) for pair in itertools.product((0, 1), repeat=2)]
    for prediction, label in random_pairs() + random_pairs(20, (1, 8)) + points:
        assert np.isfinite(metric(prediction, label))


@each_metric
def test_a_volume_is_one_image(metric):
    predictions, labels = (np.stack(masks) for masks in zip(*random_pairs(12, (5, 9, 11))[:4], strict=True))
    volumes, slices = metric(predictions, labels, spatial_dims=3), metric(predictions, labels)
    assert volumes.shape == (4,) and slices.shape == (4, 5)
    assert not np.isclose(volumes, slices.mean(axis=1)).all()
    # Volumes are thinned by another algorithm, and all pixels of a slice alone are border.
    if metric not in (metrics.cldice_score, metrics.hausdorff95):
        assert_allclose(metric(predictions[:, :, None], labels[:, :, None], spatial_dims=3), slices, rtol=1e-12)


@each_metric
@pytest.mark.parametrize("form", [bool, np.uint8, np.int8, np.int64, jnp.asarray, np.ndarray.tolist])
def test_forms_of_masks_agree(metric, form):
    prediction, label = random_pairs(9)[0]
    convert = form if callable(form) and not isinstance(form, type) else lambda mask: mask.astype(form)
    assert metric(convert(prediction), convert(label)) == metric(prediction, label)


@each_metric
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(predictions=np.zeros((4, 5), int)), ValueError, r"have one shape, got \(4, 5\) and \(4, 4\)"),
        (dict(predictions=np.zeros(4, int), labels=np.zeros(4, int)), ValueError, r"\[\.\.\., H, W\] .* got \(4,\)"),
        (dict(predictions=np.zeros((0, 4), int), labels=np.zeros((0, 4), int)), ValueError, r"got \(0, 4\)"),
        (dict(spatial_dims=3), ValueError, r"\[\.\.\., D, H, W\] with spatial_dims=3, got \(4, 4\)"),
        (dict(spatial_dims=1), ValueError, "spatial_dims must be 2 .* or 3 .*, got 1"),
        (dict(predictions=np.full((4, 4), 0.7)), TypeError, "predictions .* got float64; threshold .* > 0.5"),
        (dict(labels=np.ones((4, 4), np.float32)), TypeError, "labels .* got float32; threshold"),
        (dict(predictions=np.full((4, 4), "1")), TypeError, "predictions must be integer or bool classes, got <U1"),
        (
            dict(predictions=np.diag([0, 255, -1, 7])),
            ValueError,
            r"predictions must lie within 0\.\.1, got -1, 7, 255 in 3 of 16 pixels",
        ),
        (dict(labels=np.arange(16).reshape(4, 4)), ValueError, r"labels .* got 2, 3, 4, \.\.\. in 14 of 16 pixels"),
        (dict(where=np.ones((4, 4), int)), TypeError, "where must be bool, got int64; compare"),
        (dict(where=np.ones((4, 3), bool)), ValueError, r"shape of the labels, \(4, 4\), got \(4, 3\)"),
        (
            dict(labels=np.full((4, 4), 2), where=np.eye(4, dtype=bool)),
            ValueError,
            r"labels must lie within 0\.\.1, got 2 in 4 of 4 pixels",
        ),
    ],
)
def test_wrong_arguments_are_named(metric, change, error, message):
    arguments = dict(predictions=np.zeros((4, 4), int), labels=np.ones((4, 4), int))
    with pytest.raises(error, match=message):
        metric(**arguments | change)


def holes(shape):
    """Void pixels of every kind: scattered, a band at the border, a band across."""
    where = np.random.default_rng(1).random(shape) < 0.9
    where[..., :3, :] = where[..., 10:13] = False
    return where


@each_metric
def test_an_image_without_void_pixels_has_the_score_that_it_has_without_where(metric):
    for prediction, label in random_pairs(12):
        assert metric(prediction, label, where=np.ones(label.shape, bool)) == metric(prediction, label)


@each_metric
def test_what_void_pixels_hold_changes_nothing(metric):
    """They are void of each image by itself."""
    predictions, labels = (np.stack(masks) for masks in zip(*random_pairs(12), strict=True))
    where = holes(labels.shape)
    scores = metric(predictions, labels, where=where)
    flipped = [np.where(where, masks, ~masks) for masks in (predictions, labels)]
    strange = [np.where(where, masks, value) for masks, value in ((predictions, -1), (labels, 255))]
    assert_array_equal(metric(*flipped, where=where), scores)
    assert_array_equal(metric(*strange, where=where), scores)
    images = zip(predictions, labels, where, strict=True)
    assert_array_equal([metric(prediction, label, where=known) for prediction, label, known in images], scores)
    assert (scores != metric(predictions, labels)).any()


@each_metric
def test_an_image_of_nothing_but_void_has_the_score_of_two_empty_masks(metric):
    prediction, label = random_pairs(9)[0]
    empty = np.zeros(label.shape, bool)
    assert metric(prediction, label, where=empty) == metric(empty, empty)


@each_metric
def test_void_pixels_of_a_volume(metric):
    predictions, labels = (np.stack(masks) for masks in zip(*random_pairs(12, (9, 11, 13))[:3], strict=True))
    where = holes(labels.shape)
    scores = metric(predictions, labels, where=where, spatial_dims=3)
    assert scores.shape == (3,) and (scores != metric(predictions, labels, spatial_dims=3)).any()
    assert_array_equal(metric(predictions & where, labels | ~where, where=where, spatial_dims=3), scores)


@each_metric
def test_traced_masks_are_told_where_to_go(metric):
    mask = np.zeros((4, 4), int)
    with pytest.raises(TypeError, match=r"predictions .* on the host: call it outside `jit`, where `confusion_matrix`"):
        jax.jit(lambda mask: metric(mask, mask))(mask)
    with pytest.raises(TypeError, match=r"where must be an array whose values this process holds"):
        jax.jit(lambda where: metric(mask, mask, where=where))(mask == 0)


def test_every_public_name_is_in_a_test_of_its_kind():
    of_counts = {"confusion_matrix", "dice_from_confusion", "iou_from_confusion"}
    assert set(metrics.__all__) == of_counts | set(ON_THE_HOST)
    assert metrics.__all__ == sorted(metrics.__all__)
    assert all(inspect.isfunction(getattr(metrics, name)) for name in metrics.__all__)


WITHOUT_EXTRAS = """
import sys
for name in ("skimage", "sklearn", "medpy"):
    sys.modules[name] = None
import numpy as np
from cwmi_jax import metrics
mask = np.array([[1, 0, 0]])
print(metrics.confusion_matrix(mask, mask, num_classes=2).tolist())
for name in sys.argv[1:]:
    getattr(metrics, name)(mask[None], mask[None], spatial_dims=3)
    print(name, "of a volume")
try:
    metrics.cldice_score(mask, mask)
except ImportError as error:
    print(error)
"""


def test_only_skeletons_need_an_extra():
    others = [name for name in ON_THE_HOST if name != "cldice_score"]
    command = [sys.executable, "-c", WITHOUT_EXTRAS, *others]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert output[: len(others) + 1] == ["[[2, 0], [0, 1]]", *(f"{name} of a volume" for name in others)]
    assert output[-1].startswith("this needs scikit-image: pip install scikit-image")
