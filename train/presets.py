"""Runs by name, each with the settings of the paper's protocol, or small enough to see everything work on a CPU.

Paper: Lu, "Complex Wavelet Mutual Information Loss", ICML 2025, arXiv:2502.00563, Table 1. Expected scores are the paper's
means over three folds for U-Net and CWMI; those of the small presets are ours. Times are of one fold; those of the full
networks, which are meant for a GPU, are a step's times the number of steps.
"""

import dataclasses
import inspect
from collections.abc import Callable

from train.batches.augmentation import Augmentation
from train.config import Config, DataConfig, LossConfig, ModelConfig, OptimizerConfig


def demo() -> Config:
    """A narrow U-Net on slices of the MNI152 brain, which comes with the packages.

    `make demo` compares two losses on it. The slices are those of one averaged brain, split into runs of neighbours: it
    shows that everything works, not which loss is better. Expected with bounded_cwmi on fold 1: mIoU .918, mDice .957,
    VI 0.51, ARI .818, HD 0.07.

    Time on 2 CPU cores: 1 to 2 minutes.
    """
    return Config(
        output="runs/demo",
        epochs=8,
        epoch_steps=40,
        batch_size=4,
        data=DataConfig(dataset="mni152", blocks=True, gap=3, folds=4),
        model=ModelConfig(width=16, depth=3, norm="group"),
        loss=LossConfig(name="bounded_cwmi"),
        optimizer=OptimizerConfig(learning_rate=2e-3, schedule="cosine", ema=0.97),
    )


def own() -> Config:
    """Your own images, with settings chosen from their sizes and number.

    `python -m train own --data.source FOLDER`; FOLDER holds `images/` and `masks/`, with the same names in both. Two or more
    classes, pictures or volumes. What is chosen is printed, and trains a narrow network on parts of the images; any flag
    goes before it. What to expect depends on the images.

    Time on 2 CPU cores: 5 to 15 minutes.
    """
    return Config(
        output="runs/own",
        epochs=0,
        epoch_steps=50,
        batch_size=0,
        validate_epochs=0,
        data=DataConfig(dataset="folder", augmentation=Augmentation(crop=(0,))),
        model=ModelConfig(width=0, depth=0),
        loss=LossConfig(name="bounded_cwmi"),
        optimizer=OptimizerConfig(learning_rate=2e-3, schedule="cosine"),
    )


def drive() -> Config:
    """DRIVE retinal vessels, 40 images of 608 x 576 pixels.

    `python -m train drive --data.source FOLDER`; FOLDER holds `training/` and `test/`. Expected: mIoU .801, mDice .880,
    VI 1.06, ARI .596, HD 1.07.

    Time on 2 CPU cores: 8 hours
    (100 steps).
    """
    return _paper("drive", Augmentation(flips=True))


def glas() -> Config:
    """GlaS colon glands, 165 images.

    `python -m train glas --data.source FOLDER`; FOLDER holds `Warwick_QU_Dataset/`. Expected: mIoU .845, mDice .911,
    VI 0.73, ARI .745, HD 2.47.

    Time on 2 CPU cores: 21 hours
    (400 steps).
    """
    return _paper("glas", Augmentation(crop=(448, 576), flips=True))


def snemi3d() -> Config:
    """SNEMI3D neuron membranes, 100 slices of 1024 x 1024.

    `python -m train snemi3d --data.source FOLDER`; FOLDER holds `train-input.tif` and `train-labels.tif`. Expected:
    mIoU .779, mDice .869, VI 1.16, ARI .640, HD 0.69.

    Time on 2 CPU cores: 13 hours (250 steps).
    """
    return _paper("snemi3d", Augmentation(crop=(512, 512), flips=True))


def massachusetts_roads() -> Config:
    """Massachusetts roads, 120 images of 1504 x 1504.

    `python -m train massachusetts-roads --data.source FOLDER`; FOLDER holds `tiff/`. Expected: mIoU .773, mDice .859,
    VI 1.15, ARI .664, HD 11.17.

    Time on 2 CPU cores: 16 hours (300 steps).
    """
    return _paper("massachusetts_roads", Augmentation(crop=(512, 512), flips=True))


def isbi2012() -> Config:
    """ISBI 2012 neuron membranes, 30 sections of 512 x 512.

    `python -m train isbi2012 --data.source FOLDER`; FOLDER holds `images/` and `labels/`, or `train-volume.tif` and
    `train-labels.tif`. It is not in the paper; the settings are those of SNEMI3D, with runs of neighbouring sections instead
    of random ones, so what to expect is not known.

    Time on 2 CPU cores: 3 hours (50 steps).
    """
    config = _paper("isbi2012", Augmentation(crop=(512, 512), flips=True))
    return dataclasses.replace(config, data=dataclasses.replace(config.data, blocks=True))


def drive_narrow() -> Config:
    """DRIVE with a narrow U-Net, 240 steps of crops.

    `--data.source FOLDER` as for drive. For
    `python -m train.compare --dataset drive-narrow --losses ce,dice,rmi,bounded_cwmi`. Expected with bounded_cwmi:
    mIoU .782, mDice .864, VI 1.20, ARI .486, HD 2.45.

    Time on 2 CPU cores: 2 to 3 minutes.
    """
    return _narrow(drive())


def isbi2012_narrow() -> Config:
    """ISBI 2012 with a narrow U-Net, 240 steps of crops.

    `--data.source FOLDER` as for isbi2012. For
    `python -m train.compare --dataset isbi2012-narrow --losses ce,dice,rmi,bounded_cwmi`. Expected with bounded_cwmi:
    mIoU .776, mDice .869, VI 0.97, ARI .638, HD 0.99.

    Time on 2 CPU cores: 2 to 3 minutes.
    """
    return _narrow(isbi2012())


def volumes() -> Config:
    """A folder of one's own volumes, such as the 65 of a hippocampus of about 36 x 50 x 35 voxels.

    `python -m train volumes --data.source FOLDER`, which holds `images/` and `masks/`, NIfTI or TIFF of several pages. A
    narrow 3-D U-Net, 180 steps of crops, each volume standardised by its own mean and deviation. Scans are not turned
    around, for the classes of a body often differ by their side or their end; of tissue, `--data.augmentation.flips` makes
    more of few. Expected of 65 hippocampi with bounded_cwmi, fold 0: mIoU .74, mDice .84.

    Time on 2 CPU cores: 4 to 6 minutes.
    """
    return Config(
        output="runs/volumes",
        epochs=6,
        epoch_steps=30,
        batch_size=2,
        validate_epochs=2,
        data=DataConfig(
            dataset="folder", standardise="image", augmentation=Augmentation(crop=(32, 32, 32), flips=False)
        ),
        model=ModelConfig(width=8, depth=3, norm="group"),
        loss=LossConfig(name="bounded_cwmi"),
        optimizer=OptimizerConfig(learning_rate=2e-3, schedule="cosine"),
    )


def _narrow(config: Config) -> Config:
    """Width 16, three halvings, 8 epochs of 30 steps of four crops of 160 x 160."""
    augmentation = dataclasses.replace(config.data.augmentation, crop=(160, 160), rot90=True)
    return dataclasses.replace(
        config,
        output=f"{config.output}-narrow",
        epochs=8,
        epoch_steps=30,
        batch_size=4,
        validate_epochs=2,
        data=dataclasses.replace(config.data, augmentation=augmentation),
        model=ModelConfig(width=16, depth=3),
        loss=LossConfig(name="bounded_cwmi"),
        optimizer=OptimizerConfig(learning_rate=2e-3, schedule="cosine"),
    )


def _paper(dataset: str, augmentation: Augmentation) -> Config:
    """The defaults: U-Net 64 to 1024, 50 epochs of Adam 1e-4 times 0.8 each 10, batches of 10, clipping at 5, CWMI."""
    return Config(
        output=f"runs/{dataset}",
        data=DataConfig(dataset=dataset, augmentation=augmentation),
        loss=LossConfig(name="cwmi"),
    )


_MAKERS: tuple[Callable[[], Config], ...] = (
    demo,
    own,
    drive,
    glas,
    snemi3d,
    massachusetts_roads,
    isbi2012,
    drive_narrow,
    isbi2012_narrow,
    volumes,
)

PRESETS: dict[str, tuple[str, Config]] = {
    make.__name__.replace("_", "-"): (inspect.getdoc(make) or "", make()) for make in _MAKERS
}
"""Name on the command line -> what it is, and its settings."""
