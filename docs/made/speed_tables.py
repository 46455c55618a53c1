"""README's table of speed, from what `python -m distill benchmark` measured."""

from __future__ import annotations

from pathlib import Path

from docs.made.formats import markdown_table, read_result

NETWORK, PHOTO = "ours, network alone (ONNX Runtime)", "ours, photo to masks"
MOBILENET, RESNET = "Mask R-CNN MobileNetV3-L-FPN (torchvision)", "Mask R-CNN ResNet-50-FPN (torchvision)"


def speed(results: Path) -> str:
    """Medians of one run, ours and torchvision's."""
    measured = read_result(results, "benchmark.json")
    median = {timing["name"]: f"{timing['median_ms']:.0f}" for timing in measured["warm"]}
    width, height = measured["photo"]
    cold = measured["cold"]
    processor = f"{measured['threads']} threads of an {measured['machine']['processor']} (Zen 4) virtual machine"
    rows = [
        ["the network alone, warm", f"{median[NETWORK]} ms"],
        ["photo to masks, warm", f"{median[PHOTO]} ms"],
        [
            "torchvision's Mask R-CNN MobileNetV3-L-FPN / ResNet-50-FPN at the same input, in the same run",
            f"{median[MOBILENET]} / {median[RESNET]} ms",
        ],
        ["`python segment.py` as a new process", f"{cold['median_s']:.1f} s, {cold['peak_mb']:.0f} MiB at most"],
    ]
    return markdown_table([f"{height}x{width} photo, {processor}", "median"], rows)
