"""Which mask belongs to which image, by the names of the files without their suffix.

Names in composed and in decomposed Unicode are one, since file systems turn the one into the other.
"""

import itertools
import pathlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from train.datasets.errors import DatasetError
from train.datasets.readers import stem

Pair = tuple[str, pathlib.Path, pathlib.Path]

_SEPARATORS = "_-. "


class Pairing(NamedTuple):
    """Images and their masks.

    Attributes:
        pairs: Name, image and mask of each, sorted by the name: what the names of the two files have in common.
        rule: A sentence on how the names of masks follow from those of images, for a log; empty where they are equal.
        left_out: Files whose names do not fit a pattern that was given.
    """

    pairs: list[Pair]
    rule: str
    left_out: list[pathlib.Path]


class _Form(NamedTuple):
    # What stands before and after the part of a name that image and mask have in common.
    before: str = ""
    after: str = ""

    def part(self, name: str) -> str:
        # Empty where the name is not of this form.
        fits = name.startswith(self.before) and name.endswith(self.after)
        return name[len(self.before) : len(name) - len(self.after)] if fits else ""

    def of(self, part: str) -> str:
        return f"{self.before}{part}{self.after}"


class _Rule(NamedTuple):
    images: _Form = _Form()
    masks: _Form = _Form()

    def __str__(self) -> str:
        return f"masks are named {self.masks.of('X')} for images {self.images.of('X')}"


_Names = Mapping[str, pathlib.Path]  # name without suffix -> file


def match_masks(
    images: Sequence[pathlib.Path], masks: Sequence[pathlib.Path], *, key: Callable[[pathlib.Path], str]
) -> list[Pair]:
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
    by_image, by_mask = _named(images, key), _named(masks, key)
    if lonely := _lonely(by_image, by_mask, _Rule()):
        raise DatasetError(lonely)
    return _pairs(by_image, by_mask, _Rule())


def pair_by_name(
    images: Sequence[pathlib.Path], masks: Sequence[pathlib.Path], *, image_names: str = "", mask_names: str = ""
) -> Pairing:
    """Pairs images and masks whose names follow one rule.

    The names of an image and its mask may be equal. Or those of all images, and those of all masks, begin or end with
    a part of their own, up to a separator (underscore, hyphen, dot or space), as in `X_mask` for `X`, or `mask_X` for
    `img_X`. The rule that pairs all files is found, where there is one; patterns say it where there is none.

    Args:
        images: Image files.
        masks: Mask files.
        image_names: Pattern of the names of images without the suffix, such as `*_0000`; the one `*` stands for what
            they have in common with their masks. Files that do not fit are left out.
        mask_names: That of the masks, such as `*_1stHO`.

    Returns:
        The pairs.

    Raises:
        DatasetError: If a pattern is none, or fits nothing; if no rule pairs all files, or two files have one name.
    """
    image_form, mask_form = _pattern(image_names, "image"), _pattern(mask_names, "mask")
    by_image = _named(_fitting(images, image_form, "image"), stem)
    by_mask = _named(_fitting(masks, mask_form, "mask"), stem)
    left_out = sorted({*images, *masks} - {*by_image.values(), *by_mask.values()})
    image_forms = [image_form] if image_form else _forms_of_all(by_image)
    mask_forms = [mask_form] if mask_form else _forms_of_all(by_mask)
    # Two rules that pair all files pair the same ones, for each cuts the same from all names: the shortest is taken.
    for rule in sorted(itertools.starmap(_Rule, itertools.product(image_forms, mask_forms)), key=_length):
        if not _lonely(by_image, by_mask, rule):
            return Pairing(_pairs(by_image, by_mask, rule), "" if rule == _Rule() else str(rule), left_out)
    counts = Counter[_Rule]()
    for (form, other), count in _counts(image_forms, by_image, by_mask, mask_form).items():
        counts[_Rule(form, other)] = count
    for (form, other), count in _counts(mask_forms, by_mask, by_image, image_form).items():
        counts[_Rule(other, form)] = count
    raise DatasetError(_choice(by_image, by_mask, counts) or _nearly(by_image, by_mask, counts))


def check_links(folder: pathlib.Path) -> None:
    """Refuses links that lead nowhere, which a listing of files passes over.

    Args:
        folder: The folder that they lie in; the folders in it are not looked into.

    Raises:
        DatasetError: If there is one.
    """
    for path in sorted(folder.iterdir()):
        if path.is_symlink() and not path.exists():
            raise DatasetError(
                f"{path}: is a broken link, there is no {path.readlink()}; copy the file there, or remove the link"
            )


def _named(paths: Iterable[pathlib.Path], key: Callable[[pathlib.Path], str]) -> _Names:
    found: dict[str, pathlib.Path] = {}
    for path in paths:
        if (other := found.setdefault(unicodedata.normalize("NFC", key(path)), path)) is not path:
            raise DatasetError(f"{path}: has the same name as {other.name}; keep one of them")
    return found


def _lonely(by_image: _Names, by_mask: _Names, rule: _Rule) -> str:
    # What is wrong with the first file that has no partner.
    image, mask = ("image", by_image, rule.images), ("mask", by_mask, rule.masks)
    for (kind, names, form), (other, others, other_form) in ((image, mask), (mask, image)):
        for name in sorted(names):
            part = form.part(name)
            if not part or other_form.of(part) not in others:
                wanted = f" {other_form.of(part)!r}" if part else ""
                place = "".join(f" in {path.parent}" for path in itertools.islice(others.values(), 1))
                return f"{names[name]}: no {other}{wanted}{place} for this {kind}; add it or remove this"
    return ""


def _pairs(by_image: _Names, by_mask: _Names, rule: _Rule) -> list[Pair]:
    parts = sorted(filter(None, map(rule.images.part, by_image)))
    return [
        (part, by_image[rule.images.of(part)], by_mask[rule.masks.of(part)])
        for part in parts
        if rule.masks.of(part) in by_mask
    ]


def _pattern(text: str, kind: str) -> _Form | None:
    if not text:
        return None
    before, star, after = unicodedata.normalize("NFC", text).partition("*")
    if not star or "*" in after:
        raise DatasetError(
            f"--data.{kind}-names must hold one *, for what the names of an image and its mask have in common, "
            f"got {text!r}"
        )
    return _Form(before, after)


def _fitting(paths: Sequence[pathlib.Path], form: _Form | None, kind: str) -> list[pathlib.Path]:
    if form is None:
        return list(paths)
    fitting = [path for path in paths if form.part(unicodedata.normalize("NFC", stem(path)))]
    if not fitting and paths:
        raise DatasetError(
            f"--data.{kind}-names {form.of('*')!r} fits none of the {len(paths)} {kind}s in {paths[0].parent}, for "
            f"example {stem(paths[0])!r} (without the suffix)"
        )
    return fitting


def _forms_of_all(names: _Names) -> list[_Form]:
    before, after = _common_start(names), _common_start([name[::-1] for name in names])[::-1]
    forms = itertools.starmap(_Form, itertools.product(_heads(before), _tails(after)))
    return [form for form in forms if all(map(form.part, names))]


def _common_start(names: Collection[str]) -> str:
    # All names between the first and the last, in their order, begin as these two do.
    equal = itertools.takewhile(
        lambda letters: letters[0] == letters[1], zip(min(names, default=""), max(names, default=""), strict=False)
    )
    return "".join(letter for letter, _ in equal)


def _forms_of_one(name: str) -> list[_Form]:
    return [*(_Form(before=head) for head in _heads(name)), *(_Form(after=tail) for tail in _tails(name) if tail)]


def _heads(text: str) -> list[str]:
    return ["", *(text[: place + 1] for place, letter in enumerate(text) if letter in _SEPARATORS)]


def _tails(text: str) -> list[str]:
    return ["", *(text[place:] for place, letter in enumerate(text) if letter in _SEPARATORS)]


def _counts(
    forms: Sequence[_Form], names: _Names, others: _Names, other_form: _Form | None
) -> Mapping[tuple[_Form, _Form], int]:
    # How many pairs each form of all names makes with a form that some of the others have: masks by two people, say.
    known = [(form, {form.part(name) for name in names}) for form in forms]
    return Counter(
        (form, one)
        for other in others
        for one in ([other_form] if other_form else _forms_of_one(other))
        for form, parts in known
        if one.part(other) in parts
    )


def _choice(by_image: _Names, by_mask: _Names, counts: Mapping[_Rule, int]) -> str:
    # Says so where several rules each give all images a mask, or all masks an image.
    kind, several, one = ("mask", by_image, "image") if len(by_image) < len(by_mask) else ("image", by_mask, "mask")
    found: dict[tuple[tuple[pathlib.Path, pathlib.Path], ...], _Rule] = {}
    for rule in sorted(counts, key=_length):
        if counts[rule] == len(several):
            found.setdefault(tuple((image, mask) for _, image, mask in _pairs(by_image, by_mask, rule)), rule)
    if len(found) < 2:
        return ""
    examples = " or ".join(
        f"{rule} ({pairs[0][0].name}, {pairs[0][1].name})" for pairs, rule in itertools.islice(found.items(), 2)
    )
    patterns = ((rule.masks if kind == "mask" else rule.images).of("*") for rule in found.values())
    pattern = next(pattern for pattern in patterns if pattern != "*")
    folder = next(iter(several.values())).parent
    return f"{folder}: each {one} has several {kind}s: {examples}; choose with --data.{kind}-names, as in '{pattern}'"


def _nearly(by_image: _Names, by_mask: _Names, counts: Mapping[_Rule, int]) -> str:
    # Which file the rule that pairs most of them leaves alone; equal names where no rule pairs most.
    files = max(len(by_image), len(by_mask))
    rule = min(counts, key=lambda rule: (-counts[rule], _length(rule)), default=_Rule())
    if rule == _Rule() or 2 * counts[rule] <= files:
        return _lonely(by_image, by_mask, _Rule())
    return f"{_lonely(by_image, by_mask, rule)} ({counts[rule]} of {files} pair: {rule})"


def _length(rule: _Rule) -> int:
    return sum(map(len, itertools.chain(*rule)))
