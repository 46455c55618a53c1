"""`python -m distill benchmark`: speed, size and memory on this machine, beside what one would use otherwise."""

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
from collections.abc import Callable
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

from models.inference.model_output import choose_input_size
from models.inference.segmenter import Segmenter, network_input
from models.student.instance_heads import MAX_DETECTIONS
from models.weights.registry import shipped
from surfaces.cli.arguments import local_path, positive
from surfaces.detections import Image
from surfaces.images.load import load_image
from surfaces.io.atomic_files import refuse_overwrite, replace_file
from surfaces.io.local_files import read_text

CLASSES_WITH_BACKGROUND = 4
MASK_RCNNS = ("resnet50_fpn", "mobilenet_v3_large_fpn")
ROOT = Path(__file__).resolve().parents[2]

MEASURE = """
import resource, subprocess, sys, time
started = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Runs a command from a small process: Linux counts what the parent held at the fork to the child's peak."""


@dataclass(frozen=True)
class Timing:
    """One contender's figures.

    Attributes:
        name: what was run.
        median_ms, p90_ms: of the timed runs, warm.
        parameters: of the network, in millions; None where it is not known.
        cpu_ms: processor time of all threads, median: what other work on the machine hardly changes.
    """

    name: str
    median_ms: float
    p90_ms: float
    parameters: float | None
    cpu_ms: float = math.nan


@dataclass(frozen=True)
class ColdStart:
    """`python segment.py PHOTO` as a new process.

    Attributes:
        median_s: wall time, median.
        peak_mb: largest resident memory of any run, in MiB.
    """

    median_s: float
    peak_mb: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("photo", help="a photo: path or URL")
    parser.add_argument("--side", type=positive, default=640, help="it is shrunk to this longest side (default 640)")
    parser.add_argument("--threads", type=positive, default=2, help="CPU threads for every network (default 2)")
    parser.add_argument("--runs", type=positive, default=20, help="timed runs a network, taken in turns (default 20)")
    parser.add_argument("--cold-runs", type=positive, default=5, help="runs of segment.py as a new process (default 5)")
    parser.add_argument("--weights", type=local_path, help="an exported .onnx (default: the shipped one)")
    parser.add_argument("--json", type=local_path, help="write the figures there too")


def run(args: argparse.Namespace) -> int:
    """Measures and prints a table."""
    if args.json:
        refuse_overwrite([args.json], [Path(args.photo), args.weights or shipped("onnx").path])
    torch.set_num_threads(args.threads)
    image = downsample(load_image(args.photo), args.side)
    timings = time_in_turns(contenders(image, args.weights, args.threads), args.runs)
    cold = cold_start(image, args.cold_runs)
    print(table(timings, cold, image))
    if args.json:
        figures = {
            "machine": machine(),
            "photo": list(image.shape[:2]),
            "threads": args.threads,
            "warm": [asdict(timing) for timing in timings],
            "cold": asdict(cold),
        }
        replace_file(args.json, (json.dumps(figures, indent=2) + "\n").encode())
    return 0


def downsample(image: Image, side: int) -> Image:
    """The photo with its longest side at most `side` pixels."""
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class Contender:
    """A network that is ready to run on the photo.

    Attributes:
        name: what it is.
        once: runs it once.
        parameters: in millions; None where it is not known.
        rounds: it takes part in the first so many rounds of the timing alone; None: in all.
    """

    name: str
    once: Callable[[], object]
    parameters: float | None
    rounds: int | None = None


def contenders(image: Image, weights: Path | None, threads: int) -> list[Contender]:
    """Ours, with and without merging, and two Mask R-CNNs of torchvision with random weights and as many detections."""
    segmenter = Segmenter(weights, threads)
    ours = parameters_of_npz() if weights is None else None
    return [
        Contender("ours, network alone (ONNX Runtime)", lambda: segmenter.infer(image), ours),
        Contender("ours, photo to masks", lambda: segmenter.predict(image), ours),
        torchvision_contender("Mask R-CNN ResNet-50-FPN (torchvision)", random_mask_rcnn("resnet50_fpn"), image),
        torchvision_contender(
            "Mask R-CNN MobileNetV3-L-FPN (torchvision)", random_mask_rcnn("mobilenet_v3_large_fpn"), image
        ),
    ]


def random_mask_rcnn(name: str) -> MaskRCNN:
    """A Mask R-CNN of torchvision with random weights, as many classes as ours, and as many detections at most.

    Args:
        name: one of `MASK_RCNNS`.
    """
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


def torchvision_contender(name: str, network: MaskRCNN, image: Image) -> Contender:
    """A torchvision detector at our network's input size, photo to masks."""
    height, width = choose_input_size(image.shape[0], image.shape[1])
    network.eval()
    network.transform.min_size, network.transform.max_size = (min(height, width),), max(height, width)
    tensor = torch.from_numpy(network_input(image, height, width)[0] / 255)

    def once() -> object:
        with torch.inference_mode():
            return network([tensor])

    return Contender(name, once, sum(p.numel() for p in network.parameters()) / 1e6)


def parameters_of_npz() -> float:
    """Millions of numbers in the shipped weights."""
    with np.load(shipped("npz").path) as file:
        return float(sum(array.size for array in file.values() if array.dtype.kind == "f")) / 1e6


def time_in_turns(networks: list[Contender], runs: int) -> list[Timing]:
    """Times every network once a round, so that a busy moment of the machine hits all alike."""
    for network in networks:
        network.once()
    times: dict[str, list[float]] = {network.name: [] for network in networks}
    cpu_times: dict[str, list[float]] = {network.name: [] for network in networks}
    for number in range(runs):
        for network in networks:
            if network.rounds is not None and number >= network.rounds:
                continue
            started, cpu_started = time.perf_counter(), time.process_time()
            network.once()
            times[network.name].append(1000 * (time.perf_counter() - started))
            cpu_times[network.name].append(1000 * (time.process_time() - cpu_started))
    return [
        Timing(
            network.name,
            statistics.median(times[network.name]),
            float(np.percentile(times[network.name], 90)),
            network.parameters,
            statistics.median(cpu_times[network.name]),
        )
        for network in networks
    ]


def cold_start(image: Image, runs: int) -> ColdStart:
    """Runs segment.py on the photo as a new process, with the shipped weights."""
    walls, peaks = [], []
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder, "photo.jpg")
        cv2.imwrite(str(photo), np.ascontiguousarray(image[:, :, ::-1]))
        command = [sys.executable, str(ROOT / "segment.py"), "--url", str(photo), "--output", folder, "--quiet"]
        for _ in range(runs):
            measured = subprocess.run([sys.executable, "-c", MEASURE, *command], check=True, capture_output=True)
            seconds, peak = measured.stdout.split()[-2:]
            walls.append(float(seconds))
            peaks.append(float(peak) / (2**20 if sys.platform == "darwin" else 2**10))
    return ColdStart(statistics.median(walls), max(peaks))


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    return {
        "processor": processor_name(),
        "cpus": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }


def processor_name() -> str:
    """The processor's model as Linux tells it, else as Python knows it."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in read_text(path).splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def table(timings: list[Timing], cold: ColdStart, image: Image) -> str:
    """The figures as text."""
    facts = ", ".join(f"{key} {value}" for key, value in machine().items())
    lines = [f"{image.shape[1]}x{image.shape[0]} photo; {facts}", ""]
    lines.append(f"{'network, warm':44} {'median':>9} {'p90':>9} {'x ours':>7} {'M params':>9}")
    reference = timings[1].median_ms
    for timing in timings:
        size = f"{timing.parameters:9.1f}" if timing.parameters is not None else f"{'?':>9}"
        ratio = timing.median_ms / reference
        lines.append(f"{timing.name:44} {timing.median_ms:6.0f} ms {timing.p90_ms:6.0f} ms {ratio:7.2f} {size}")
    lines += ["", f"python segment.py, cold process: {cold.median_s:.2f} s, peak memory {cold.peak_mb:.0f} MiB"]
    return "\n".join(lines)
