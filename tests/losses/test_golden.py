"""Losses against the figures of other programs: the paper's baselines, those of the authors' code, an image at a time and
pooled over a batch; the losses of 2024 to 2026, those of `tests/data/recent_losses.py`.
"""

import functools

import numpy as np
from numpy.testing import assert_allclose

from cwmi_jax.losses import (
    LOSSES,
    MAPS,
    cross_entropy,
    dice,
    dice_cbdice,
    dice_cldice,
    focal,
    jaccard,
    rmi,
    scnp,
    skea_topo,
    skeleton_recall,
    tversky,
)
from cwmi_jax.weight_maps import tubed_skeleton
from tests.golden import class_images, figures, images, quick_jit, volume
from tests.thorough import crossed
from tests.versions import enable_x64

BASELINES = {
    "ce": LOSSES["ce"],
    "balanced_bce": LOSSES["balanced_ce"],
    "dice": dice,
    "tversky_0.5_0.5": tversky,
    "tversky_0.3_0.7": functools.partial(tversky, alpha=0.3, beta=0.7),
    "jaccard": jaccard,
    "focal_2.0": focal,
    "focal_2.5": functools.partial(focal, gamma=2.5),
    "rmi": rmi,
    "dice_cldice": dice_cldice,
}
WITH_MAPS = {
    "wce_loss": LOSSES["wce"],
    "abw_loss": LOSSES["abw"],
    "skea_topo_loss_epoch_10": functools.partial(skea_topo, topology=False),
    "skea_topo_loss_epoch_30": skea_topo,
}
PRECISIONS = [(np.float64, 1e-6), (np.float32, 3e-5)]
"""Dtype and tolerance."""
SHAPES = [(96, 128), (128, 128)]


@quick_jit
def baselines(logits, labels):
    each = {name: loss(logits, labels, reduction="none") for name, loss in BASELINES.items()}
    return each | {"dice_batch": dice(logits, labels, per_batch=True)}


@quick_jit
def with_maps(logits, labels, maps):
    return {
        figure: loss(logits, labels, reduction="none", **maps[figure.split("_loss")[0]])
        for figure, loss in WITH_MAPS.items()
    }


@crossed("case, precision", figures("baselines"), PRECISIONS)
def test_baselines_are_those_of_the_authors_code(case, precision):
    dtype, tolerance = precision
    labels, logits = images(case["height"], case["width"], case["batch"], case["seed"])
    assert_allclose(labels.mean(), case["foreground_fraction"], rtol=1e-12)
    expected = case["baseline_losses_per_image"]
    with enable_x64(dtype == np.float64):
        result = baselines(logits[..., None].astype(dtype), labels)
    assert set(result) == set(expected)
    for name, figure in expected.items():
        assert result[name].dtype == dtype
        assert_allclose(result[name], figure, rtol=tolerance, err_msg=name)


@functools.cache
def map_figures(shape):
    """Labels, logits, maps and the authors' losses of two images."""
    cases = [case for case in figures("metrics_and_weight_maps") if (case["height"], case["width"]) == shape]
    assert [case["batch_index"] for case in cases] == [0, 1]
    labels, logits = images(*shape, 2, cases[0]["seed"])
    maps = {
        name: {key: np.stack([make(label) for label in labels]) for key, make in MAPS[name].items()}
        for name in ("wce", "abw", "skea_topo")
    }
    return labels, logits, maps, {name: [case[name] for case in cases] for name in WITH_MAPS}


@crossed("shape, precision", SHAPES, PRECISIONS)
def test_losses_under_weight_maps_are_those_of_the_authors_code(shape, precision):
    dtype, tolerance = precision
    labels, logits, maps, expected = map_figures(shape)
    with enable_x64(dtype == np.float64):
        result = with_maps(logits[..., None].astype(dtype), labels, maps)
    for name, figure in expected.items():
        assert result[name].dtype == dtype
        assert_allclose(result[name], figure, rtol=tolerance, err_msg=name)


def test_every_baseline_of_the_paper_has_a_figure():
    names = {name.split("_loss")[0] for name in WITH_MAPS} | set(BASELINES)
    renamed = {"balanced_bce": "balanced_ce", "dice_cldice": "cldice"}
    found = {renamed.get(name, name.split("_0.")[0].split("_2.")[0]) for name in names}
    assert found == set(list(LOSSES)[:11])


RECENT = {
    "skeleton_recall": skeleton_recall,
    "cbdice": dice_cbdice,
    "cbdice alone, 3 iterations": functools.partial(dice_cbdice, alpha=1.0, iterations=3),
    "scnp": LOSSES["scnp"],
    "scnp of ce, 5 pixels": scnp(cross_entropy, neighbourhood=5),
    "skeleton_recall with dice_ce": functools.partial(skeleton_recall, dice_ce_weight=1.0),
}


def recent_inputs(case):
    """Classes `[N, *shape]` and logits `[N, *shape, C]` of a case."""
    if case["kind"] == "classes":
        labels, logits = class_images(case["height"], case["width"], case["classes"], case["seed"])
        return labels[None], logits[None]
    if case["kind"] == "volume":
        labels, logits = volume(case["depth"], case["height"], case["width"], case["seed"])
        return labels[None], logits[None, ..., None]
    labels, logits = images(case["height"], case["width"], case["batch"], case["seed"])
    return labels, logits[..., None]


@crossed("case, precision", figures("recent_losses"), PRECISIONS)
def test_losses_of_2024_to_2026_are_those_of_their_equations(case, precision):
    dtype, tolerance = precision
    labels, logits = recent_inputs(case)
    spatial_dims = labels.ndim - 1
    tubes = np.stack([tubed_skeleton(label) for label in labels])

    @quick_jit
    def each(logits, labels, tubes):
        given = dict(spatial_dims=spatial_dims, reduction="none")
        return {
            name: loss(logits, labels, **given, **({"tubed_skeleton": tubes} if "skeleton_recall" in name else {}))
            for name, loss in RECENT.items()
        }

    with enable_x64(dtype == np.float64):
        result = each(logits.astype(dtype), labels, tubes)
    assert set(result) == set(case["losses"])
    for name, figure in case["losses"].items():
        assert_allclose(result[name], figure, rtol=tolerance, err_msg=name)
