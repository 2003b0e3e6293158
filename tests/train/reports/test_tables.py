"""The tables, against values worked out by hand."""

import csv
import io
import math

import numpy as np
import pytest

from tests.train.reports.fake_runs import config_of, rows_of, rows_of_classes, write_run
from train.reports.differences import differences
from train.reports.results import Part, RunKey, read_rows
from train.reports.tables import class_lines, csv_text, failures, images_csv_text, markdown, note
from train.runs.folder import RunFolder


def test_markdown_by_hand(tmp_path):
    # mIoU of ce: means .4 .5 .6 of the folds, their mean .5 and sample deviation .1; of cwmi .6 .6 .9, .7 and sqrt(.03).
    # VI of cwmi: 1.0 in every fold, as of ce: none is best. HD: ce has the lower one.
    ce = [{"mIoU": mIoU, "VI": [1.0, 1.0], "HD": [2.0, 2.0]} for mIoU in ([0.3, 0.5], [0.5, 0.5], [0.6, 0.6])]
    cwmi = [{"mIoU": [mIoU] * 2, "VI": [1.0, 1.0], "HD": [1.5, 3.0]} for mIoU in (0.6, 0.6, 0.9)]
    assert markdown(rows_of(tmp_path, {("unet", "ce"): ce, ("unet", "cwmi"): cwmi})) == (
        "| loss | network | mIoU ↑ | mDice ↑ | VI ↓ | ARI ↑ | HD ↓ | seconds |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| ce | unet | 0.500 ± 0.100 | 0.500 ± 0.000 | 1.00 ± 0.00 | 0.500 ± 0.000 | **2.00 ± 0.00** | 12 |\n"
        "| cwmi | unet | **0.700 ± 0.173** | 0.500 ± 0.000 | 1.00 ± 0.00 | 0.500 ± 0.000 | 2.25 ± 0.00 | 12 |\n"
        "\n"
        "Mean ± sample standard deviation over 3 folds (6 test images). ↑ more is better, ↓ less is better; best in bold. "
        "VI in bits, HD (modified Hausdorff) in pixels. Seconds: training of one fold.\n"
    )


def test_lengths_of_physical_pixels(tmp_path):
    """A hundredth of a pixel of 250 nm, in micrometres."""
    rows = rows_of(tmp_path, {("unet", "ce"): [{"HD": [0.0026, 0.0026]}], ("unet", "dice"): [{"HD": [0.004, 0.004]}]})
    for row in rows:
        row.runs[Part(0, 0)].result["length_unit"] = "\N{MICRO SIGN}m"
    header, _, ce, dice, *_ = markdown(rows).splitlines()
    assert "| ARI ↑ | HD (\N{MICRO SIGN}m) ↓ | seconds |" in header
    assert ce.endswith("| **0.003** | 12 |") and dice.endswith("| 0.004 | 12 |")
    assert "HD (modified Hausdorff) in \N{MICRO SIGN}m." in note(rows)
    assert csv_text(rows).startswith("loss,network,seed,fold,mIoU,mDice,VI,ARI,HD,")
    # Class by class, likewise; what has no unit stays as it was.
    rows = rows_of_classes(tmp_path / "classes")
    for row in rows:
        for run in row.runs.values():
            run.result["length_unit"] = "mm"
    assert "| class | loss | network | images | IoU | Dice | HD (mm) | HD95 (mm) | Betti error | clDice |" in markdown(
        rows
    )
    rows[0].runs[Part(0, 0)].result["length_unit"] = "nm"
    assert "HD (modified Hausdorff) in mm or nm." in note(rows)


def test_what_is_rounded_to_nothing_has_no_minus(tmp_path):
    rows = rows_of(tmp_path, {("unet", "ce"): [{"ARI": [-0.0004]}]})
    assert "| 0.50 | 0.000 | 0.50 |" in markdown(rows)
    assert "-0.0004" in csv_text(rows)


def test_one_fold_has_no_spread(tmp_path):
    rows = rows_of(tmp_path, {("unet", "ce"): [[0.5]], ("unet", "dice"): [[0.5004]]})
    # Alike as far as the table shows it, so that none is best.
    assert "| ce | unet | 0.500 | 0.500 |" in markdown(rows)
    assert "| dice | unet | 0.500 | 0.500 |" in markdown(rows)
    assert note(rows).startswith("Mean of fold 0 alone, so without a spread (1 test images)")


def test_a_failed_fold_makes_the_row_a_dash_and_is_told(tmp_path):
    scores = {("unet", "ce"): [[0.5], [0.6]], ("unet", "abw"): [[0.9], [0.9]], ("unet", "dice"): [[0.6], [0.6]]}
    rows = rows_of(tmp_path, scores, failed=[("abw", 1)])
    lines = markdown(rows).splitlines()
    assert lines[3] == "| abw | unet | - | - | - | - | - | - |"
    assert "**0.600 ± 0.000**" in lines[4]
    assert lines[-1] == "- failed: unet with abw, fold 1: ended with status 1"
    assert failures(rows) == ["unet with abw, fold 1: ended with status 1"]
    table = {(line["loss"], line["fold"]): line for line in csv.DictReader(io.StringIO(csv_text(rows)))}
    assert table["abw", "0"]["mIoU"] == "0.9"
    assert table["abw", "1"]["mIoU"] == table["abw", "mean"]["mIoU"] == ""


def test_nothing_but_failures_still_makes_tables(tmp_path):
    rows = rows_of(tmp_path, {("unet", "ce"): [[0.5]]}, failed=[("ce", 0)])
    assert "| ce | unet | - | - | - | - | - | - |" in markdown(rows)
    assert csv_text(rows).count("\n") == 4
    assert differences(rows) == []


def test_csv_keeps_every_digit(tmp_path):
    thirds = [[1 / 3, 1 / 7], [2 / 3, 0.1]]
    lines = list(csv.DictReader(io.StringIO(csv_text(rows_of(tmp_path, {("unet", "ce"): thirds})))))
    assert [line["fold"] for line in lines] == ["0", "1", "mean", "deviation"]
    means = [(1 / 3 + 1 / 7) / 2, (2 / 3 + 0.1) / 2]
    assert [float(line["mIoU"]) for line in lines[:2]] == means
    assert float(lines[2]["mIoU"]) == pytest.approx(sum(means) / 2, rel=1e-15)
    # Two values deviate by their distance over the square root of 2.
    assert float(lines[3]["mIoU"]) == pytest.approx((means[1] - means[0]) / math.sqrt(2))
    assert lines[0]["images"] == "2" and lines[0]["best_epoch"] == "3" and "clDice" in lines[0]


def test_images_are_paired_by_name_over_all_folds(tmp_path):
    # Student's sleep data of 1908, in folds of 6 and 4 images, with the lines of one file turned around: p = 0.002833.
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    scores = {("unet", "ce"): [second[:6], second[6:]], ("unet", "cwmi"): [first[:6], first[6:]]}
    rows = rows_of(tmp_path, scores)
    path = tmp_path / "unet-cwmi-0" / "test.csv"
    header, *lines = path.read_text().splitlines()
    path.write_text("\n".join([header, *reversed(lines)]) + "\n")
    keys = [run.key for row in rows for run in row.runs.values()]
    found = differences(read_rows(keys, {}))
    assert [(d.row.loss, d.reference.loss, d.column.name) for d in found[:2]] == [
        ("cwmi", "ce", "mIoU"),
        ("cwmi", "ce", "mDice"),
    ]
    assert found[0].test.n == 10
    assert found[0].test.difference == pytest.approx(-1.58)
    assert found[0].test.p == pytest.approx(0.002833, abs=5e-7)
    # The other scores are all 0.5 and cannot be tested, so there is nothing to correct for.
    assert found[0].corrected == found[0].test.p
    assert all(math.isnan(d.corrected) for d in found[1:])


def test_p_values_are_corrected_for_all_losses_together(tmp_path):
    rng = np.random.default_rng(0)
    losses = {("unet", loss): [list(rng.normal(size=8))] for loss in ("dice", "ce", "rmi", "cwmi")}
    found = [d for d in differences(rows_of(tmp_path, losses)) if d.column.name == "mIoU"]
    assert [(d.row.loss, d.reference.loss) for d in found] == [("dice", "ce"), ("rmi", "ce"), ("cwmi", "ce")]
    smallest = min(found, key=lambda d: d.test.p)
    assert smallest.corrected == pytest.approx(min(3 * smallest.test.p, 1))


def test_without_cross_entropy_the_first_loss_is_the_reference_within_each_network(tmp_path):
    models = ("unet", "attention_unet")
    scores = {(model, loss): [[0.1, 0.2]] for model in models for loss in ("abw", "dice", "rmi")}
    found = differences(rows_of(tmp_path, scores, failed=[("abw", 0)]))
    pairs = dict.fromkeys((d.row.model, d.row.loss, d.reference.model, d.reference.loss) for d in found)
    assert list(pairs) == [(model, "rmi", model, "dice") for model in models]


def test_a_run_that_does_not_say_how_long_it_took(tmp_path):
    rows = rows_of(tmp_path, {("unet", "ce"): [[0.5]]})
    rows[0].runs[Part(0, 0)].result["seconds"] = None
    assert markdown(rows).splitlines()[2].endswith("| 0.50 | - |")
    assert csv_text(rows).splitlines()[1].endswith(",,3,1")


def test_scores_by_class_by_hand(tmp_path):
    whole, _, by_class = markdown(rows_of_classes(tmp_path)).partition("By class, over the images that have it:\n\n")
    assert whole.startswith("| loss | network | mIoU ↑ | mDice ↑ | HD ↓ | seconds |\n")
    assert by_class == (
        "| class | loss | network | images | IoU | Dice | HD | HD95 | Betti error | clDice |\n"
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| sky | ce | unet | 4 | **0.600 ± 0.000** | - |  |  |  |  |\n"
        "| sky | cwmi | unet | 4 | 0.500 ± 0.000 | - |  |  |  |  |\n"
        "| pole | ce | unet | 4 | 0.400 ± 0.141 | - | - | - | - | 0.400 ± 0.141 |\n"
        "| pole | cwmi | unet | 3 | **0.600 ± 0.000** | - | - | - | - | **0.600 ± 0.000** |\n"
        "| bus | ce | unet | 1 | **0.800** | - | - | - | - | **0.800** |\n"
        "| bus | cwmi | unet | 1 | 0.400 | - | - | - | - | 0.400 |\n"
    )


def test_an_image_counts_once_however_many_seeds_test_it(tmp_path):
    """Of three images one has a bus in its label, and one in what the second seed predicts."""
    keys = []
    for seed, bus in enumerate(([0.5, math.nan, math.nan], [0.5, 0.0, math.nan])):
        keys.append(RunKey("unet", "ce", Part(seed, 0), RunFolder(tmp_path / str(seed))))
        scores = {"mIoU": [0.5] * 3, "mDice": [0.5] * 3, "HD": [0.5] * 3, "IoU sky": [0.5] * 3, "IoU bus": bus}
        counts = {"sky": 3, "bus": 1 + seed}
        write_run(config_of(keys[-1].folder, seed=seed), scores, images_with=counts)
    (row,) = read_rows(keys, {})
    assert {line.name: line.images for line in class_lines([row])} == {"sky": 3, "bus": 2}


def test_scores_by_class_are_in_both_tables_for_programs(tmp_path):
    rows = rows_of_classes(tmp_path)
    runs = {(line["loss"], line["fold"]): line for line in csv.DictReader(io.StringIO(csv_text(rows)))}
    assert (runs["ce", "0"]["IoU bus"], runs["ce", "1"]["IoU bus"], runs["ce", "mean"]["IoU bus"]) == ("0.8", "", "0.8")
    assert float(runs["cwmi", "mean"]["clDice pole"]) == pytest.approx(0.6)
    images = list(csv.DictReader(io.StringIO(images_csv_text(rows))))
    assert [line["IoU bus"] for line in images] == ["0.8", "", "", "", "0.4", "", "", ""]


def test_images_without_a_class_have_no_part_in_tests(tmp_path):
    (found,) = [d for d in differences(rows_of_classes(tmp_path)) if d.column.name == "mIoU"]
    assert found.test.n == 4
    assert {d.column.name for d in differences(rows_of_classes(tmp_path / "again"))} == {"mIoU", "mDice", "HD"}
