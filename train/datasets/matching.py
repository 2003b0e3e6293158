"""Which mask belongs to which image."""

import pathlib
from collections.abc import Callable, Sequence

from train.datasets.readers import DatasetError


def match_masks(
    images: Sequence[pathlib.Path], masks: Sequence[pathlib.Path], *, key: Callable[[pathlib.Path], str]
) -> list[tuple[str, pathlib.Path, pathlib.Path]]:
    """Matches images to masks.

    Args:
        images: Image files.
        masks: Mask files.
        key: What an image and its mask have in common, from the path of either.

    Returns:
        Key, image and mask of each pair, sorted by the key.

    Raises:
        DatasetError: If an image has no mask, a mask no image, or two files the same key.
    """
    by_key: list[dict[str, pathlib.Path]] = [{}, {}]
    for paths, found in zip((images, masks), by_key, strict=True):
        for path in paths:
            if (other := found.setdefault(key(path), path)) is not path:
                raise DatasetError(f"{path}: has the same name as {other.name}; keep one of them")
    for (here, there), kind, missing in zip((by_key, by_key[::-1]), ("image", "mask"), ("mask", "image"), strict=True):
        for name in sorted(here.keys() - there.keys()):
            folder = next(iter(there.values())).parent
            raise DatasetError(
                f"{here[name]}: no {missing} {name!r} in {folder} for this {kind}; add it or remove this"
            )
    return [(name, by_key[0][name], by_key[1][name]) for name in sorted(by_key[0])]
