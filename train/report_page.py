"""The comparison as one HTML page that needs no other file: for a browser, a phone, or a printer."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from train.report import (
    FURTHER,
    TABLE_1,
    Difference,
    Metric,
    cell,
    differences,
    failures,
    is_best,
    metrics_of,
    note,
    over_folds,
    part_name,
    seconds,
)
from train.results import Part, Row, own_settings, shared_settings
from train.significance import LEVEL

EXAMPLES = 3
"""Images of which the page shows the panels of every run."""

FEW_IMAGES = 20
"""Below this number of pairs the page warns of what a t-test can tell."""

_TEMPLATE = Path(__file__).with_name("report_page.html")


def page(rows: Sequence[Row], command: str = "") -> str:
    """The table, the scores of each fold, the tests, examples and the settings.

    Args:
        rows: of `train.results.read_rows`; their folders hold the panels.
        command: that made the runs; "" for none.

    Returns:
        HTML.
    """
    shared = shared_settings(rows)
    tests = differences(rows)
    further = metrics_of(rows, FURTHER)
    models = list(dict.fromkeys(row.model for row in rows))
    losses = list(dict.fromkeys(row.loss for row in rows))
    names = {"unet": "U-Net", "attention_unet": "Attention U-Net"}
    on = escape(str(shared.get("data.dataset", "")))
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=f"{len(losses)} losses on {on}" if len(losses) > 1 else f"{escape(losses[0])} on {on}",
        subtitle=escape(f"{', '.join(losses)}; {', '.join(names.get(model, model) for model in models)}"),
        failures="".join(f'<p class="warn">Failed: {escape(sentence)}</p>' for sentence in failures(rows)),
        scores=_score_table(rows, TABLE_1),
        note=escape(note(rows)),
        further=f'<h3>Not in the paper</h3><div class="wide">{_score_table(rows, further)}</div>' if further else "",
        charts="".join(_chart(rows, metric) for metric in TABLE_1),
        folds=_fold_table(rows, [*TABLE_1, *further]),
        verdicts=_verdicts(tests),
        tests=_test_table(tests),
        caution=_caution(tests, bool(shared.get("data.blocks"))),
        examples=_examples(rows),
        command=f"<pre>{escape(command)}</pre>" if command else "",
        settings=_settings({name: value for name, value in shared.items() if name != "data.dataset"}),
        own=_own_settings(rows, shared),
    )


def _label(row: Row, rows: Iterable[Row]) -> str:
    """Short name of a row: its loss, and its network where there are several."""
    return row.loss if len({other.model for other in rows}) == 1 else f"{row.loss} {row.model}"


def _table(header: Sequence[str], lines: Iterable[Sequence[str]], names: int) -> str:
    """Cells are HTML; the first `names` columns hold names."""

    def tag(kind: str, column: int, content: str) -> str:
        return f'<{kind} class="name">{content}</{kind}>' if column < names else f"<{kind}>{content}</{kind}>"

    head = "".join(tag("th", column, text) for column, text in enumerate(header))
    body = "".join(f"<tr>{''.join(tag('td', i, text) for i, text in enumerate(line))}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _score_table(rows: Sequence[Row], metrics: Sequence[Metric]) -> str:
    def score(row: Row, metric: Metric) -> str:
        mean, _, deviation = cell(row, metric).partition(" ± ")
        spread = f' <span class="spread">± {deviation}</span>' if deviation else ""
        return f"<b>{mean}</b>{spread}" if is_best(row, rows, metric) else mean + spread

    header = ["loss", "network", *(metric.heading for metric in metrics), "seconds"]
    lines = [
        [escape(row.loss), escape(row.model), *(score(row, metric) for metric in metrics), seconds(row)] for row in rows
    ]
    return _table(header, lines, 2)


def _fold_table(rows: Sequence[Row], metrics: Sequence[Metric]) -> str:
    lines = []
    for row in rows:
        for part in row.parts:
            run = row.runs.get(part)
            values = ["-"] * (len(metrics) + 3)
            if run is not None:
                values = [f"{run.result['mean'][metric.name]:.{metric.digits}f}" for metric in metrics]
                took = run.result["seconds"]
                values += ["-" if took is None else f"{took:.0f}", str(run.result["best_epoch"]), str(len(run.images))]
            lines.append([escape(row.loss), escape(row.model), str(part.seed), str(part.fold), *values])
    header = [
        "loss",
        "network",
        "seed",
        "fold",
        *(metric.heading for metric in metrics),
        "seconds",
        "best epoch",
        "images",
    ]
    return _table(header, lines, 2)


def _chart(rows: Sequence[Row], metric: Metric) -> str:
    """Rings for folds and a bar for their mean, a line for each row; better is right."""
    values = {id(row): [run.result["mean"][metric.name] for run in row.runs.values()] for row in rows}
    finite = [value for of_row in values.values() for value in of_row if np.isfinite(value)]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    longest = max(len(_label(row, rows)) for row in rows)
    left, right, line = 24 + 6.3 * longest, 310.0, 22

    def place(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return left + (right - left) * (share if metric.higher else 1 - share)

    marks, bottom = [], 30 + line * len(rows)
    for number, row in enumerate(rows):
        y = 38 + line * number
        marks.append(f'<text x="0" y="{y + 4}">{escape(_label(row, rows))}</text>')
        marks.append(f'<path d="M{left} {y}H{right}" stroke="var(--line)"/>')
        marks += [
            f'<circle cx="{place(value):.1f}" cy="{y}" r="4.5" fill="none" stroke="var(--accent)" stroke-width="1.5"/>'
            for value in values[id(row)]
            if np.isfinite(value)
        ]
        if (score := over_folds(row, metric)) and np.isfinite(score[0]):
            marks.append(f'<path d="M{place(score[0]):.1f} {y - 8}v16" stroke="currentColor" stroke-width="2.5"/>')
    ends = (low, high) if metric.higher else (high, low)
    unit = f" {metric.unit}" if metric.unit else ""
    return (
        f'<svg viewBox="0 0 320 {bottom + 18}" role="img" aria-label="{metric.name} of each fold">'
        f'<text class="title" x="0" y="14">{metric.heading}{unit}</text>{"".join(marks)}'
        f'<text class="soft" x="{left - 6}" y="{bottom + 14}">{ends[0]:.{metric.digits}f}</text>'
        f'<text class="soft" x="{right + 6}" y="{bottom + 14}" text-anchor="end">{ends[1]:.{metric.digits}f}</text></svg>'
    )


def verdict(found: Difference) -> str:
    """What a test says: "better", "worse", "no difference found", or "no test"."""
    if np.isnan(found.corrected):
        return "no test"
    if found.corrected >= LEVEL:
        return "no difference found"
    return "better" if (found.test.difference > 0) == found.metric.higher else "worse"


def _verdicts(tests: Sequence[Difference]) -> str:
    if not tests:
        return "<p>There are no two losses to compare.</p>"
    rows = [test.row for test in tests]
    sentences = []
    for row in {id(row): row for row in rows}.values():
        own = [test for test in tests if test.row is row]
        said = {said: [t.metric.name for t in own if verdict(t) == said] for said in dict.fromkeys(map(verdict, own))}
        parts = [f"<b>{kind}</b> in {_and(said[kind])}" for kind in ("better", "worse") if kind in said]
        if "no difference found" in said:
            parts.append(f"no difference found in {_and(said['no difference found'])}")
        if "no test" in said:
            parts.append(f"no test possible in {_and(said['no test'])} (too few images, or the same difference in all)")
        text = f"{escape(_label(row, rows))} against {escape(own[0].reference.loss)}: {'; '.join(parts)}"
        sentences.append(f"<p>{text}.</p>")
    return "".join(sentences)


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _test_table(tests: Sequence[Difference]) -> str:
    if not tests:
        return ""
    rows = [test.row for test in tests]
    lines = []
    for found in tests:
        digits, test, said = found.metric.digits + 1, found.test, verdict(found)
        tested = not np.isnan(test.p)
        lines.append(
            [
                f"{escape(_label(found.row, rows))} against {escape(found.reference.loss)}",
                found.metric.heading,
                f"{test.difference:+.{digits}f}",
                f"{test.low:+.{digits}f} to {test.high:+.{digits}f}" if tested else "-",
                str(test.n),
                _p(test.p),
                _p(found.corrected),
                f"<b>{said}</b>" if said in ("better", "worse") else said,
            ]
        )
    header = ["losses", "score", "mean difference", "95 % interval", "n", "p", "p, Holm", "verdict"]
    return _table(header, lines, 2)


def _p(value: float) -> str:
    if np.isnan(value):
        return "-"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _caution(tests: Sequence[Difference], neighbours: bool) -> str:
    if not tests:
        return ""
    count = sum(not np.isnan(test.corrected) for test in tests)
    fewest = min(test.test.n for test in tests)
    texts = [
        f"Two-sided paired t-tests over the test images of all folds, each image with itself. Holm's p is corrected for "
        f"the {count} tests of this table, and counts as a difference below {LEVEL:g}; intervals are not corrected. "
        "No difference found does not say that there is none.",
        "The tests take images as independent. Those of a fold share one trained network, and folds share training "
        "images, so the tests speak of these networks on more such images. Whether a loss is better when everything is "
        "trained anew shows only in runs with other seeds, and in the spread over folds.",
    ]
    if neighbours:
        texts.append("The images are neighbours in a volume and look alike: they weigh less than their number says.")
    warning = (
        f'<p class="warn">Only {fewest} images: a t-test of so few finds large differences alone, and holds only if '
        "the differences are about normally distributed.</p>"
        if fewest < FEW_IMAGES
        else ""
    )
    return warning + "".join(f'<p class="soft">{text}</p>' for text in texts)


def examples(rows: Sequence[Row]) -> list[tuple[Part, str]]:
    """Images of which every complete run of their fold has a panel: the first of each fold, then the second, and so on.

    Returns:
        Seed and fold, and name, of at most `EXAMPLES` images.
    """
    common: dict[Part, list[str]] = {}
    for part in sorted({part for row in rows for part in row.runs}):
        folders = [row.runs[part].key.folder for row in rows if part in row.runs]
        names = [{path.stem for path in (folder / "panels").glob("*.png")} for folder in folders]
        common[part] = sorted(set.intersection(*names))
    ranked = sorted((rank, part, name) for part, names in common.items() for rank, name in enumerate(names))
    return [(part, name) for _, part, name in ranked[:EXAMPLES]]


def _examples(rows: Sequence[Row]) -> str:
    parts = []
    for part, name in examples(rows):
        parts.append(f"<h3>{escape(name)} ({part_name(part, rows)})</h3>")
        for row in rows:
            if part not in row.runs:
                continue
            run = row.runs[part]
            content = base64.b64encode((run.key.folder / "panels" / f"{name}.png").read_bytes()).decode()
            scores = run.images.get(name, {})
            shown = ", ".join(f"{m.name} {scores[m.name]:.{m.digits}f}" for m in TABLE_1 if m.name in scores)
            label = escape(_label(row, rows))
            parts.append(
                f'<figure><figcaption><b>{label}</b> <span class="soft">{shown}</span></figcaption><div class="wide">'
                f'<img alt="{label}, {escape(name)}" src="data:image/png;base64,{content}"></div></figure>'
            )
    return "".join(parts) or "<p>The runs have no panels of the same images.</p>"


def _settings(settings: Mapping[str, Any]) -> str:
    return "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(_plain(value))}</dd></div>" for name, value in settings.items()
    )


def _own_settings(rows: Sequence[Row], shared: Mapping[str, Any]) -> str:
    lines = [
        f"<p>{escape(_label(row, rows))}: {escape(', '.join(f'{k} {_plain(v)}' for k, v in own.items()))}.</p>"
        for row in rows
        if (own := {k: v for k, v in own_settings(row, shared).items() if k != "loss.name" and v})
    ]
    return f"<h3>Settings of single losses</h3>{''.join(lines)}" if lines else ""


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name} {_plain(option)}" for name, option in value.items()) or "none"
    if isinstance(value, list):
        return " x ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) or "none"
