"""`python -m tools.fit_interior_classifier PICTURES --looks FILE`: fits the rule that tells rooms from other photos.

Pictures lie in PICTURES/interiors/SOURCE/ and PICTURES/others/SOURCE/. A rule that has seen one photo of a source knows
its camera and its taste, so that it is tested on whole sources: those that `--test` names are never fitted, each of the
others is tested by a rule that is fitted without it.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from autolabel.crawling.filters.image_filter import FilterSettings, ImageFilter, Reason
from autolabel.crawling.filters.interiors import SHIPPED, InteriorClassifier, SceneShares, interior_features
from models.inference.segmenter import Segmenter
from surfaces.cli.arguments import local_path
from surfaces.detections import Image
from surfaces.errors import DatasetError
from surfaces.io.atomic_files import replace_file
from tools.command_line import run_tool

KINDS = ("interiors", "others")
SIDE_MIN = 200  # pixels of a picture's shorter side

Floats = npt.NDArray[np.float64]

_PENALTY = 2.0  # of squared standardised weights; each kind of picture weighs 100
_STEPS = 50


@dataclass(frozen=True)
class Measured:
    """What was measured of a picture.

    Attributes:
        kind: one of `KINDS`.
        source: where the picture is from.
        name: of its file.
        features: as of `interior_features`.
    """

    kind: str
    source: str
    name: str
    features: Mapping[str, float]


@dataclass(frozen=True)
class Trial:
    """How a rule did on a source that it was not fitted to.

    Attributes:
        kind: one of `KINDS`.
        source: the source.
        fitted: whether the final rule is fitted to it.
        dropped: the pictures that the rule takes for none of a room.
        count: of how many.
    """

    kind: str
    source: str
    fitted: bool
    dropped: int
    count: int


def fit(measured: Sequence[Measured], loss: float) -> InteriorClassifier:
    """A logistic regression with a squared penalty, by Newton's method (Hastie et al., The Elements of Statistical
    Learning, 2009, 4.4).

    Both kinds weigh the same; the sources of a kind weigh as the square roots of their numbers of pictures.

    Args:
        measured: of both kinds.
        loss: share of these interiors that score less than 0.5.

    Raises:
        DatasetError: looks of one kind are missing.
    """
    if missing := set(KINDS) - {picture.kind for picture in measured}:
        raise DatasetError(f"expected two or more sources of {missing.pop()} that rules are fitted to, got fewer")
    names = list(measured[0].features)
    raw = np.array([[picture.features[name] for name in names] for picture in measured])
    interior = np.array([picture.kind == "interiors" for picture in measured], np.float64)
    mean, spread = raw.mean(axis=0), raw.std(axis=0) + 1e-6
    weights = _newton(np.c_[(raw - mean) / spread, np.ones(len(raw))], interior, _importance(measured))[:-1] / spread
    bias = -float(np.quantile(raw[interior > 0] @ weights, loss))
    return InteriorClassifier({name: float(weight) for name, weight in zip(names, weights, strict=True)}, bias)


def run_trials(measured: Sequence[Measured], tested: Iterable[str], loss: float) -> list[Trial]:
    """Tries rules on each source, fitted to none of its pictures; `tested` names sources that none is fitted to."""
    tested = set(tested)
    trials = []
    for kind, source in sorted({(picture.kind, picture.source) for picture in measured}):
        rule = fit([picture for picture in measured if picture.source not in tested | {source}], loss)
        own = [picture for picture in measured if (picture.kind, picture.source) == (kind, source)]
        dropped = sum(rule.score(picture.features) < 0.5 for picture in own)
        trials.append(Trial(kind, source, source not in tested, dropped, len(own)))
    return trials


def table(trials: Iterable[Trial]) -> str:
    """In Markdown."""
    lines = ["| | source | fitted in the end | pictures | dropped |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.kind} | {one.source} | {'yes' if one.fitted else 'no'} | {one.count} | {one.dropped / one.count:.1%} |"
        for one in trials
    ]
    return "\n".join(lines)


def measure_pictures(pictures: Path, looks_path: Path) -> list[Measured]:
    """Looks at all pictures that the other rules of a crawl keep; goes on where an earlier call ended.

    Raises:
        DatasetError: there are no pictures of one of the kinds.
    """
    paths = [path for kind in KINDS for path in sorted((pictures / kind).glob("*/*"))]
    if missing := [kind for kind in KINDS if not any(path.parts[-3] == kind for path in paths)]:
        raise DatasetError(f"expected pictures in {pictures / missing[0]}/SOURCE/, got none")
    known = {row[:3] for row in _rows(looks_path)}
    todo = [path for path in paths if path.parts[-3:] not in known]
    measurer = _Measurer()
    with looks_path.open("a", encoding="utf-8", newline="") as file:
        for path in tqdm(todo, unit="picture", disable=not todo):
            features = measurer.measure(path.read_bytes())
            csv.writer(file).writerow([*path.parts[-3:], *(f"{name}={value:.6g}" for name, value in features.items())])
            file.flush()
    return read_measured(looks_path)


def read_measured(path: Path) -> list[Measured]:
    """What `measure_pictures` wrote, without the pictures that other rules drop."""
    return [
        Measured(kind, source, name, {key: float(value) for key, value in (cell.split("=") for cell in cells)})
        for kind, source, name, *cells in _rows(path)
        if cells
    ]


def classifier_toml(rule: InteriorClassifier, measured: Sequence[Measured], loss: float) -> str:
    """The rule as TOML, with what it was fitted to."""
    sources = sorted({(picture.kind, picture.source) for picture in measured})
    counts = [sum((picture.kind, picture.source) == one for picture in measured) for one in sources]
    told = "\n".join(f"#   {kind}/{name}: {count}" for (kind, name), count in zip(sources, counts, strict=True))
    weights = "\n".join(f'"{name}" = {weight:.5g}' for name, weight in rule.weights.items())
    return (
        f"# Written by `python -m tools.fit_interior_classifier`, which gave up {loss:.0%} of the interiors.\n"
        f"# Fitted to these numbers of pictures (docs/data.md says what they are):\n{told}\n"
        f"bias = {rule.bias:.5g}\n\n[weights]\n{weights}\n"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the tool's arguments."""
    add = parser.add_argument
    add("pictures", type=local_path, metavar="PICTURES", help="PICTURES/interiors/SOURCE/ and PICTURES/others/SOURCE/")
    add("--features", "--looks", type=local_path, required=True, metavar="FILE", help="CSV of features; is resumed")
    add("--test", nargs="*", default=[], metavar="SOURCE", help="sources that no classifier is fitted to")
    add("--loss", type=float, default=0.01, help="share of interiors given up (default: %(default)s)")
    add("--write", type=local_path, metavar="FILE", help=f"output, such as {SHIPPED.name}")


def run(args: argparse.Namespace) -> int:
    """Prints a table, and writes the classifier."""
    measured = measure_pictures(args.pictures, args.features)
    print(table(run_trials(measured, args.test, args.loss)))
    fitted = [picture for picture in measured if picture.source not in args.test]
    text = classifier_toml(fit(fitted, args.loss), fitted, args.loss)
    if args.write:
        replace_file(args.write, text.encode())
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Runs the tool; returns the exit code."""
    return run_tool("fit_interior_classifier", str(__doc__).split("\n")[0], add_arguments, run, arguments)


class _Measurer:
    """Measures pictures as a crawl does."""

    def __init__(self) -> None:
        self._segmenter = Segmenter(threads=1)
        self._features: dict[str, float] = {}
        self._judge = ImageFilter(FilterSettings(side_min=SIDE_MIN), scene_of=self._scene_of)

    def measure(self, data: bytes) -> dict[str, float]:
        """A picture's features; none where another rule drops it, or it is like one before."""
        reason = self._judge.classify(self._judge.measure(data)).reason
        return self._features if reason is Reason.KEPT else {}

    def _scene_of(self, image: Image) -> SceneShares:
        self._features = interior_features(self._segmenter.infer(image).probabilities)
        return SceneShares(wall=0, floor=0, table=0, room=1)


def _rows(path: Path) -> list[tuple[str, ...]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [tuple(row) for row in csv.reader(file)]


def _importance(measured: Sequence[Measured]) -> Floats:
    keys = [(picture.kind, picture.source) for picture in measured]
    share = {key: keys.count(key) ** -0.5 for key in set(keys)}
    found = np.array([share[key] for key in keys])
    for kind in KINDS:
        own = np.array([key[0] == kind for key in keys])
        found[own] *= 100 / found[own].sum()
    return found


def _newton(matrix: Floats, wanted: Floats, importance: Floats) -> Floats:
    weights: Floats = np.zeros(matrix.shape[1])
    penalty = np.full(len(weights), _PENALTY)
    penalty[-1] = 1e-6  # the bias is free
    for _ in range(_STEPS):
        score = 1 / (1 + np.exp(-matrix @ weights))
        slope = matrix.T @ (importance * (score - wanted)) + penalty * weights
        curvature = (matrix * (importance * score * (1 - score))[:, None]).T @ matrix + np.diag(penalty)
        weights = weights - np.linalg.solve(curvature, slope)
    return weights


if __name__ == "__main__":
    sys.exit(main())
