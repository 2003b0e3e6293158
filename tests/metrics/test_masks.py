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
    ],
)
def test_wrong_arguments_are_named(metric, change, error, message):
    arguments = dict(predictions=np.zeros((4, 4), int), labels=np.ones((4, 4), int))
    with pytest.raises(error, match=message):
        metric(**arguments | change)


@each_metric
def test_traced_masks_are_told_where_to_go(metric):
    mask = np.zeros((4, 4), int)
    with pytest.raises(TypeError, match=r"predictions .* on the host: call it outside `jit`, where `confusion_matrix`"):
        jax.jit(lambda mask: metric(mask, mask))(mask)


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
for name in ("mean_iou", "mean_dice", "hausdorff95", "betti_error"):
    print(name, getattr(metrics, name)(mask, mask))
for name in sys.argv[1:]:
    try:
        getattr(metrics, name)(mask, mask)
    except ImportError as error:
        print(name, error)
"""


def test_overlap_needs_no_extras_and_the_others_name_theirs():
    packages = dict.fromkeys(
        ["adapted_rand_error", "cldice_score", "modified_hausdorff", "variation_of_information"], "scikit-image"
    ) | dict(adjusted_rand_index="scikit-learn")
    command = [sys.executable, "-c", WITHOUT_EXTRAS, *packages]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.startswith("[[2, 0], [0, 1]]\nmean_iou 1.0\nmean_dice 1.0\nhausdorff95 0.0\nbetti_error 0.0\n")
    for name, package in packages.items():
        assert f"{name} this needs {package}: pip install {package}" in output
