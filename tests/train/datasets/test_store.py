"""Preparing once, again after a change, after a crash, and reading without TensorFlow."""

import json
import multiprocessing
import os
import pathlib
import pickle
import shutil
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from train.datasets import (
    DATASETS,
    DatasetError,
    SegmentationDataset,
    builder,
    facts_of,
    open_dataset,
    prepare,
    readers,
)

MASK = np.uint8([[0, 255], [255, 0]])
REPOSITORY = pathlib.Path(__file__).parents[3]


def add(source, name, value):
    for folder, array in (("images", np.full((2, 2), value, np.uint8)), ("masks", MASK)):
        (source / folder).mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(array).save(source / folder / f"{name}.png")


@pytest.fixture
def source(tmp_path):
    for value, name in enumerate(("b", "a", "c")):
        add(tmp_path / "mine", name, 51 * value)
    return tmp_path / "mine"


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


def stamps(path):
    return {file: file.stat().st_mtime_ns for file in path.rglob("*")}


def values(dataset):
    return {example.name: round(float(example.image.mean()), 3) for example in dataset}


def test_a_second_time_nothing_is_written(source, data):
    path = prepare("folder", data_dir=data, source=source)
    before = stamps(data)
    assert prepare("folder", data_dir=str(data), source=str(source)) == path
    assert prepare("folder", data_dir=data) == path
    assert stamps(data) == before
    assert path.parts[-3] == "folder" and path.parts[-1] == "1.3.0"
    assert [file.name for file in sorted(path.iterdir()) if "array_record" in file.name] == [
        "folder-part00000.array_record-00000-of-00001"
    ]


def test_a_data_set_is_read_at_random_and_survives_pickling_and_other_processes(source, data):
    dataset = open_dataset("folder", data_dir=data, source=source)
    assert isinstance(dataset, SegmentationDataset) and len(dataset) == 3
    assert values(dataset) == {"a": 0.2, "b": 0.0, "c": 0.4}
    assert dataset[2].name == dataset[-1].name == dataset[np.int64(2)].name == "c"
    for index in (3, -4):
        with pytest.raises(IndexError, match=f"folder has 3 images, got index {index}"):
            dataset[index]
    copied = pickle.loads(pickle.dumps(dataset))
    assert values(copied) == values(dataset) and copied.names == dataset.names
    image, label = dataset[0].image, dataset[0].label
    image[:], label[:] = 7, 7  # an example is the caller's own
    assert dataset[0].image.max() < 1 and dataset[0].label.max() == 1


def test_facts_of_every_image_are_kept_with_the_data(source, data):
    """Shapes, means and variances as the images themselves have them, to the last bit."""
    dataset = open_dataset("folder", data_dir=data, source=source)
    assert dataset.images == tuple(facts_of(example, classes=dataset.classes) for example in dataset)
    assert dataset.images[2].shape == (2, 2) and dataset.images[2].mean == pytest.approx((0.4,))


def test_a_worker_process_reads_the_same(source, data):
    dataset = open_dataset("folder", data_dir=data, source=source)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        name, image, label, _ = pool.apply(dataset.__getitem__, (1,))
    assert name == "b" and image.shape == (2, 2, 1)
    np.testing.assert_array_equal(label, MASK // 255)


def test_many_parts_are_one_list(source, data, monkeypatch):
    monkeypatch.setattr(builder, "PART_BYTES", 48)  # two examples of 4 pixels, at most 6 bytes each
    for number in range(20):
        add(source, f"x{number:02d}", 10 * number)
    path = prepare("folder", data_dir=data, source=source)
    assert len(list(path.glob("*array_record*"))) == 12
    dataset = open_dataset("folder", data_dir=data)
    assert [example.name for example in dataset] == list(dataset.names) == sorted(dataset.names)
    assert values(dataset)["x19"] == round(190 / 255, 3)


def test_a_changed_folder_is_prepared_anew_and_the_old_state_stays(source, data):
    first = prepare("folder", data_dir=data, source=source)
    add(source, "d", 255)
    second = prepare("folder", data_dir=data, source=source)
    assert first != second and len(SegmentationDataset(first)) == 3
    assert values(open_dataset("folder", data_dir=data, source=source))["d"] == 1.0
    assert prepare("folder", data_dir=data) == second
    os.utime(source / "images" / "a.png", ns=(1, 1))
    third = prepare("folder", data_dir=data, source=source)
    assert third not in (first, second)
    (source / "images" / "notes.txt").write_text("no image")
    assert prepare("folder", data_dir=data, source=source) == third


def test_the_checksum_is_of_the_pixels_and_of_nothing_else(source, data, tmp_path):
    before = open_dataset("folder", data_dir=data, source=source).checksum
    os.utime(source / "images" / "a.png", ns=(1, 1))
    assert open_dataset("folder", data_dir=data, source=source).checksum == before
    moved = source.rename(tmp_path / "moved")
    assert open_dataset("folder", data_dir=tmp_path / "other", source=moved).checksum == before
    mask = moved / "masks" / "a.png"
    PIL.Image.fromarray(255 - np.asarray(PIL.Image.open(mask))).save(mask)
    assert open_dataset("folder", data_dir=tmp_path / "other", source=moved).checksum != before


def test_a_failure_loses_nothing(source, data):
    path = prepare("folder", data_dir=data, source=source)
    before = stamps(path)
    (source / "images" / "b.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"b\.png: cannot be read \(it is empty\)"):
        prepare("folder", data_dir=data, source=source)
    assert stamps(path) == before
    assert len(open_dataset("folder", data_dir=data)) == 3


@pytest.mark.parametrize("damage", ["shard cut", "shard gone", "marker gone", "marker cut"])
def test_damaged_data_are_found_and_written_again(source, data, damage):
    path = prepare("folder", data_dir=data, source=source)
    file = path / "complete.json" if "marker" in damage else next(path.glob("*array_record*"))
    if "cut" in damage:
        file.write_bytes(file.read_bytes()[:-5])
    else:
        file.unlink()
    with pytest.raises(
        DatasetError,
        match=r"folder is not prepared in .*; give --data\.source FOLDER, or run\n  python -m train\.prepare folder",
    ):
        open_dataset("folder", data_dir=data)
    assert prepare("folder", data_dir=data, source=source) == path
    assert values(open_dataset("folder", data_dir=data)) == {"a": 0.2, "b": 0.0, "c": 0.4}


KILLED = """
import os, sys
from train.datasets import folder, prepare
load = folder._load
def dying(paths, spacing, **settings):
    if paths.image.stem == "c":
        os._exit(9)
    return load(paths, spacing, **settings)
folder._load = dying
prepare("folder", data_dir=sys.argv[1], source=sys.argv[2])
"""


def test_a_killed_preparation_leaves_nothing_that_is_taken_for_data(source, data):
    killed = subprocess.run([sys.executable, "-c", KILLED, data, source], cwd=REPOSITORY, check=False)
    assert killed.returncode == 9
    assert list((data / "folder" / ".unfinished").rglob("*incomplete*"))
    with pytest.raises(DatasetError, match="folder is not prepared"):
        open_dataset("folder", data_dir=data)
    assert len(open_dataset("folder", data_dir=data, source=source)) == 3
    assert not (data / "folder" / ".unfinished").exists()


CAPPED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
from train.datasets import DatasetError, prepare
try:
    prepare("folder", data_dir=sys.argv[1], source=sys.argv[2])
except DatasetError as error:
    sys.exit(str(error))
"""


def test_files_that_cannot_grow_are_one_line_and_the_data_before_stay(source, data):
    path = prepare("folder", data_dir=data, source=source)
    noise = np.random.default_rng(0).integers(0, 256, (500, 500), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(source / "images" / "d.png")
    PIL.Image.fromarray(np.resize(MASK, noise.shape)).save(source / "masks" / "d.png")
    capped = subprocess.run(
        [sys.executable, "-c", CAPPED, data, source], cwd=REPOSITORY, check=False, capture_output=True, text=True
    )
    assert capped.returncode == 1
    message = capped.stderr.splitlines()[-1]
    assert message.startswith(f"{data / 'folder'}: cannot write the prepared images (") and "File too large" in message
    assert message.endswith("choose another --data.folder or make room")
    assert prepare("folder", data_dir=data) == path
    assert {entry.name for entry in (data / "folder").iterdir()} == {path.parent.name, ".lock"}


def test_a_data_folder_that_is_a_file(source, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match=r"file/folder: cannot write the prepared images \(.*Not a directory"):
        prepare("folder", data_dir=tmp_path / "file", source=source)


def test_two_sources_in_one_data_folder_must_be_told_apart(source, data, tmp_path):
    prepare("folder", data_dir=data, source=source)
    shutil.copytree(source, tmp_path / "yours")
    add(tmp_path / "yours", "d", 255)
    assert len(open_dataset("folder", data_dir=data, source=tmp_path / "yours")) == 4
    with pytest.raises(DatasetError, match=r"data/folder holds data prepared from .*mine and .*yours; say which with"):
        open_dataset("folder", data_dir=data)
    assert len(open_dataset("folder", data_dir=data, source=source)) == 3


def test_what_was_prepared_from_a_folder_that_is_gone_is_found_by_its_path_and_by_its_checksum(
    source, data, tmp_path, caplog
):
    mine = open_dataset("folder", data_dir=data, source=source)
    add(tmp_path / "yours", "d", 255)
    yours = open_dataset("folder", data_dir=data, source=tmp_path / "yours")
    shutil.rmtree(source)
    assert not caplog.messages
    assert prepare("folder", data_dir=data, source=source) == mine.path
    assert caplog.messages == [f"{source} is gone; what was prepared from it is used"]
    for checksum, path in ((mine.checksum, mine.path), (yours.checksum, yours.path)):
        assert prepare("folder", data_dir=data, checksum=checksum) == path
    with pytest.raises(DatasetError, match=r"there is no folder .*theirs"):
        prepare("folder", data_dir=data, source=tmp_path / "theirs")


def test_data_that_are_known_by_their_checksum_are_those_before_the_source_has_changed(source, data):
    before = open_dataset("folder", data_dir=data, source=source)
    add(source, "d", 255)
    after = prepare("folder", data_dir=data, source=source)
    assert prepare("folder", data_dir=data, source=source, checksum=before.checksum) == before.path
    assert prepare("folder", data_dir=data, source=source, checksum=before.checksum + 1) == after


def test_nothing_prepared_shows_the_command_and_the_layout(data):
    with pytest.raises(DatasetError) as raised:
        open_dataset("drive", data_dir=data)
    lines = str(raised.value).splitlines()
    assert lines[:3] == [
        f"drive is not prepared in {data}; give --data.source FOLDER, or run",
        "  python -m train.prepare drive --source FOLDER",
        "expected:",
    ]
    assert "    test/1st_manual/01_manual1.gif ... 20_manual1.gif" in lines


def test_unknown_names_are_told_the_known_ones(data):
    with pytest.raises(DatasetError, match=r"unknown data set 'drove'; known: drive, glas, snemi3d, massachusetts_"):
        prepare("drove", data_dir=data)


def test_every_data_set_says_what_to_cite_and_where_it_comes_from():
    assert list(DATASETS) == [
        *("drive", "glas", "snemi3d", "massachusetts_roads", "isbi2012", "mni152", "mni152_volume", "folder")
    ]
    for name, builder_class in DATASETS.items():
        assert builder_class.name == name and builder_class.__doc__
        said = [f"\n{part}: " in f"\n{builder_class.about()}" for part in ("page", "licence", "citation")]
        assert said == [name != "folder"] * 3
        assert ("expected:" in builder_class.about()) == bool(builder_class.PATTERNS)


def test_the_prepared_files_carry_their_description(source, data):
    path = prepare("folder", data_dir=data, source=source)
    info = json.loads((path / "dataset_info.json").read_text())
    assert info["name"] == "folder" and info["description"].startswith("Images and masks of a user")
    recorded = SegmentationDataset(path).facts
    assert recorded["source"] == str(source) and recorded["names"] == ["a", "b", "c"]
    assert "citation" not in info  # of what is the user's own


def test_tensorflow_is_never_imported(source, data):
    program = (
        "import sys; from train.datasets import open_dataset; "
        "print(open_dataset('folder', data_dir=sys.argv[1], source=sys.argv[2])[0].name, 'tensorflow' in sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, data, source],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    assert shown.stdout == "a False\n" and shown.stderr == ""
    assert readers.__name__ in sys.modules and "tensorflow" not in sys.modules
