"""`python -m autolabel.crawling.room_fitting PICTURES --looks FILE`: fits the rule that tells rooms from other photos.

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

from autolabel.crawling.judging import Judge, JudgeSettings, Reason
from autolabel.crawling.room_rule import SHIPPED, RoomRule, room_features
from autolabel.crawling.rooms import Scene
from models.inference.segmenter import Segmenter
from surfaces.cli.arguments import local_path
from surfaces.detections import Image
from surfaces.errors import DatasetError, SurfacesError
from surfaces.io.atomic_files import replace_file

KINDS = ("interiors", "others")
SIDE_MIN = 200  # pixels of a picture's shorter side

Floats = npt.NDArray[np.float64]

_PENALTY = 2.0  # of squared standardised weights; each kind of picture weighs 100
_STEPS = 50


@dataclass(frozen=True)
class Look:
    """What was measured of a picture.

    Attributes:
        kind: one of `KINDS`.
        source: where the picture is from.
        name: of its file.
        features: as of `room_features`.
    """

    kind: str
    source: str
    name: str
    features: Mapping[str, float]


@dataclass(frozen=True)
class Tried:
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


def fit(looks: Sequence[Look], loss: float) -> RoomRule:
    """A logistic regression with a squared penalty, by Newton's method (Hastie et al., The Elements of Statistical
    Learning, 2009, 4.4).

    Both kinds weigh the same; the sources of a kind weigh as the square roots of their numbers of pictures.

    Args:
        looks: of both kinds.
        loss: share of these interiors that score less than 0.5.

    Raises:
        DatasetError: looks of one kind are missing.
    """
    if missing := set(KINDS) - {look.kind for look in looks}:
        raise DatasetError(f"expected two or more sources of {missing.pop()} that rules are fitted to, got fewer")
    names = list(looks[0].features)
    raw = np.array([[look.features[name] for name in names] for look in looks])
    interior = np.array([look.kind == "interiors" for look in looks], np.float64)
    mean, spread = raw.mean(axis=0), raw.std(axis=0) + 1e-6
    weights = _newton(np.c_[(raw - mean) / spread, np.ones(len(raw))], interior, _importance(looks))[:-1] / spread
    bias = -float(np.quantile(raw[interior > 0] @ weights, loss))
    return RoomRule({name: float(weight) for name, weight in zip(names, weights, strict=True)}, bias)


def try_out(looks: Sequence[Look], tested: Iterable[str], loss: float) -> list[Tried]:
    """Tries rules on each source, fitted to none of its pictures; `tested` names sources that none is fitted to."""
    tested = set(tested)
    tried = []
    for kind, source in sorted({(look.kind, look.source) for look in looks}):
        rule = fit([look for look in looks if look.source not in tested | {source}], loss)
        own = [look for look in looks if (look.kind, look.source) == (kind, source)]
        dropped = sum(rule.score(look.features) < 0.5 for look in own)
        tried.append(Tried(kind, source, source not in tested, dropped, len(own)))
    return tried


def table(tried: Iterable[Tried]) -> str:
    """In Markdown."""
    lines = ["| | source | fitted in the end | pictures | dropped |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.kind} | {one.source} | {'yes' if one.fitted else 'no'} | {one.count} | {one.dropped / one.count:.1%} |"
        for one in tried
    ]
    return "\n".join(lines)


def look_at(pictures: Path, looks_path: Path) -> list[Look]:
    """Looks at all pictures that the other rules of a crawl keep; goes on where an earlier call ended.

    Raises:
        DatasetError: there are no pictures of one of the kinds.
    """
    paths = [path for kind in KINDS for path in sorted((pictures / kind).glob("*/*"))]
    if missing := [kind for kind in KINDS if not any(path.parts[-3] == kind for path in paths)]:
        raise DatasetError(f"expected pictures in {pictures / missing[0]}/SOURCE/, got none")
    known = {row[:3] for row in _rows(looks_path)}
    todo = [path for path in paths if path.parts[-3:] not in known]
    looker = _Looker()
    with looks_path.open("a", encoding="utf-8", newline="") as file:
        for path in tqdm(todo, unit="picture", disable=not todo):
            features = looker.look(path.read_bytes())
            csv.writer(file).writerow([*path.parts[-3:], *(f"{name}={value:.6g}" for name, value in features.items())])
            file.flush()
    return read_looks(looks_path)


def read_looks(path: Path) -> list[Look]:
    """What `look_at` wrote, without the pictures that other rules drop."""
    return [
        Look(kind, source, name, {key: float(value) for key, value in (cell.split("=") for cell in cells)})
        for kind, source, name, *cells in _rows(path)
        if cells
    ]


def rule_text(rule: RoomRule, looks: Sequence[Look], loss: float) -> str:
    """The rule as TOML, with what it was fitted to."""
    sources = sorted({(look.kind, look.source) for look in looks})
    counts = [sum((look.kind, look.source) == one for look in looks) for one in sources]
    told = "\n".join(f"#   {kind}/{name}: {count}" for (kind, name), count in zip(sources, counts, strict=True))
    weights = "\n".join(f'"{name}" = {weight:.5g}' for name, weight in rule.weights.items())
    return (
        f"# Written by `python -m autolabel.crawling.room_fitting`, which gave up {loss:.0%} of the interiors.\n"
        f"# Fitted to these numbers of pictures (docs/data.md says what they are):\n{told}\n"
        f"bias = {rule.bias:.5g}\n\n[weights]\n{weights}\n"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m autolabel.crawling.room_fitting", description=__doc__)
    parser.add_argument("pictures", type=local_path, metavar="PICTURES")
    parser.add_argument(
        "--looks", type=local_path, required=True, metavar="FILE", help="CSV of what was measured; goes on"
    )
    parser.add_argument("--test", nargs="*", default=[], metavar="SOURCE", help="sources that no rule is fitted to")
    parser.add_argument("--loss", type=float, default=0.01, help="share of interiors given up (default: %(default)s)")
    parser.add_argument("--write", type=local_path, metavar="FILE", help=f"where the rule goes, such as {SHIPPED.name}")
    args = parser.parse_args(arguments)
    try:
        looks = look_at(args.pictures, args.looks)
        print(table(try_out(looks, args.test, args.loss)))
        fitted = [look for look in looks if look.source not in args.test]
        text = rule_text(fit(fitted, args.loss), fitted, args.loss)
        if args.write:
            replace_file(args.write, text.encode())
    except SurfacesError as error:
        print(f"room_fitting: {error}", file=sys.stderr)
        return error.exit_code
    return 0


class _Looker:
    """Measures pictures as a crawl does."""

    def __init__(self) -> None:
        self._segmenter = Segmenter(threads=1)
        self._features: dict[str, float] = {}
        self._judge = Judge(JudgeSettings(side_min=SIDE_MIN), scene_of=self._scene_of)

    def look(self, data: bytes) -> dict[str, float]:
        """A picture's features; none where another rule drops it, or it is like one before."""
        reason = self._judge.decide(self._judge.look(data)).reason
        return self._features if reason is Reason.KEPT else {}

    def _scene_of(self, image: Image) -> Scene:
        self._features = room_features(self._segmenter.raw(image).probabilities)
        return Scene(wall=0, floor=0, table=0, room=1)


def _rows(path: Path) -> list[tuple[str, ...]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [tuple(row) for row in csv.reader(file)]


def _importance(looks: Sequence[Look]) -> Floats:
    keys = [(look.kind, look.source) for look in looks]
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
