"""The page: whole, self-contained, and right in what it says."""

import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from tests.train.reports.fake_runs import config_of, rows_of, rows_of_classes, write_run
from train.config import OptimizerConfig
from train.reports.page import examples, page
from train.reports.results import Part, RunKey, read_rows
from train.runs.folder import RunFolder

_VOID = {"meta", "img", "circle", "path"}


class Outline(HTMLParser):
    """Text and links of a page; every tag must be closed in its turn."""

    def __init__(self, html):
        super().__init__()
        self.open, self.text, self.links = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.links += [value for name, value in attributes if name in ("src", "href", "data", "srcset")]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)


def text_of(html):
    return " ".join(" ".join(Outline(html).text).split())


@pytest.fixture
def rows(tmp_path):
    """In mIoU cwmi is better than ce in every image, in VI worse, and in HD now the one, now the other."""
    rng = np.random.default_rng(1)
    ce = [{name: rng.normal(0.5, 0.1, 5) for name in ("mIoU", "VI", "HD")} for _ in range(2)]
    shift = {"mIoU": 0.1, "VI": 0.1, "HD": 0.0}
    cwmi = [{name: values + rng.normal(shift[name], 0.01, 5) for name, values in fold.items()} for fold in ce]
    lists = [[{name: values.tolist() for name, values in fold.items()} for fold in folds] for folds in (ce, cwmi)]
    return rows_of(tmp_path, {("unet", "ce"): lists[0], ("unet", "cwmi"): lists[1]})


def test_the_page_needs_no_other_file(rows):
    html = page(rows, "python -m train.compare --dataset drive")
    links = Outline(html).links
    assert len(links) == 4
    assert all(link.startswith("data:image/png;base64,iVBORw0KGgo") for link in links)
    assert not re.search(r"https?:|@import|url\(|<script|<link", html)
    assert "viewport" in html and "@media print" in html


def test_it_says_which_differences_are_more_than_chance(rows):
    text = text_of(page(rows))
    assert (
        "cwmi against ce: better in mIoU; worse in VI; no difference found in HD; "
        "no test possible in mDice and ARI (too few images, or the same difference in all)."
    ) in text
    assert "Only 10 images: a t-test of so few" in text
    assert "corrected for the 3 tests of this table" in text
    assert "look alike" not in text


@pytest.mark.parametrize(
    ("settings", "caution"),
    [
        (
            {"blocks": True},
            "The images are neighbours in a volume and look alike: they weigh less than their number says.",
        ),
        (
            {"groups": r"^p\d+"},
            "Images of one group, such as a patient's, look alike: they weigh less than their number says, and that of the "
            "groups says more.",
        ),
    ],
)
def test_images_that_look_alike_are_no_independent_ones(settings, caution, tmp_path):
    keys = [RunKey("unet", loss, Part(0, 0), RunFolder(tmp_path / loss)) for loss in ("ce", "cwmi")]
    for key, values in zip(keys, ([0.5, 0.4, 0.6], [0.6, 0.7, 0.6]), strict=True):
        config = config_of(key.folder, key.loss)
        data = dataclasses.replace(config.data, **settings)
        write_run(dataclasses.replace(config, data=data), {"mIoU": values})
    assert caution in text_of(page(read_rows(keys, {})))


def test_settings_and_command_are_there(rows):
    text = text_of(page(rows, "python -m train.compare --output 'a <b>'"))
    assert "python -m train.compare --output 'a <b>'" in text
    assert "optimizer.learning_rate 0.0001" in text
    assert "data.blocks no" in text


def test_a_failed_run_is_told_first(tmp_path):
    scores = {("unet", "ce"): [[0.5], [0.6]], ("unet", "abw"): [[0.9], [0.9]]}
    text = text_of(page(rows_of(tmp_path, scores, failed=[("abw", 1)])))
    assert text.index("Failed: unet with abw, fold 1: ended with status 1") < text.index("Scores")
    assert "There are no two losses to compare." in text


def test_a_page_of_failures_alone_is_whole(tmp_path):
    text = text_of(page(rows_of(tmp_path, {("unet", "ce"): [[0.5]]}, failed=[("ce", 0)])))
    assert "The runs have no panels of the same images." in text


def test_each_class_has_its_scores(tmp_path):
    rows = rows_of_classes(tmp_path)
    text = text_of(page(rows))
    assert "By class Over the images that have the class" in text
    assert "pole cwmi unet 3 0.600 ± 0.000" in text and "bus ce unet 1 0.800" in text
    assert " VI " not in text.partition("Settings of all runs")[0]


def test_of_two_classes_none_has_scores_of_its_own(rows):
    assert "By class" not in text_of(page(rows))


def test_ones_own_data_are_called_by_their_folder(tmp_path):
    keys = []
    for loss in ("ce", "dice"):
        keys.append(RunKey("unet", loss, Part(0, 0), RunFolder(tmp_path / loss)))
        config = config_of(keys[-1].folder, loss)
        data = dataclasses.replace(config.data, dataset="folder", source=f"/lab/{loss}/vessels")
        write_run(dataclasses.replace(config, data=data), {"mIoU": [0.5]})
    html = page(read_rows(keys, {}))
    assert "<title>2 losses on vessels</title>" in html


def test_no_difference_has_no_sign_of_its_own(tmp_path):
    ari = [{"ARI": [-0.0002, 0.0001]}], [{"ARI": [-0.0004, -0.0001]}]
    text = text_of(page(rows_of(tmp_path, {("unet", "ce"): ari[0], ("unet", "dice"): ari[1]})))
    assert "0.000" in text and "-0.000 " not in text


def test_two_networks_are_told_apart(tmp_path):
    models = ("unet", "attention_unet")
    scores = {(model, loss): [[0.1, 0.2, 0.4]] for model in models for loss in ("ce", "dice")}
    text = text_of(page(rows_of(tmp_path, scores)))
    assert "dice attention_unet against ce" in text
    assert "U-Net, Attention U-Net" in text


def test_images_are_those_that_all_runs_of_a_fold_have_the_first_of_each_fold_before_the_second(tmp_path):
    panels = {("ce", 0): "abc", ("dice", 0): "xcb", ("ce", 1): "q", ("dice", 1): "qr", ("ce", 2): "s", ("dice", 2): "t"}
    keys = [RunKey("unet", loss, Part(0, fold), RunFolder(tmp_path / f"{loss}{fold}")) for loss, fold in panels]
    for key, names in zip(keys, panels.values(), strict=True):
        write_run(config_of(key.folder, key.loss, key.part.fold), {"mIoU": [0.5]}, panels=tuple(names))
    assert examples(read_rows(keys, {})) == [(Part(0, 0), "b"), (Part(0, 1), "q"), (Part(0, 0), "c")]


def test_an_image_is_found_by_its_name_whatever_the_name_of_its_file(tmp_path):
    folder = RunFolder(tmp_path / "ce")
    write_run(config_of(folder), {"mIoU": [0.25]}, panels=())
    folder.write_panel("patient 1/left?", np.zeros((2, 2, 3), np.uint8))
    lines = (folder.path / "test.csv").read_text().replace("fold0-image0", "patient 1/left?")
    (folder.path / "test.csv").write_text(lines)
    text = text_of(page(read_rows([RunKey("unet", "ce", Part(0, 0), folder)], {})))
    assert "patient 1/left? (fold 0) ce mIoU 0.250" in text


def test_a_setting_of_zero_or_false_is_told(tmp_path):
    keys = []
    for loss, clip_norm in (("ce", 5.0), ("ce:optimizer.clip_norm=0", 0.0)):
        keys.append(RunKey("unet", loss, Part(0, 0), RunFolder(tmp_path / f"{clip_norm:g}")))
        optimizer = OptimizerConfig(clip_norm=clip_norm)
        write_run(config_of(keys[-1].folder, optimizer=optimizer), {"mIoU": [0.5]})
    text = text_of(page(read_rows(keys, {})))
    assert "ce: optimizer.clip_norm 5. ce:optimizer.clip_norm=0: optimizer.clip_norm 0." in text


def test_long_names_do_not_turn_the_charts_around(tmp_path):
    name = "cwmi:ce_weight=20,class_weights=none,levels=3,orientations=6"
    key = RunKey("unet", name, Part(0, 0), RunFolder(tmp_path / "a"))
    write_run(config_of(key.folder, "cwmi"), {"mIoU": [0.5]})
    lines = re.findall(r'<path d="M([\d.]+) \d+H([\d.]+)"', page(read_rows([key], {})))
    assert lines and all(float(right) >= float(left) + 100 for left, right in lines)


def test_numbers_that_are_not_finite_do_not_break_the_charts(tmp_path):
    scores = [{"mIoU": [float("nan")], "VI": [0.5], "HD": [float("inf")]}]
    html = page(rows_of(tmp_path, {("unet", "ce"): scores, ("unet", "dice"): [[0.5]]}))
    assert 'cx="nan"' not in html and "Mnan" not in html
