"""`python -m distill worst DATA`: the photos that cost a network most, what is wrong with them, and why."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from distill.datasets import add_dataset_arguments, open_datasets, protect_inputs, read_options, read_sample
from distill.evaluation.error_analysis import LostIou, PhotoErrors, count_errors, lost_iou, mean_iou
from distill.evaluation.error_categories import Causes, cost_of_causes, read_causes
from distill.evaluation.error_drawing import draw_case, sheet_of_cases
from distill.evaluation.error_page import Findings, as_json, as_page, as_table
from distill.evaluation.page import IMAGES
from surfaces.classes import BY_NAME, CLASSES
from surfaces.cli.arguments import local_path, positive
from surfaces.cli.progress import track
from surfaces.datasets import Sample
from surfaces.detections import Detection, Image
from surfaces.drawing.web_page import PAGE_NAME
from surfaces.images.encode import write_picture
from surfaces.io.atomic_files import make_folder, replace_file

JSON_NAME = "worst.json"
ORDERS = ("lost", "iou", *BY_NAME)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    add_dataset_arguments(parser, split="val")
    parser.add_argument("--weights", type=local_path, help="an exported network (default: the one that ships)")
    parser.add_argument("--threads", type=positive, default=2, help="CPU threads (default: %(default)s)")
    parser.add_argument("--count", type=positive, default=30, help="photos to show (default: %(default)s)")
    parser.add_argument(
        "--by",
        choices=ORDERS,
        default=ORDERS[0],
        help="lost: what takes most from the dataset's mean IoU; a class: from its IoU; iou: the lowest mean IoU of a "
        "photo's own (default: %(default)s)",
    )
    parser.add_argument("--causes", type=local_path, help="TOML file of causes that a person gave (docs/results.md)")
    parser.add_argument("--sheet", type=local_path, help="all shown photos as one picture besides, .jpg or .png")
    parser.add_argument(
        "--out",
        type=local_path,
        default=Path("output/worst"),
        help=f"folder of {JSON_NAME} and the page (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    from distill.evaluation.single_pass import SinglePass
    from models import Segmenter

    causes = read_causes(args.causes) if args.causes else Causes()
    samples = open_datasets(args.data, args.split, read_options(args))
    outputs = [args.out / name for name in (JSON_NAME, PAGE_NAME, IMAGES)]
    protect_inputs([*outputs, args.sheet] if args.sheet else outputs, args.data, samples, [args.weights, args.causes])
    make_folder(args.out)
    segmenter = Segmenter(args.weights, args.threads)
    if causes.model and causes.model != segmenter.sha256:
        print(f"the causes in {args.causes} were given for another network's errors", file=sys.stderr)
    predict = SinglePass(segmenter).predict
    findings = find_worst(predict, samples, args.count, args.by, causes)
    content = {
        "model": {"name": segmenter.name, "sha256": segmenter.sha256},
        "data": {"paths": [str(path) for path in args.data], "split": args.split, "photos": len(samples)},
        "by": args.by,
        **as_json(findings),
    }
    replace_file(args.out / JSON_NAME, (json.dumps(content, indent=1) + "\n").encode())
    print(as_table(findings))
    page = write_worst(args.out, f"{segmenter.name}: worst photos", findings, samples, predict, args.sheet)
    print(f"the numbers are {args.out / JSON_NAME}, the page {page}", file=sys.stderr)
    return 0


def find_worst(
    predict: Callable[[Image], list[Detection]],
    samples: Sequence[Sample],
    count: int,
    by: str = ORDERS[0],
    causes: Causes | None = None,
) -> Findings:
    """Counts the errors of a model, one photo at a time, and picks the worst photos.

    Args:
        predict: from a photo (uint8 HxWx3 RGB) to its segments, masks of the photo's size and without overlaps.
        samples: the dataset.
        count: photos to pick at the most; those without an error are left out.
        by: one of `ORDERS`.
        causes: what a person said of photos.

    Raises:
        DatasetError: a photo or its labels cannot be read, or their sizes differ.
    """
    photos = list(_count_all(predict, samples))
    lost = lost_iou(photos)
    badness = _badness(photos, lost, by)
    wrong = [place for place in range(len(photos)) if badness[place] > 0]
    worst = sorted(wrong, key=lambda place: -badness[place])[:count]
    said = causes.photos if causes else {}
    names = [photos[place].name for place in worst]
    by_name = {photo.name: one for photo, one in zip(photos, lost, strict=True)}
    return Findings(photos, lost, worst, said, cost_of_causes(names, by_name, said))


def _badness(photos: Sequence[PhotoErrors], lost: Sequence[LostIou], by: str) -> list[float]:
    """What photos are ordered by, the worst has most; 0 where nothing is wrong."""
    if by in BY_NAME:
        index = CLASSES.index(BY_NAME[by])
        return [one.by_class[index] for one in lost]
    return [one.mean for one in lost] if by == "lost" else [1 - mean_iou(photo) for photo in photos]


def write_worst(
    folder: Path,
    title: str,
    findings: Findings,
    samples: Sequence[Sample],
    predict: Callable[[Image], list[Detection]],
    sheet: Path | None = None,
) -> Path:
    """Draws the worst photos, which are read again, and writes a page that needs nothing but its folder.

    Args:
        folder: where to; created where absent.
        title: of the page.
        findings: of the error analysis.
        samples: the dataset that was counted.
        predict: the model that was counted.
        sheet: file for all of them as one picture, `.jpg` or `.png`.

    Returns:
        The page's path.

    Raises:
        OutputError: it cannot be written.
    """
    pictures = []
    cases = []
    for rank, place in enumerate(track(findings.worst), 1):
        image, labels = read_sample(samples[place])
        case = draw_case(f"{rank}. {samples[place].name}", image, predict(image), labels)
        pictures.append(f"{IMAGES}/{rank:02d}.jpg")
        write_picture(folder / pictures[-1], case)
        if sheet:
            cases.append(case)
    if sheet and cases:
        write_picture(sheet, sheet_of_cases(cases))
    path = folder / PAGE_NAME
    replace_file(path, as_page(title, findings, pictures).encode())
    return path


def _count_all(predict: Callable[[Image], list[Detection]], samples: Sequence[Sample]) -> Iterator[PhotoErrors]:
    for sample in track(samples):
        image, labels = read_sample(sample)
        yield count_errors(sample.name, predict(image), labels)
