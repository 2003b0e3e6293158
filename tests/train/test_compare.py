"""The comparison from its command line to its files, with runs that are made up."""

import dataclasses
import json
import shutil

import numpy as np
import PIL.Image
import pytest

import train.__main__
from tests.train.reports.fake_runs import write_run
from train import compare as module
from train.compare import compare, main
from train.plans import Comparison, make_plan
from train.presets import PRESETS
from train.reports.results import Part
from train.runs.setup import open_folder, prepare_run


def plan_of(folder, *flags, **settings):
    return make_plan(Comparison(output=str(folder), **settings), flags)


class Runner:
    """Writes a run's folder in place of training; `ends` says how a run ends otherwise."""

    def __init__(self, **ends):
        self.ends, self.configs = {name.replace("_", "-"): end for name, end in ends.items()}, []

    def __call__(self, config):
        self.configs.append(config)
        name = config.output.rpartition("/")[2]
        if name not in self.ends:
            write_run(config, {"mIoU": [0.5, 0.75, 0.5]})
        return self.ends.get(name, 0)

    @property
    def names(self):
        return [config.output.rpartition("/")[2] for config in self.configs]


def test_the_plan_is_the_preset_with_the_flags_fold_by_fold(tmp_path):
    flags = ["--model.width", "16", "--data.augmentation.crop", "128", "96", "--epochs=10", "--folds", "2"]
    plan = plan_of(tmp_path, *flags, dataset="drive", losses="ce,cwmi", models="unet,attention_unet")
    assert [key.folder.path.name for key in plan] == [
        *("unet-ce-fold0", "unet-cwmi-fold0", "attention_unet-ce-fold0", "attention_unet-cwmi-fold0"),
        *("unet-ce-fold1", "unet-cwmi-fold1", "attention_unet-ce-fold1", "attention_unet-cwmi-fold1"),
    ]
    preset = PRESETS["drive"][1]
    config = list(plan.values())[-1]
    augmentation = dataclasses.replace(preset.data.augmentation, crop=(128, 96))
    assert config == dataclasses.replace(
        preset,
        output=str(tmp_path / "attention_unet-cwmi-fold1"),
        epochs=10,
        data=dataclasses.replace(preset.data, folds=2, fold=1, augmentation=augmentation),
        model=dataclasses.replace(preset.model, name="attention_unet", width=16),
    )


def test_a_loss_takes_the_options_that_it_knows(tmp_path):
    plan = plan_of(tmp_path, "--fold", "1", losses="ce,cwmi,tversky", options={"levels": 2, "alpha": 0.7})
    assert {key.loss: config.loss.options for key, config in plan.items()} == {
        "ce": {},
        "cwmi": {"levels": 2},
        "tversky": {"alpha": 0.7},
    }
    assert {key.part for key in plan} == {Part(0, 1)}


def test_a_loss_is_there_once_for_each_of_its_settings(tmp_path):
    losses = "ce, cwmi:levels=3,ce_weight=20,optimizer.clip-norm=0,model.norm=group,cwmi:class_weights=none,cwmi"
    plan = plan_of(tmp_path, "--fold=0", losses=losses, options={"levels": 2})
    configs = {key.folder.path.name: config for key, config in plan.items()}
    assert list(configs) == [
        "unet-ce-fold0",
        "unet-cwmi,ce_weight=20,levels=3,model.norm=group,optimizer.clip_norm=0-fold0",
        "unet-cwmi,class_weights=none-fold0",
        "unet-cwmi-fold0",
    ]
    ce, changed, even, plain = configs.values()
    assert changed.loss.options == {"levels": 3, "ce_weight": 20.0}
    assert even.loss.options == {"levels": 2, "class_weights": "none"}
    assert plain.loss.options == {"levels": 2}
    assert changed.optimizer == dataclasses.replace(plain.optimizer, clip_norm=0.0)
    assert changed.model == dataclasses.replace(plain.model, norm="group")
    assert changed.data == plain.data and changed.loss.cross_entropy_epochs == plain.loss.cross_entropy_epochs
    assert ce.optimizer == plain.optimizer


def test_settings_of_a_variant_need_only_fit_each_other(tmp_path):
    flags = ["--fold=0", "--epochs=1"]
    losses = "cwmi:loss.cross_entropy_epochs=0,skea_topo:loss.topology_epoch=0,model.bfloat16=true"
    cwmi, skea_topo = plan_of(tmp_path, *flags, losses=losses, dataset="drive").values()
    assert (cwmi.loss.name, cwmi.loss.first_epochs, cwmi.epochs) == ("cwmi", 0, 1)
    assert skea_topo.model.bfloat16 and not cwmi.model.bfloat16


def test_a_variant_has_one_name_however_it_is_written(tmp_path):
    names = [
        [key.loss for key in plan_of(tmp_path, "--fold=0", losses=losses)]
        for losses in ("cwmi:levels=3,optimizer.clip_norm=0", "cwmi: optimizer.clip-norm=0.0 , levels=3.0")
    ]
    assert names[0] == names[1] == ["cwmi:levels=3,optimizer.clip_norm=0"]


def test_each_seed_has_its_runs(tmp_path, capsys):
    runner = Runner()
    assert compare(plan_of(tmp_path, "--folds=2", losses="ce,cwmi:levels=3", seeds="0,4"), runner) == 0
    assert runner.names == [
        *("unet-ce-fold0", "unet-cwmi,levels=3-fold0"),
        *("unet-ce-fold1", "unet-cwmi,levels=3-fold1"),
        *("unet-ce-seed4-fold0", "unet-cwmi,levels=3-seed4-fold0"),
        *("unet-ce-seed4-fold1", "unet-cwmi,levels=3-seed4-fold1"),
    ]
    assert [config.seed for config in runner.configs] == [0] * 4 + [4] * 4
    table = (tmp_path / "table.md").read_text()
    assert "| cwmi:levels=3 | unet | 0.583 ± 0.000 |" in table
    assert "over 2 folds and 2 seeds (6 test images)" in table
    lines = (tmp_path / "images.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 2 * 2 * 3
    assert lines[0].startswith("loss,network,seed,fold,image,mIoU,mDice,VI,ARI,HD,HD95,Betti error,clDice,ARE")
    assert lines[1].startswith("ce,unet,0,0,fold0-image0,0.5,")
    assert "seed 4" in (tmp_path / "report.html").read_text()


def test_folds_are_the_presets_unless_they_are_given(tmp_path):
    assert len(plan_of(tmp_path, dataset="demo")) == 2 * PRESETS["demo"][1].data.folds


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--losses", "ce,cwim"], "--losses must be of ce, balanced_ce, dice,"),
        (["--losses", ""], "got ''"),
        (["--losses", "ce,ce"], "--losses must name each one once, got 'ce,ce'"),
        (["--models", "vnet"], "--models must be of unet, attention_unet, got 'vnet'"),
        (["--dataset", "brains"], "--dataset must be one of demo, own, drive,"),
        (["--dataset", "dirve"], "got 'dirve'; did you mean drive?"),
        (["--folds", "3", "--fold", "3"], "data.fold must be all or 0 to 2 (data.folds - 1), got 3"),
        (["--fold", "first"], "--fold/--data.fold must be INT|{all}, got 'first'"),
        (
            ["--losess", "ce"],
            "unknown flag --losess; did you mean --losses? `python -m train.compare --help` lists all",
        ),
        (["--epoch", "3"], "unknown flag --epoch; did you mean --epochs? "),
        (["--losses"], "--losses must have a value, got none"),
        (["--folds", "1"], "data.folds must be 2 or more, got 1"),
        (["--loss.name", "ce"], "--loss.name is not for a comparison; use --losses"),
        (["--seed", "1"], "--seed is not for a comparison; use --seeds"),
        (["--seeds", "0,x"], "--seeds must be whole numbers with commas between them, got '0,x'"),
        (["--seeds", "1,1"], "--seeds must name each one once, got '1,1'"),
        (["--losses", "cwmi:levels=3,levels=4"], "'cwmi:levels=3,levels=4' sets levels twice"),
        (["--losses", "cwmi:levels"], "'cwmi:levels' must read cwmi:NAME=VALUE,NAME=VALUE, got 'levels'"),
        (["--losses", "cwmi:levels=3,cwmi:levels=3.0"], "--losses must name each one once"),
        (["--losses", "cwmi:gamma=3"], "loss.options must be of levels,"),
        (["--losses", "cwmi:data.folds=3"], "data.folds is not for a variant; rows differ in their loss"),
        (["--losses", "cwmi:optimizer.clip=3"], "unknown setting optimizer.clip; known are those that"),
        (["--losses", "cwmi:optimizer.clip_norm=x"], "optimizer.clip_norm must be a number, got 'x'"),
        (["--losses", "cwmi:optimizer.clip_norm=-1"], "optimizer.clip_norm must be 0 or more, got -1.0"),
        (["--losses", "cwmi:model.remat=1"], "model.remat must be true or false, got '1'"),
        (["--losses", "cwmi:model.norm=layer"], "model.norm must be batch or group, got 'layer'"),
        (["--losses", "cwmi:epochs.x=3"], "unknown setting epochs.x;"),
        (["--losses", "cwmi:optimizer.clip_norm=0,cwmi:optimizer.clip-norm=0.0"], "--losses must name each one once"),
        (
            ["--losses", "cwmi,cwmi:levels=3", "--loss.options", "levels", "3"],
            "--losses must name each one once: cwmi and cwmi:levels=3 are the same runs",
        ),
        (["--losses", "levels=3,cwmi"], "--losses must be of ce, balanced_ce"),
        (["--loss.options", "alpha", "0.3"], "--loss.options alpha is of none of the losses ce, cwmi"),
        (["--loss.options", "levels", "2.5"], "loss.options levels must be a whole number, got 2.5"),
        (["--model.norm", "group", "--model.width", "20"], "model.groups must be a divisor of model.width 20, got 8"),
    ],
)
def test_wrong_settings_are_one_line_and_nothing_is_run(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module, "run_in_process", None)
    monkeypatch.setattr(module, "_check_data", None)
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    assert message in said
    assert not (tmp_path / "out").exists()


def test_everything_missing_is_run_and_the_tables_are_written(tmp_path, capsys):
    runner = Runner()
    assert compare(plan_of(tmp_path, "--folds=2"), runner, "python -m train.compare --folds 2") == 0
    assert runner.names == ["unet-ce-fold0", "unet-cwmi-fold0", "unet-ce-fold1", "unet-cwmi-fold1"]
    printed = capsys.readouterr().out
    assert "[4/4] unet-cwmi-fold1\n" in printed
    assert (tmp_path / "table.md").read_text() in printed
    assert "| cwmi | unet | 0.583 ± 0.000 |" in printed
    assert (tmp_path / "table.csv").read_text().count("\n") == 9
    assert "python -m train.compare --folds 2" in (tmp_path / "report.html").read_text()


def test_complete_runs_are_not_repeated(tmp_path):
    plan = plan_of(tmp_path, "--folds=2")
    assert compare(plan, Runner()) == 0
    (tmp_path / "unet-cwmi-fold0" / "result.json").unlink()
    for name in ("test.csv", "config.json", "panels/a.png"):
        (tmp_path / "unet-cwmi-fold0" / name).unlink()
    (tmp_path / "unet-cwmi-fold0" / "panels").rmdir()
    (tmp_path / "unet-cwmi-fold0").rmdir()
    again = Runner()
    assert compare(plan, again) == 0
    assert again.names == ["unet-cwmi-fold0"]


def test_one_loss_on_every_fold_is_a_comparison_too(tmp_path, monkeypatch):
    runner = Runner()
    monkeypatch.setattr(module, "run_in_process", runner)
    monkeypatch.setattr(module, "_check_data", lambda plan: None)
    flags = ["--folds", "3", "--loss.name", "tversky", "--loss.options", "alpha", "0.3", "--output", str(tmp_path)]
    assert train.__main__.main(["drive", "--fold", "all", *flags]) == 0
    assert runner.names == ["unet-tversky-fold0", "unet-tversky-fold1", "unet-tversky-fold2"]
    assert [config.data.fold for config in runner.configs] == [0, 1, 2]
    assert all(config.loss.options == {"alpha": 0.3} for config in runner.configs)
    assert "| tversky | unet | 0.583 ± 0.000 |" in (tmp_path / "table.md").read_text()
    assert "python -m train drive --fold all" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("end", [None, 0])
def test_a_stopped_run_ends_the_comparison_without_a_table(end, tmp_path, capsys):
    runner = Runner(unet_cwmi_fold0=end)  # 0 as a run does after a signal of its own
    assert compare(plan_of(tmp_path, "--folds=2"), runner) == 0
    assert runner.names == ["unet-ce-fold0", "unet-cwmi-fold0"]
    assert "unet-cwmi-fold0: stopped; the same command goes on from there" in capsys.readouterr().out
    assert not (tmp_path / "table.md").exists()


def test_a_failed_run_loses_no_other_and_is_tried_again(tmp_path, capsys):
    plan = plan_of(tmp_path, "--folds=2")
    assert compare(plan, Runner(unet_ce_fold0=1, unet_ce_fold1=-9)) == 1
    captured = capsys.readouterr()
    assert "| ce | unet | - | - |" in captured.out
    assert "| cwmi | unet | 0.583 ± 0.000 |" in captured.out
    assert captured.err.splitlines()[-2:] == [
        "failed: unet with ce, fold 0: ended with status 1; its error is above, and the same command tries again",
        "failed: unet with ce, fold 1: ended by signal 9; its error is above, and the same command tries again",
    ]
    again = Runner()
    assert compare(plan, again) == 0
    assert again.names == ["unet-ce-fold0", "unet-ce-fold1"]


def test_a_run_is_no_place_for_a_comparison(tmp_path, capsys):
    write_run(dataclasses.replace(PRESETS["demo"][1], output=str(tmp_path)), {"mIoU": [0.5]})
    assert train.__main__.main(["demo", "--fold", "all", "--output", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path} is a run itself; give another --output\n"


def test_one_epoch_is_enough_for_every_loss(tmp_path):
    assert len(plan_of(tmp_path, "--epochs=1", losses="ce,cwmi,skea_topo", dataset="drive")) == 9


def test_a_folder_of_other_settings_is_refused_before_anything_is_run(tmp_path, capsys, monkeypatch):
    runner = Runner()
    monkeypatch.setattr(module, "run_in_process", runner)
    monkeypatch.setattr(module, "_check_data", lambda plan: None)
    arguments = ["--folds", "2", "--losses", "ce,dice", "--output", str(tmp_path), "--epochs"]
    assert main([*arguments, "3"]) == 0
    assert (
        len(runner.configs) == 4 and json.loads((tmp_path / "unet-ce-fold0" / "config.json").read_text())["epochs"] == 3
    )
    capsys.readouterr()
    assert main([*arguments, "2"]) == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/unet-ce-fold0 holds a run with other settings: epochs is 2 and not 3; give another --output\n"
    )
    assert main([*arguments, "3", "--log-steps", "7", "--data.workers", "0"]) == 0
    assert len(runner.configs) == 4


def test_more_epochs_make_every_run_longer(tmp_path, monkeypatch):
    runner = Runner()
    monkeypatch.setattr(module, "run_in_process", runner)
    monkeypatch.setattr(module, "_check_data", lambda plan: None)
    arguments = ["--folds", "2", "--losses", "ce,dice", "--output", str(tmp_path), "--epochs"]
    assert main([*arguments, "3"]) == 0
    longer = Runner(**{name.replace("-", "_"): 1 for name in runner.names})
    monkeypatch.setattr(module, "run_in_process", longer)
    assert main([*arguments, "4"]) == 1
    assert [config.epochs for config in longer.configs] == [4] * 4
    assert "| dice | unet | - |" in (tmp_path / "table.md").read_text()


def test_data_that_cannot_be_opened_stop_it_at_once(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module, "run_in_process", None)
    source = str(tmp_path / "nowhere")
    arguments = ["--dataset", "drive", "--data.source", source, "--data.folder", str(tmp_path / "data")]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 1
    assert source in capsys.readouterr().err


def test_a_loss_for_two_classes_is_refused_before_any_other_has_run(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module, "run_in_process", None)
    for part, values in (("images", (0, 9)), ("masks", (0, 1, 2))):
        (tmp_path / "cells" / part).mkdir(parents=True)
        PIL.Image.fromarray(np.resize(np.uint8(values), (8, 8))).save(tmp_path / "cells" / part / "a.png")
    arguments = ["--dataset", "own", "--losses", "ce,abw", "--data.source", str(tmp_path / "cells")]
    assert main([*arguments, "--data.folder", str(tmp_path / "data"), "--output", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith("error: loss.name abw is for two classes, and cells has 3; most others")
    assert not (tmp_path / "out").exists()


class Beginner(Runner):
    """Opens data and folder as a training does, before it writes what is made up."""

    def __call__(self, config):
        made = prepare_run(config)
        open_folder(made)
        return super().__call__(made.config)


def write_patients(folder, seed=0):
    """Nine images of three patients."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
        for number in range(9):
            values = np.random.default_rng((seed, number)).integers(0, 2, (16, 16), np.uint8) * 255
            PIL.Image.fromarray(values).save(folder / part / f"p{number // 3}_{number}.png")
    return folder


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Its fold 0 is complete; a function of further arguments, that returns the status and the names of what it ran."""
    runner = Beginner()
    monkeypatch.setattr(module, "run_in_process", runner)
    source = write_patients(tmp_path / "mine")
    folders = ["--data.folder", str(tmp_path / "data"), "--output", str(tmp_path / "out")]

    def run(*arguments, source=source):
        runner.configs.clear()
        given = ["--data.source", str(source)] if source else []
        return main(["--dataset", "own", "--losses", "ce", *given, *folders, *arguments]), runner.names

    assert run("--fold", "0") == (0, ["unet-ce-fold0"])
    return run


def test_complete_runs_of_another_split_are_refused(command, tmp_path, capsys):
    run = tmp_path / "out" / "unet-ce-fold0"
    split = json.loads((run / "split.json").read_text())
    assert command("--folds", "3", "--data.groups", r"^p\d+") == (1, [])
    said = capsys.readouterr().err
    assert said.startswith(
        f"error: {run} was trained on another split than data.splits, data.groups and the seed give now: "
    )
    assert said.endswith("; give another --output\n") and said.count("\n") == 1
    # A file that has the same split is no other one, wherever it lies; one that differs is.
    parts = {part: list(named) for part, named in split.items()}
    (tmp_path / "same.json").write_text(json.dumps([parts, parts, parts]))
    assert command("--fold", "0", "--data.splits", str(tmp_path / "same.json")) == (0, [])
    parts["train"][0], parts["test"][0] = parts["test"][0], parts["train"][0]
    (tmp_path / "other.json").write_text(json.dumps([parts, parts, parts]))
    capsys.readouterr()
    assert command("--fold", "0", "--data.splits", str(tmp_path / "other.json")) == (1, [])
    assert "give now: 2 of 9 images have moved, 'p" in capsys.readouterr().err


def test_complete_runs_of_other_images_are_refused_and_a_folder_may_move(command, tmp_path, capsys):
    yours = write_patients(tmp_path / "yours", 1)
    assert command("--fold", "0", source=yours) == (1, [])
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/out/unet-ce-fold0 was trained on other images or masks than 'yours' has now; "
        "give another --output\n"
    )
    assert command(source=yours) == (1, [])
    moved = (tmp_path / "mine").rename(tmp_path / "moved")
    assert command("--fold", "0", source=moved) == (0, [])
    assert command(source=moved) == (0, ["unet-ce-fold1", "unet-ce-fold2"])


def test_complete_runs_whose_data_are_gone_are_shown_unless_others_are_named(command, tmp_path, capsys):
    for name in ("mine", "data", "out/table.md"):
        shutil.rmtree(tmp_path / name) if (tmp_path / name).is_dir() else (tmp_path / name).unlink()
    for source in (tmp_path / "mine", None):
        assert command("--fold", "0", source=source) == (0, [])
        assert "the data are not at hand, so the complete runs are shown as they are: folder" in capsys.readouterr().out
        (tmp_path / "out" / "table.md").unlink()
    for arguments in (["--fold", "0", "--data.groups", "p"], []):
        assert command(*arguments) == (1, [])
    assert command("--fold", "0", source=tmp_path / "nowhere") == (1, [])
    assert capsys.readouterr().err.startswith("error: folder: there is no folder")


def test_results_that_cannot_be_written_are_one_line(tmp_path, capsys):
    plan = plan_of(tmp_path, "--folds=2")
    assert compare(plan, Runner()) == 0
    (tmp_path / "table.csv").unlink()
    (tmp_path / "table.csv").mkdir()
    capsys.readouterr()
    assert compare(plan, Runner()) == 1
    assert "cannot write the tables: " in capsys.readouterr().err


def test_help_says_what_else_can_be_set(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Every other flag of `python -m train PRESET`" in said
    assert "--losses STR names in `cwmi_jax.losses.LOSSES`" in said
    assert "each loss takes those that it knows" in said
