"""Predictions of files: what the network says, in the files' own formats, without the data set of the run."""

import functools

import jax
import nibabel
import numpy as np
import PIL.Image
import pytest
import tifffile

from tests.train.runs.finished_run import Bright, Threshold, config, save
from train import predict
from train.datasets import DatasetError
from train.runs.folder import RunFolder
from train.runs.setup import initial_state, open_folder, prepare_run


class Coloured(Bright):
    """Three classes and three channels."""

    classes, channels = 3, 3
    class_names = ("dim", "1", "bright")

    def __getitem__(self, index):
        example = super().__getitem__(index)
        return example._replace(image=example.image.repeat(3, axis=-1), label=example.label * 2)


def make_run(folder, dataset):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.runs.data.open_dataset", lambda *_, **__: dataset)
        made = prepare_run(config(folder))
        save(made, open_folder(made), [None])
    return made, folder


@pytest.fixture(scope="module")
def grey(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "grey", Bright())


def write_grey(path, shape=(22, 31), seed=0):
    values = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    PIL.Image.fromarray(values).save(path)
    return values


def expected(made, image):
    """Of the network itself, from an image `[*shape, channels]` from 0 to 1."""
    state = initial_state(made)
    standardised = (image - made.statistics.mean) / made.statistics.deviation
    variables = {"params": state.params, "batch_stats": state.batch_statistics}
    apply = jax.jit(functools.partial(made.network.apply, train=False))
    logits = apply(variables, standardised[None].astype(np.float32))[0]
    return np.asarray(jax.nn.softmax(logits) if logits.shape[-1] > 1 else jax.nn.sigmoid(logits))


def test_a_picture_gives_a_mask_and_a_probability(grey, tmp_path, capsys):
    made, folder = grey
    values = write_grey(tmp_path / "a.png")
    assert predict.main([str(folder), str(tmp_path / "a.png")]) == 0
    probability = expected(made, values[..., None] / 255)[..., 0]
    output = folder / "predictions"
    written = tifffile.imread(output / "a_probability.tif")
    assert written.dtype == np.float32
    np.testing.assert_allclose(written, probability, atol=1e-5)
    mask = np.asarray(PIL.Image.open(output / "a_mask.png"))
    np.testing.assert_array_equal(mask, np.where(written > 0.5, 255, 0))
    line = capsys.readouterr().out
    assert line.startswith(f"{tmp_path / 'a.png'}: 22 x 31, foreground {(mask > 0).mean():.1%}, ")


def test_sixteen_bits_are_the_same_image(grey, tmp_path):
    values = write_grey(tmp_path / "a.png")
    PIL.Image.fromarray(values.astype(np.uint16) * 257).save(tmp_path / "b.tif")
    trained = predict.load_trained(RunFolder(grey[1]))
    one, other = (predict.predict_file(trained, tmp_path / name, tile=512, overlap=64) for name in ("a.png", "b.tif"))
    np.testing.assert_allclose(one, other, atol=1e-6)


def with_white(folder, white):
    trained = predict.load_trained(RunFolder(folder))
    return trained._replace(facts=trained.facts._replace(white=white))


def test_a_camera_of_twelve_bits_after_training_on_bytes_is_refused(grey, tmp_path):
    values = write_grey(tmp_path / "a.png")
    greatest = int(values.max()) * 16
    PIL.Image.fromarray(values.astype(np.uint16) * 16).save(tmp_path / "twelve.tif")
    PIL.Image.fromarray(values.astype(np.uint16) * 257).save(tmp_path / "sixteen.tif")
    trained = with_white(grey[1], None)
    one, other = (
        predict.predict_file(trained, tmp_path / name, tile=512, overlap=64) for name in ("a.png", "sixteen.tif")
    )
    np.testing.assert_allclose(one, other, atol=1e-6)
    with pytest.raises(DatasetError) as raised:
        predict.predict_file(trained, tmp_path / "twelve.tif", tile=512, overlap=64)
    assert str(raised.value) == (
        f"{tmp_path}/twelve.tif: holds {greatest} at most in 16 bits, as a camera of 12 bits does, and the run was "
        "trained on no images of 16 bits, so that nothing says what is white; save it as those were, or with 65535 as white"
    )


@pytest.mark.parametrize(
    ("white", "factor", "told"),
    [(4095, 16, False), (4095, 257, True), (4095, 1, True), (4095, 4, False), (65535, 16, True), (65535, 257, False)],
)
def test_sixteen_bits_that_do_not_fit_the_white_of_the_run_are_told(grey, tmp_path, caplog, white, factor, told):
    values = write_grey(tmp_path / "a.png")
    PIL.Image.fromarray(values.astype(np.uint16) * factor).save(tmp_path / "a.tif")
    predict.predict_file(with_white(grey[1], white), tmp_path / "a.tif", tile=512, overlap=64)
    greatest = int(values.max()) * factor
    said = (
        f"{tmp_path}/a.tif: holds {greatest} at most, where {white} was white in the images that the run was "
        "trained on; if it is of another depth, save it with theirs"
    )
    assert [record.getMessage() for record in caplog.records] == [said] * told


def test_floats_are_read_as_those_of_the_run_were(grey, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.float32([[0.25, 0.5] * 10, [1.5, 1.0] * 10] * 10))
    trained = predict.load_trained(RunFolder(grey[1]))
    with pytest.raises(
        DatasetError, match=r"a\.tif: holds numbers from 0\.25 to 1\.5, where 0 to 1 holds those of all"
    ):
        predict.predict_file(
            trained._replace(facts=trained.facts._replace(stretched=False)), tmp_path / "a.tif", tile=512, overlap=64
        )


def test_tiles_leave_no_trace(grey, tmp_path):
    """With a network that sees one pixel."""
    values = write_grey(tmp_path / "a.png", (70, 45))
    state = initial_state(grey[0]).replace(params={"threshold": np.float32(0.1)}, optimizer=())
    trained = predict.load_trained(RunFolder(grey[1]))._replace(network=Threshold(), state=state)
    tiled = predict.predict_file(trained, tmp_path / "a.png", tile=24, overlap=10)[..., 0]
    mean, deviation, _ = grey[0].statistics
    np.testing.assert_allclose(tiled, 1 / (1 + np.exp(-8 * ((values / 255 - mean) / deviation - 0.1))), atol=1e-6)


def test_colours_and_classes(tmp_path, capsys):
    made, folder = make_run(tmp_path / "run", Coloured())
    values = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
    PIL.Image.fromarray(values).save(tmp_path / "a.bmp")
    assert predict.main([str(folder), str(tmp_path / "a.bmp"), "--output", str(tmp_path / "out")]) == 0
    probabilities = expected(made, values / 255)
    written = tifffile.imread(tmp_path / "out" / "a_probability.tif")
    np.testing.assert_allclose(written, np.moveaxis(probabilities, -1, 0), atol=1e-5)
    mask = np.asarray(PIL.Image.open(tmp_path / "out" / "a_mask.png"))
    np.testing.assert_array_equal(mask, probabilities.argmax(-1))
    line = capsys.readouterr().out
    for number, name in enumerate(Coloured.class_names):
        assert not (mask == number).any() or f"{name}: {(mask == number).mean():.1%}" in line


def test_volumes_keep_their_place(tmp_path, capsys):
    made, folder = make_run(tmp_path / "run", Bright(9, ((6, 8, 10),)))
    affine = np.array([[0, 2.0, 0, 5], [1.5, 0, 0, 7], [0, 0, 3.0, -9], [0, 0, 0, 1]])
    values = np.random.default_rng(0).integers(0, 256, (7, 9, 12), np.uint8)
    nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / "v.nii.gz")
    arguments = [str(folder), str(tmp_path / "v.nii.gz"), "--output", str(tmp_path / "out")]
    assert predict.main(arguments) == 0
    mask, probability = (nibabel.load(tmp_path / "out" / f"v_{kind}.nii.gz") for kind in ("mask", "probability"))
    wanted = expected(made, values[..., None] / 255)[..., 0]
    np.testing.assert_allclose(probability.get_fdata(), wanted, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(mask.dataobj), probability.get_fdata() > 0.5)
    for image in (mask, probability):
        np.testing.assert_array_equal(image.affine, affine)
    assert mask.get_data_dtype() == np.uint8
    write_grey(tmp_path / "flat.png")
    assert predict.main([str(folder), str(tmp_path / "flat.png")]) == 1
    message = f"{tmp_path / 'flat.png'}: has 2 spatial axes, and the run was trained on images of 3"
    assert capsys.readouterr().err == f"error: {message}; give the volume that it is a slice of\n"


def test_a_volume_is_not_for_a_run_on_images(grey, tmp_path, capsys):
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((5, 24, 22), np.uint8), photometric="minisblack")
    assert predict.main([str(grey[1]), str(tmp_path / "stack.tif")]) == 1
    message = f"{tmp_path / 'stack.tif'}: has 3 spatial axes, and the run was trained on images of 2"
    assert capsys.readouterr().err == f"error: {message}; give its slices, each a file of its own\n"


def test_one_bad_file_does_not_keep_the_others(grey, tmp_path, capsys):
    write_grey(tmp_path / "good.png")
    write_grey(tmp_path / "cut.png", (200, 200))
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:5000])
    PIL.Image.new("RGB", (20, 20), (9, 99, 200)).save(tmp_path / "colour.png")
    (tmp_path / "other").mkdir()
    write_grey(tmp_path / "other" / "good.tif")
    write_grey(tmp_path / "last.png")
    files = [
        tmp_path / name
        for name in ("missing.png", "cut.png", "colour.png", "good.png", "other/good.tif", "other", "last.png")
    ]
    assert predict.main([str(grey[1]), *map(str, files), "--output", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"{name}_{kind}" for name in ("good", "last") for kind in ("mask.png", "probability.tif")
    }
    assert len(captured.out.splitlines()) == 2
    missing, cut, colour, twice, a_folder = captured.err.splitlines()
    assert missing == f"error: {files[0]}: there is no such file"
    assert cut.startswith(f"error: {files[1]}: cannot be read (")
    assert colour == f"error: {files[2]}: has 3 channels, and the run was trained on images of 1; convert it"
    assert twice.startswith(f"error: {files[4]}: has the name of {files[3]}, whose prediction it would replace")
    assert a_folder == f"error: {files[5]}: is a folder; name the files in it"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "IMAGE... must name one file at least, got none"),
        (["a.png", "--tile", "33"], "tile must be a positive multiple of 2 for this network, got 33"),
        (["a.png", "--tile", "32", "--overlap", "32"], "overlap must be 0 to 30 for tiles of 32, got 32"),
    ],
)
def test_settings_out_of_range(grey, capsys, arguments, message):
    assert predict.main([str(grey[1]), *arguments]) == (1 if arguments else 2)
    assert capsys.readouterr().err == f"error: {message}\n"


def test_a_run_without_statistics(grey, tmp_path, capsys):
    (tmp_path / "config.json").write_text((grey[1] / "config.json").read_text())
    assert predict.main([str(tmp_path), "a.png"]) == 1
    assert capsys.readouterr().err == f"error: cannot read {tmp_path}/statistics.json: No such file or directory\n"
    (tmp_path / "statistics.json").write_text('{"mean": [0.5]}')
    assert predict.main([str(tmp_path), "a.png"]) == 1
    assert capsys.readouterr().err == f"error: statistics.json of {tmp_path} is damaged (KeyError('deviation'))\n"


def test_an_output_that_cannot_be_written(grey, tmp_path, capsys):
    write_grey(tmp_path / "a.png")
    assert predict.main([str(grey[1]), str(tmp_path / "a.png"), "--output", str(tmp_path / "a.png")]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path / 'a.png'}: cannot be written (File exists)\n"


def test_what_is_no_prediction_is_not_replaced_and_a_prediction_is(grey, tmp_path, capsys, monkeypatch):
    """The user's case: --output is the folder of the images, where the mask of one lies already."""
    values = write_grey(tmp_path / "cell.png")
    own = {name: (tmp_path / name) for name in ("cell_mask.png", "new_probability.tif")}
    for path in own.values():
        path.write_bytes(b"the user's own")
    write_grey(tmp_path / "new.png")
    write_grey(tmp_path / "last.png")
    arguments = [str(grey[1]), *(str(tmp_path / f"{name}.png") for name in ("cell", "new", "last"))]
    for _ in range(2):
        assert predict.main([*arguments, "--output", str(tmp_path)]) == 1
        captured = capsys.readouterr()
        said = "is there already, and is no earlier prediction, beside which"
        remedy = "would be; it is not replaced: give another --output, or move it"
        assert captured.err.splitlines() == [
            f"error: {tmp_path}/cell_mask.png: {said} cell_probability.tif {remedy}",
            f"error: {tmp_path}/new_probability.tif: {said} new_mask.png {remedy}",
        ]
        assert captured.out.startswith(f"{tmp_path}/last.png: ") and captured.out.count("\n") == 1
    assert [path.read_bytes() for path in own.values()] == [b"the user's own"] * 2
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(tmp_path / "cell.png")), values)
    # Before the image is predicted, which may take long.
    monkeypatch.setattr(predict, "predict_file", None)
    assert predict.main([*arguments[:2], "--output", str(tmp_path)]) == 1
