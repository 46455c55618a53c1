"""`python -m distill benchmark`: speed, size and memory on this machine, beside Mask R-CNNs of torchvision."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import torch
import torchvision
from torchvision.models.detection import MaskRCNN, maskrcnn_resnet50_fpn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import mobilenet_backbone

from distill.commands.evaluate import evaluate
from distill.datasets import (
    SPLITS,
    add_reading_arguments,
    open_datasets,
    protect_inputs,
    read_options,
    require_labelled,
)
from distill.evaluation.report import plain_numbers
from models.inference.model_output import choose_input_size
from models.inference.segmenter import Segmenter, network_input
from models.inference.session import first_line, open_session
from models.student.instance_heads import MAX_DETECTIONS
from models.weights.registry import shipped
from surfaces.classes import BY_NAME
from surfaces.cli.arguments import local_path, positive
from surfaces.datasets import Sample
from surfaces.detections import Detection, Image
from surfaces.drawing.labels import fitting_size
from surfaces.errors import WeightsError
from surfaces.images.load import load_image
from surfaces.io.atomic_files import replace_file
from surfaces.io.local_files import read_text

CLASSES_WITH_BACKGROUND = 4
LARGE_PIXELS = 12_000_000
MASK_RCNNS = ("resnet50_fpn", "mobilenet_v3_large_fpn")
ROOT = Path(__file__).resolve().parents[2]

MEASURE = """
import resource, subprocess, sys, time
started = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Runs a command from a small process: Linux counts what the parent held at the fork to the child's peak."""


@dataclass(frozen=True, eq=False)
class Contender:
    """A network that is ready to run on the photo.

    Attributes:
        name: of the network.
        once: runs it once.
        parameters: in millions; None if unknown.
        rounds: it takes part only in so many rounds of the timing, the first ones; None: in all.
        predict: from a photo to its segments, where its accuracy can be measured.
    """

    name: str
    once: Callable[[], object]
    parameters: float | None
    rounds: int | None = None
    predict: Callable[[Image], list[Detection]] | None = None


@dataclass(frozen=True)
class Timing:
    """Milliseconds of a network's timed runs, warm, and its parameters in millions (None if unknown).

    `cpu_ms`, the median processor time of all threads, hardly depends on other work on the machine.
    """

    name: str
    median_ms: float
    p95_ms: float
    parameters: float | None
    cpu_ms: float = math.nan


@dataclass(frozen=True)
class ColdStart:
    """`python segment.py PHOTO` as a new process.

    Attributes:
        median_s: wall time.
        imports_s: median wall time of a process that imports onnxruntime, cv2 and supervision and does nothing.
        peak_mb: the largest resident memory in MiB.
    """

    median_s: float
    imports_s: float
    peak_mb: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this command's arguments."""
    parser.add_argument("photo", help="a photo: path or URL")
    parser.add_argument("--side", type=positive, default=640, help="it is shrunk to this longest side (default 640)")
    parser.add_argument("--threads", type=positive, default=2, help="CPU threads for every network (default 2)")
    parser.add_argument("--runs", type=positive, default=20, help="timed runs a network, taken in turns (default 20)")
    parser.add_argument("--cold-runs", type=positive, default=5, help="runs of segment.py as a new process (default 5)")
    parser.add_argument("--weights", type=local_path, help="an exported .onnx (default: the shipped one)")
    parser.add_argument("--batch", type=positive, default=50, help="photos of a batch with --json (default 50)")
    parser.add_argument(
        "--onnx",
        type=local_path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="other networks, on an input of random numbers; sizes that they leave open are those of our input",
    )
    parser.add_argument(
        "--data",
        type=local_path,
        nargs="+",
        default=[],
        metavar="DATA",
        help="datasets on which ours, with one pass and two, is scored too",
    )
    parser.add_argument("--split", choices=SPLITS, default="val", help="side of their split (default: %(default)s)")
    parser.add_argument("--json", type=local_path, help="write the figures there too")
    add_reading_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Measures and prints a table."""
    samples = open_datasets(args.data, args.split, read_options(args)) if args.data else []
    if samples:
        require_labelled(samples)
    if args.json:
        inputs = [Path(args.photo), args.weights or shipped("onnx").path, *args.onnx]
        protect_inputs([args.json], args.data, samples, inputs)
    torch.set_num_threads(args.threads)
    image = downsample(load_image(args.photo), args.side)
    networks = contenders(image, args.weights, args.threads)
    networks += [onnx_contender(path, image, args.threads) for path in args.onnx]
    accuracy = score(networks, samples)  # first: a photo that cannot be read must not cost the timings
    timings = time_in_turns(networks, args.runs)
    cold, rate = cold_start(image, args.cold_runs), batch_rate(image, args.batch)
    print(table(timings, cold, rate, image, accuracy))
    if args.json:
        figures = {
            "machine": machine(),
            "photo": list(image.shape[:2]),
            "threads": args.threads,
            "warm": [asdict(timing) for timing in timings],
            "cold": asdict(cold),
            "batch": {"photos": args.batch, "photos_per_s": rate},
            "accuracy": {
                "data": [str(path) for path in args.data],
                "split": args.split,
                "photos": len(samples),
                "iou": plain_numbers(accuracy),
            },
            "file_mb": (args.weights or shipped("onnx").path).stat().st_size / 1e6,
        }
        replace_file(args.json, (json.dumps(figures, indent=2) + "\n").encode())
    return 0


def downsample(image: Image, side: int) -> Image:
    """The photo with its longest side at most `side` pixels."""
    size = fitting_size(image.shape, side, side)
    if size == (image.shape[1], image.shape[0]):
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def contenders(image: Image, weights: Path | None, threads: int) -> list[Contender]:
    """Ours in several ways, and two Mask R-CNNs of torchvision with random weights and as many detections."""
    segmenter, accurate = Segmenter(weights, threads), Segmenter(weights, threads, accurate=True)
    ours = _count_shipped_parameters() if weights is None else None
    scale = math.sqrt(LARGE_PIXELS / math.prod(image.shape[:2]))
    large = np.asarray(cv2.resize(image, None, fx=scale, fy=scale), np.uint8)
    return [
        Contender("ours, network alone (ONNX Runtime)", lambda: segmenter.infer(image), ours),
        Contender("ours, photo to masks", lambda: segmenter.predict(image), ours, predict=segmenter.predict),
        Contender("ours, photo to masks, --accurate", lambda: accurate.predict(image), ours, predict=accurate.predict),
        Contender("ours, photo to masks, 12 megapixels", lambda: segmenter.predict(large), ours),
        _torchvision_contender("Mask R-CNN ResNet-50-FPN (torchvision)", "resnet50_fpn", image),
        _torchvision_contender("Mask R-CNN MobileNetV3-L-FPN (torchvision)", "mobilenet_v3_large_fpn", image),
    ]


def onnx_contender(path: Path, image: Image, threads: int) -> Contender:
    """A network with one float32 input (N, C, H, W), alone. Raises WeightsError where it is none or fails on it."""
    session = open_session(path, threads)
    inputs = session.get_inputs()
    if [(entry.type, len(entry.shape)) for entry in inputs] != [("tensor(float)", 4)]:
        got = ", ".join(f"{entry.type} of {entry.shape}" for entry in inputs) or "none"
        raise WeightsError(f"expected one input of {path}, float32 (N, C, H, W), got {got}")
    declared = inputs[0]
    ours = (1, 3, *choose_input_size(image.shape[0], image.shape[1]))
    shape = [size if isinstance(size, int) else own for size, own in zip(declared.shape, ours, strict=True)]
    numbers = np.random.default_rng(0).random(shape, np.float32)
    try:
        session.run(None, {declared.name: numbers})
    except Exception as error:  # onnxruntime's errors share no public base class
        raise WeightsError(f"expected {path} to take an input of {shape}, got: {first_line(error)}") from error
    return Contender(f"{path.stem}, alone", lambda: session.run(None, {declared.name: numbers}), None)


def random_mask_rcnn(name: str) -> MaskRCNN:
    """One of `MASK_RCNNS` with random weights, and as many classes and detections as our network."""
    if name == "resnet50_fpn":
        return maskrcnn_resnet50_fpn(
            weights=None,
            weights_backbone=None,
            num_classes=CLASSES_WITH_BACKGROUND,
            box_detections_per_img=MAX_DETECTIONS,
        )
    backbone = mobilenet_backbone(backbone_name="mobilenet_v3_large", weights=None, fpn=True)
    anchors = AnchorGenerator(((32, 64, 128, 256, 512),) * 3, ((0.5, 1.0, 2.0),) * 3)
    return MaskRCNN(
        backbone, CLASSES_WITH_BACKGROUND, rpn_anchor_generator=anchors, box_detections_per_img=MAX_DETECTIONS
    )


def time_in_turns(networks: Sequence[Contender], runs: int) -> list[Timing]:
    """Times every network once a round, so that a busy moment of the machine hits all alike.

    An untimed run comes first: threads of the network before still spin, and its data fill the caches.
    """
    measured: list[list[tuple[float, float]]] = [[] for _ in networks]  # two may have one name
    for number in range(runs):
        for network, runs_of_it in zip(networks, measured, strict=True):
            if network.rounds is None or number < network.rounds:
                network.once()
                started, cpu_started = time.perf_counter(), time.process_time()
                network.once()
                seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
                runs_of_it.append((1000 * seconds, 1000 * cpu_seconds))
    timings = []
    for network, runs_of_it in zip(networks, measured, strict=True):
        times, cpu_times = zip(*runs_of_it, strict=True)
        p95 = float(np.percentile(times, 95))
        timings.append(
            Timing(network.name, statistics.median(times), p95, network.parameters, statistics.median(cpu_times))
        )
    return timings


def cold_start(image: Image, runs: int) -> ColdStart:
    """Runs segment.py on the photo as a new process, with the shipped weights, in turns with the imports alone."""
    walls, peaks, imports = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder, "photo.jpg")
        cv2.imwrite(str(photo), np.ascontiguousarray(image[:, :, ::-1]))
        command = [sys.executable, str(ROOT / "segment.py"), "--url", str(photo), "--output", folder, "--quiet"]
        for _ in range(runs):
            measured = subprocess.run([sys.executable, "-c", MEASURE, *command], check=True, capture_output=True)
            seconds, peak = measured.stdout.split()[-2:]
            walls.append(float(seconds))
            peaks.append(float(peak) / (2**20 if sys.platform == "darwin" else 2**10))
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", "import onnxruntime, cv2, supervision"], check=True)
            imports.append(time.perf_counter() - started)
    return ColdStart(statistics.median(walls), statistics.median(imports), max(peaks))


def batch_rate(image: Image, photos: int) -> float:
    """Photos a second of segment.py with --json on so many copies of the photo, as a new process."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(photos):
            cv2.imwrite(str(Path(folder, f"{number}.jpg")), np.ascontiguousarray(image[:, :, ::-1]))
        command = [sys.executable, str(ROOT / "segment.py"), "--url", folder, "--output", str(Path(folder, "out"))]
        started = time.perf_counter()
        subprocess.run([*command, "--json", "--quiet"], check=True, stdout=subprocess.DEVNULL)
        return photos / (time.perf_counter() - started)


def score(networks: Sequence[Contender], samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """IoU of each class, by the names of the networks that can be scored; empty without samples."""
    if not samples:
        return {}
    reports = {network.name: evaluate(network.predict, samples) for network in networks if network.predict}
    return {
        name: {surface: scores.iou for surface, scores in report.classes.items()} for name, report in reports.items()
    }


def machine() -> dict[str, str]:
    """The machine and its libraries."""
    return {
        "processor": _processor_name(),
        "cpus": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }


def table(
    timings: Sequence[Timing],
    cold: ColdStart,
    rate: float,
    image: Image,
    accuracy: Mapping[str, Mapping[str, float]] | None = None,
) -> str:
    """The figures as text; `accuracy` is IoU by network and class."""
    facts = ", ".join(f"{key} {value}" for key, value in machine().items())
    lines = [f"{image.shape[1]}x{image.shape[0]} photo; {facts}", ""]
    columns = f" {'IoU, ' + ', '.join(BY_NAME):>30}" if accuracy else ""
    lines.append(f"{'network, warm':44} {'median':>9} {'p95':>9} {'x ours':>7} {'M params':>9}{columns}")
    reference = timings[1].median_ms
    for timing in timings:
        size = f"{timing.parameters:9.1f}" if timing.parameters is not None else f"{'?':>9}"
        ratio = timing.median_ms / reference
        line = f"{timing.name:44} {timing.median_ms:6.0f} ms {timing.p95_ms:6.0f} ms {ratio:7.2f} {size}"
        ious = (accuracy or {}).get(timing.name, {})
        lines.append(f"{line} {', '.join(f'{iou:.3f}' for iou in ious.values()):>30}".rstrip())
    imports = f"{cold.median_s / cold.imports_s:.2f} times importing onnxruntime, cv2 and supervision"
    lines += ["", f"python segment.py, cold process: {cold.median_s:.2f} s ({imports}), {cold.peak_mb:.0f} MiB at most"]
    lines.append(f"a batch with --json: {rate:.1f} photos a second")
    return "\n".join(lines)


def _torchvision_contender(title: str, name: str, image: Image) -> Contender:
    """A detector at our network's input size, photo to masks."""
    network = random_mask_rcnn(name).eval()
    height, width = choose_input_size(image.shape[0], image.shape[1])
    network.transform.min_size, network.transform.max_size = (min(height, width),), max(height, width)
    tensor = torch.from_numpy(network_input(image, height, width)[0] / 255)

    def once() -> object:
        with torch.inference_mode():
            return network([tensor])

    return Contender(title, once, sum(parameter.numel() for parameter in network.parameters()) / 1e6)


def _count_shipped_parameters() -> float:
    """Millions of numbers in the shipped weights."""
    with np.load(shipped("npz").path) as file:
        return float(sum(array.size for array in file.values() if array.dtype.kind == "f")) / 1e6


def _processor_name() -> str:
    """From Linux' /proc/cpuinfo, else as Python knows it."""
    path = Path("/proc/cpuinfo")
    lines = read_text(path).splitlines() if path.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
