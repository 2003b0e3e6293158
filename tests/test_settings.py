"""Settings of all public functions: what makes a program must be known and is named, what it computes with may be traced."""

import functools
import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import cwmi_jax
from cwmi_jax import losses, metrics, weight_maps
from cwmi_jax.losses import LOSSES
from tests.golden import images, quick_jit
from tests.losses.cases import batch, loss, maps
from tests.metrics.masks import ON_THE_HOST
from tests.test_api import FUNCTIONS

SIDES = (12, 16)
MASK, _ = (array[0] for array in images(*SIDES))
SMALL = dict(levels=1, orientations=2)


def of_images(name):
    y = MASK.astype(np.float32)
    kind = {"kind": "l1"} if name == "wavelet_distance" else {}
    return lambda **settings: getattr(cwmi_jax, name)(y, 0.5 * y, **SMALL | kind | settings)


def of_loss(name):
    logits, labels = batch(count=2, dtype=np.float32)
    given = maps(name, labels)
    return lambda **settings: loss(name)(logits, labels, **given, **settings)


def calls():
    """Name of each public function that has settings -> itself, and a call of it that takes settings."""
    for name in ("wavelet_conditional_log_det", "wavelet_mutual_information", "wavelet_distance"):
        yield name, getattr(cwmi_jax, name), of_images(name)
    yield (
        "wavelet_gain",
        cwmi_jax.wavelet_gain,
        lambda **settings: cwmi_jax.wavelet_gain(MASK, MASK, **{"levels": 1} | settings),
    )
    yield (
        "steerable_pyramid",
        cwmi_jax.steerable_pyramid,
        lambda **settings: cwmi_jax.steerable_pyramid(MASK, **SMALL | settings),
    )
    for name, function in LOSSES.items():
        yield name, function, of_loss(name)
    yield "losses.scnp", losses.scnp, lambda **settings: losses.scnp(LOSSES["ce"], **settings)(*batch(count=2))
    for name in (*ON_THE_HOST, "confusion_matrix"):
        function = getattr(metrics, name)
        given = {} if name != "confusion_matrix" else {"num_classes": 2}
        yield name, function, functools.partial(function, MASK, MASK, **given)
    yield (
        "reconstruct",
        cwmi_jax.reconstruct,
        lambda **settings: cwmi_jax.reconstruct(
            cwmi_jax.steerable_pyramid(MASK, **SMALL | settings), spacing=settings.get("spacing")
        ),
    )
    for name in ("unet_weight_map", "abw_weight_map", "skeleton_aware_weight_map", "signed_distance_map"):
        function = getattr(weight_maps, name)
        yield name, function, functools.partial(function, MASK)


CALLS = {name: (function, call) for name, function, call in calls()}
DATA = {"where", "weight_map", "weight_maps", "skeletons", "distance_map", "tubed_skeleton"}
INTEGERS = {
    "levels": 1,
    "orientations": 2,
    "spatial_dims": 2,
    "iterations": 3,
    "radius": 2,
    "pool": 2,
    "num_classes": 3,
    "neighbourhood": 3,
}
FLAGS = {"complex_valued", "topology", "per_batch"}
NAMES = {"activation", "reduction", "kind"}
CONSTANTS = {"epsilon", "noise", "w0", "sigma", "boundary_offset"}
NUMBERS = {"ce_weight", "dice_weight", "dice_ce_weight", "smooth", "alpha", "beta", "gamma", "rmi_weight"}
MADE_OF = [*INTEGERS, *FLAGS, *NAMES, *CONSTANTS]


def keywords(function):
    parameters = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY]


def each(*settings):
    """A test of each function and those of these settings that it has."""
    pairs = [(name, key) for name, (function, _) in CALLS.items() for key in keywords(function) if key in settings]
    return pytest.mark.parametrize(("name", "setting"), pairs)


def test_every_setting_of_every_public_function_is_of_one_kind():
    for function, _ in CALLS.values():
        assert set(keywords(function)) - DATA - {"class_weights"} <= {*MADE_OF, *NUMBERS, "spacing"}
    called = {function for function, _ in CALLS.values()}
    assert {function for function in FUNCTIONS.values() if keywords(function)} <= called


@each(*MADE_OF)
def test_what_makes_the_program_cannot_be_traced(name, setting):
    _, call = CALLS[name]
    with pytest.raises(
        TypeError, match=f"{setting} (makes the program .* static_argnames='{setting}'|must be a string)"
    ):
        jax.eval_shape(lambda value: call(**{setting: value}), jax.ShapeDtypeStruct((), np.int32))


def shape_of(name, **settings):
    """A call without its computation."""
    return jax.eval_shape(lambda: CALLS[name][1](**settings))


def program(call, **settings):
    """What a call computes: the program, or the result of a call on the host."""
    try:
        made = str(jax.make_jaxpr(lambda: call(**settings))())
    except jax.errors.TracerArrayConversionError:
        return call(**settings)
    return re.sub("0x[0-9a-f]+", "", made)


@each(*INTEGERS, *FLAGS, *CONSTANTS, *NUMBERS)
def test_scalars_of_numpy_and_jax_are_the_numbers_they_are(name, setting):
    _, call = CALLS[name]
    value = INTEGERS.get(setting, setting == "topology" if setting in FLAGS else 0.25)
    expected = program(call, **{setting: value})
    forms = [np.asarray(value)[()], np.asarray(value), jnp.asarray(value)]
    for form in forms if setting != "topology" else []:
        assert_array_equal(program(call, **{setting: form}), expected)


@each(*INTEGERS, *FLAGS, *NAMES, *CONSTANTS, *NUMBERS)
def test_settings_of_another_type_are_named(name, setting):
    wrong = [1 + 0j, {}, *([1.0] if setting in FLAGS else [True]), *([2.0] if setting in INTEGERS else [])]
    wrong += [] if setting in NAMES else ["1"]
    wrong += [] if setting == "orientations" else [None]
    for value in wrong:
        with pytest.raises(TypeError, match=f"{setting} must be a .*, got {re.escape(repr(value))}"):
            shape_of(name, **{setting: value})


@each(*INTEGERS, *FLAGS, *CONSTANTS, *NUMBERS)
def test_one_setting_for_each_image_is_refused(name, setting):
    kind = bool if setting in FLAGS else int if setting in INTEGERS else float
    with pytest.raises(ValueError, match=rf"{setting} must be a single \w+, got the shape \(2,\)"):
        shape_of(name, **{setting: np.ones(2, kind)})


@each(*CONSTANTS, *NUMBERS)
def test_numbers_that_mean_nothing_are_named(name, setting):
    for value in (np.nan, np.inf, -1.0):
        limits = "(finite and (not negative|positive)|within 0..1)"
        with pytest.raises(ValueError, match=f"{setting} must be {limits}, got {value}"):
            shape_of(name, **{setting: value})


@each("spacing")
def test_a_spacing_cannot_be_traced(name, setting):
    _, call = CALLS[name]
    message = r"spacing makes the program .* give a Python tuple, .* static_argnames='spacing'"
    for form in (lambda length: length, lambda length: (1.0, length[1])):
        with pytest.raises(TypeError, match=message):
            jax.eval_shape(lambda length, form=form: call(spacing=form(length)), jax.ShapeDtypeStruct((2,), np.float32))


@each("spacing")
def test_a_spacing_is_numbers_in_any_form(name, setting):
    _, call = CALLS[name]
    expected = program(call, spacing=(3.0, 1.0))
    for form in ((3, 1), [3, np.float32(1)], np.array([3, 1]), jnp.array([3.0, 1.0])):
        assert_array_equal(program(call, spacing=form), expected)


@each("spacing")
def test_a_spacing_that_means_nothing_is_named(name, setting):
    cases = [(value, TypeError, "numbers") for value in ("12", {}, (True, False), [1 + 1j, 2], (1.0, None))]
    cases += [(value, ValueError, "2 lengths, one for each spatial axis") for value in (2.0, (1,), (1, 2, 3), [[1, 2]])]
    cases += [((1, value), ValueError, "finite and positive") for value in (0, -1.0, np.nan, np.inf)]
    for value, error, message in cases:
        with pytest.raises(error, match=f"spacing must be {message}, got {re.escape(repr(value))}"):
            shape_of(name, spacing=value)


@pytest.mark.parametrize(
    ("name", "setting", "value", "message"),
    [
        ("cbdice", "alpha", 1.5, "alpha must be within 0..1, got 1.5"),
        ("cldice", "alpha", 1.5, "alpha must be within 0..1, got 1.5"),
        ("rmi", "rmi_weight", 2, "rmi_weight must be within 0..1, got 2"),
        ("cldice", "smooth", 0, "smooth must be finite and positive, got 0"),
        ("cwmi", "epsilon", 0.0, "epsilon must be finite and positive, got 0.0"),
        ("wavelet_mutual_information", "noise", -0.1, "noise must be finite and not negative, got -0.1"),
        ("wavelet_mutual_information", "epsilon", 0, "epsilon must be finite and positive, got 0"),
        ("losses.scnp", "neighbourhood", 0, "neighbourhood must be 1 or more, got 0"),
        ("losses.scnp", "neighbourhood", 4, "neighbourhood must be odd, got 4"),
        ("cldice", "iterations", -1, "iterations must be 0 or more, got -1"),
        ("ce", "class_weights", [1, np.inf], r"class_weights must be finite and not negative, got \[1, inf\]"),
        ("cwmi", "class_weights", [np.nan, 1], r"class_weights must be finite and not negative, got \[nan, 1\]"),
    ],
)
def test_numbers_out_of_range_are_named(name, setting, value, message):
    with pytest.raises(ValueError, match=message):
        shape_of(name, **{setting: value})


VALUES = dict(ce_weight=0.7, dice_weight=1.3, dice_ce_weight=0.8, smooth=2.0, alpha=0.6, beta=0.3, gamma=1.5)
VALUES |= dict(rmi_weight=0.4)
TRACED = [name for name in LOSSES if {*NUMBERS, "class_weights"} & set(keywords(LOSSES[name]))]


@pytest.mark.parametrize("name", TRACED)
def test_numbers_may_be_traced_and_have_a_gradient(x64, name):
    """Each against central differences of the loss with Python's numbers, whose program is another one."""
    logits, labels = batch(count=2)
    given = maps(name, labels)
    function = loss(name)
    settings = {key: VALUES[key] for key in keywords(LOSSES[name]) if key in NUMBERS}
    if "class_weights" in keywords(LOSSES[name]):
        settings["class_weights"] = np.array([0.5, 2.0])

    def run(settings):
        return function(logits, labels, **given, **settings)

    traced = quick_jit(jax.value_and_grad(run))
    value, gradient = traced(settings)
    assert_allclose(value, quick_jit(lambda: run(settings))(), rtol=1e-9)
    step = 1e-5
    for key in settings:
        ahead, behind = (traced(settings | {key: settings[key] + sign * step})[0] for sign in (1, -1))
        assert_allclose(np.sum(gradient[key]), (ahead - behind) / (2 * step), rtol=1e-6)
        assert np.abs(gradient[key]).min() > 1e-6


def test_traced_numbers_of_another_precision_are_converted():
    logits, labels = batch(count=2, dtype=np.float32)
    run = quick_jit(lambda weight: LOSSES["dice_ce"](logits, labels, ce_weight=weight))
    expected = quick_jit(lambda: LOSSES["dice_ce"](logits, labels, ce_weight=2.0))()
    for weight in (np.int32(2), np.float16(2), jnp.bfloat16(2)):
        assert_allclose(run(weight), expected, rtol=1e-6)
