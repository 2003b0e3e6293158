"""`python -m train.evaluate RUN`: scores, image by image, and pictures of a trained network.

Written to RUN/evaluation/PART-CHECKPOINT unless --output names another folder: PART.csv, a row an image; panels/, a picture
an image; and last result.json, means and standard deviations over the images. With more than two classes a score is the mean
over those that the image has, in its label or in what was predicted, each taken as the foreground by itself. Class 0 counts
in mIoU and mDice alone; VI, ARI and ARE are left out. Every class has its own scores, too, over the images that have it.
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from train.command_line import fail, parse
from train.runs.checkpoints import CheckpointError
from train.runs.compilation_cache import kept_programs
from train.runs.evaluation import Choice, Part, evaluate_run
from train.runs.folder import ResultFolder, RunError, RunFolder
from train.runs.setup import reopen_run


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Settings of the command line.

    Attributes:
        run: folder of the run.
        part: images of the run's own split: those tested, those that chose the best epoch, or those trained on.
        checkpoint: the best by validation mIoU, or the latest.
        source: folder of the original data, if they are not prepared any more where the run found them.
        output: folder to write to; without it RUN/evaluation/PART-CHECKPOINT.
    """

    run: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="RUN", help_behavior_hint="")]]
    part: Part = "test"
    checkpoint: Choice = "best"
    source: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")] = None
    output: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER", help_behavior_hint="")] = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluates a run from the command line.

    Args:
        arguments: those of the process when None.

    Returns:
        Exit status: 0, or 1 or, where the command line is wrong, 2 after one line that says what went wrong.
    """
    try:
        settings = parse(Evaluation, arguments, prog="python -m train.evaluate", description=__doc__)
        folder = RunFolder(settings.run)
        output = folder.evaluation(settings.part, settings.checkpoint)
        if settings.output is not None:
            output = ResultFolder(settings.output)
        if output.path.resolve() == folder.path.resolve():
            raise ValueError(f"{output} is the run itself, whose own results stay; give another folder with --output")
        setup = reopen_run(folder, source=settings.source)
        with kept_programs(setup.config.program_folder):
            evaluate_run(setup, folder, output, part=settings.part, choice=settings.checkpoint)
        print(f"wrote {output}")
    except (ValueError, RunError, CheckpointError) as error:
        return fail(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
