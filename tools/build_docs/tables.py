"""All generated tables: rows of result files, and templates of their cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.weights.official import BERT_VOCABULARY, GROUNDING_DINO, SAM, SAM2
from surfaces.classes import CLASSES, DINING_TABLE, STUFF
from tools.build_docs.commands import list_commands
from tools.build_docs.results import Results, fill, markdown_table, per_class, share, table
from tools.build_docs.runs import list_runs
from tools.build_docs.trainings import choices, commercial, learning_steps, reviewed_photos
from tools.review_simulation import results as review_results
from tools.review_simulation.results import BASELINE, full_review_score, queue_curves

SCORES = "scores.json"
ERRORS = ("errors-scenes.json", "errors-rooms.json", "errors-nyuv2.json")


def shipped_scores(results: Results) -> str:
    """The shipped network on photos of homes and on the rooms of tests/data, two digits."""
    sets = {
        "{data/photos} photos of homes, kept apart": "reviewed-scenes-val.json",
        "{data/photos} hard photos of homes, most with something like a table": "reviewed-hard.json",
        "{data/photos} rendered rooms, never trained on (`tests/data/rooms`)": "shipped-rooms.json",
    }
    rows = []
    for title, name in sets.items():
        report = results.read(name)
        dining, tables = report["classes"][DINING_TABLE.name], report["tables"]
        low, high = dining["iou_interval"]
        rows.append(
            [
                fill(title, report),
                *(share(report["classes"][surface.name]["iou"], 2) for surface in STUFF),
                f"{share(dining['iou'], 2)} ({share(low, 2)} to {share(high, 2)})",
                *(share(tables[name], 2) for name in ("precision", "recall")),
            ]
        )
    header = ["", "wall IoU", "floor IoU", "dining table IoU (95 %)", "tables: precision", "tables: recall"]
    return markdown_table(header, rows)


def model_card(results: Results) -> str:
    """The shipped network on rooms and on NYUv2."""
    rooms, nyuv2 = results.read("shipped-rooms.json"), results.read("shipped-nyuv2-val.json")
    tables, scenes = results.read("reviewed-tables-val.json"), results.read("reviewed-scenes-val.json")
    scenes["title"] = "photos of homes, whole scenes, kept apart"
    hard = results.read("reviewed-hard.json")
    hard["title"] = "hard photos of homes, whole scenes: islands, desks, coffee tables; kept apart"
    hard["tables"]["ap"] = None  # as it was measured, unlabelled pixels counted
    tables["title"] = (
        "dining rooms and photos without a table that look like one, kept apart; tables alone are labelled"
    )
    rooms["title"] = "rendered rooms of `tests/data`, never trained on"
    nyuv2["title"] = "NYUv2, validation part: **trained on**, shows only that nothing broke"
    columns = [
        *(("data", "{title}"), ("photos", "{data/photos}")),
        *per_class("CLASS IoU", "{classes/CLASS/iou}"),
        *per_class("CLASS BIoU", "{classes/CLASS/boundary_iou}"),
        *(("table precision", "{tables/precision}"), ("recall", "{tables/recall}"), ("mask AP", "{tables/ap}")),
        ("calibration error", "{calibration_error}"),
    ]
    return table(columns, [scenes, hard, tables, rooms, nyuv2])


STEPS = {"4": "before", "5": "between", "6": "negatives", "**7, now**": "reviewed"}
"""The networks that shipped one after another, and how the names of their reports begin."""
REVIEWED_SETS = {"scenes": "scenes-val", "tables": "tables-val", "hard": "hard"}


def reviewed(results: Results) -> str:
    """The shipped network beside those before it, on photos kept apart."""
    columns = [
        *(("set", "{set}"), ("step", "{step}")),
        *(
            ("wall IoU", "{classes/wall/iou}"),
            ("floor IoU", "{classes/floor/iou}"),
            ("dining IoU", "{dining:interval}"),
        ),
        *(("table precision", "{tables/precision}"), ("recall", "{tables/recall}")),
    ]
    rows = []
    for name, part in REVIEWED_SETS.items():
        for step, begins in STEPS.items():
            if name == "tables" and step == "4":  # which chose these photos, by its mistakes
                continue
            report = results.read(f"{begins}-{part}.json")
            rows.append(report | {"set": name, "step": step, "dining": dining_iou(report)})
    return table(columns, rows)


def dining_iou(report: Any) -> dict[str, Any]:
    """A report's IoU of dining tables with its interval, as the format `interval` takes it."""
    scores = report["classes"][DINING_TABLE.name]
    return {"value": scores["iou"], "interval": scores["iou_interval"]}


def passes(results: Results) -> str:
    """The shipped network with one pass over a photo and with two."""
    files = {"rooms": "rooms", **{name: f"{name}-val" for name in ("scenes", "tables")}}
    columns = [
        *(("set", "{set}"), ("passes", "{passes}")),
        *per_class("CLASS IoU", "{classes/CLASS/iou}"),
        *per_class("CLASS BIoU", "{classes/CLASS/boundary_iou}"),
    ]
    rows = []
    for name, part in files.items():
        one = "shipped" if name == "rooms" else "reviewed"
        for title, begins in (("one (default)", one), ("two (`--accurate`)", "accurate")):
            rows.append(results.read(f"{begins}-{part}.json") | {"set": name, "passes": title})
    return table(columns, rows)


def speed(results: Results) -> str:
    """Medians of one run of `distill benchmark`."""
    measured = results.read("benchmark.json")
    measured["warm"] = {timing["name"]: timing["median_ms"] for timing in measured["warm"]}
    baselines = "torchvision's Mask R-CNN MobileNetV3-L-FPN / ResNet-50-FPN at the same input, in the same run"
    both = (
        "{warm/Mask R-CNN MobileNetV3-L-FPN (torchvision):.0f} / {warm/Mask R-CNN ResNet-50-FPN (torchvision):.0f} ms"
    )
    rows = {
        "the network alone, warm": "{warm/ours, network alone (ONNX Runtime):.0f} ms",
        "photo to masks, warm": "{warm/ours, photo to masks:.0f} ms",
        "the same with `--accurate`": "{warm/ours, photo to masks, --accurate:.0f} ms",
        "photo of 12 megapixels to masks, warm": "{warm/ours, photo to masks, 12 megapixels:.0f} ms",
        "yolo26n-seg alone (640x480, random weights), in the same run": "{warm/yolo26n-seg, alone:.0f} ms",
        baselines: both,
        "`python segment.py` as a new process": "{cold/median_s:.1f} s, {cold/peak_mb:.0f} MiB at most",
        "importing ONNX Runtime, OpenCV and supervision alone": "{cold/imports_s:.1f} s",
        "a batch of {batch/photos} photos with `--json`": "{batch/photos_per_s:.1f} photos a second",
    }
    header = "{photo/1}x{photo/0} photo, {threads} threads of an {machine/processor} virtual machine"
    cells = [[fill(name, measured), fill(cell, measured)] for name, cell in rows.items()]
    return markdown_table([fill(header, measured), "median"], cells)


def speed_640(results: Results) -> str:
    """The photo of 640x480 in one sentence."""
    measured = results.read("benchmark-640x480.json")
    warm = {timing["name"]: timing["median_ms"] for timing in measured["warm"]}
    ours, yolo = warm["ours, photo to masks"], warm["yolo26n-seg, alone"]
    large = warm["ours, photo to masks, 12 megapixels"]
    return (
        f"At 640x480: {ours:.0f} ms from photo to masks, {large:.0f} ms from one of 12 megapixels of this shape; "
        f"yolo26n-seg alone {yolo:.0f} ms ({ours / yolo:.2f} times as fast)."
    )


def auto_label_rules(results: Results) -> str:
    """Auto-labels compared with human labels, with and without rules."""
    files = {"without rules": "autolabel-nyuv2-bare.json", "**with rules**": "autolabel-nyuv2-rules.json"}
    columns = [("", "{title}")]
    for name, short in (("wall", "wall"), ("floor", "floor"), ("dining table", "table")):
        columns += [(f"{short} precision", f"{{classes/{name}/precision}}"), ("recall", f"{{classes/{name}/recall}}")]
        columns.append(("IoU of sure pixels", f"{{classes/{name}/iou_sure}}"))
    rows = [results.read(file) | {"title": title} for title, file in files.items()]
    return table([*columns, ("sure pixels", "{sure_share}")], rows)


def error_causes(results: Results, name: str, most: int = 6) -> str:
    """Lost IoU of the worst photos by the causes that cost most."""
    found = results.read(name)
    of_worst, total = found["lost_iou_of_worst"], found["lost_iou"]
    costs = sorted(found["causes"], key=lambda cost: -cost["lost_iou"]["mean"])[:most]
    rows = [cost | {"share": f"{cost['lost_iou']['mean'] / of_worst['mean']:.0%}"} for cost in costs]
    photos, everything = len(found["worst"]), len(found["photos"])
    rows.append({"cause": f"these {photos} photos", "photos": photos, "lost_iou": of_worst})
    if photos < everything:
        rows[-1]["share"] = f"{of_worst['mean'] / total['mean']:.0%} of all"
        rows.append({"cause": f"all {everything} photos", "lost_iou": total})
    losses = [(surface.name, f"{{lost_iou/{surface.name}:loss}}") for surface in CLASSES]
    first = [("cause", "{cause}"), ("photos", "{photos}")]
    return table([*first, *losses, ("mean", "{lost_iou/mean:loss}"), ("share", "{share}")], rows)


def read_trials(results: Results) -> list[review_results.Trial]:
    """The simulated reviews, photos with a table drawn more often."""
    return review_results.trials_from_json(results.read("reviews-nyuv2-tables.json"))


def reviews(results: Results) -> str:
    """Mean IoU, deviation and dining IoU by queue and number of reviews."""
    trials = read_trials(results)
    means, dining = queue_curves(trials), queue_curves(trials, DINING_TABLE.name)
    rows = []
    for queue, curve in means.items():
        points = list(zip(curve.means, curve.deviations, dining[queue].means, strict=True))[1:]
        rows.append([queue, *(f"{share(mean)} ± {share(deviation)} ({share(iou)})" for mean, deviation, iou in points)])
    counts = [str(count) for count in means[BASELINE].reviews if count]
    everything = full_review_score(trials)
    footer = "" if everything is None else f"\n\nAll photos reviewed: {share(everything)}."
    return markdown_table(["queue", *counts], rows) + footer


def scores(results: Results) -> str:
    """Accuracy on both datasets, time and size of each model that was scored and timed."""
    content = results.read(SCORES)
    timings = content["timing"]["contenders"]
    rows = [
        model | {"ms": timings[model["name"]]["median_ms"], "millions": model["parameters"] / 1e6}
        for model in content["contenders"]
        if model["scores"] and model["name"] in timings
    ]
    columns = [("", "{title}")]
    for data, name in (("rooms", "rooms"), ("nyuv2", "NYUv2")):
        columns += [
            (f"{name}: wall", f"{{scores/{data}/wall IoU/value}}"),
            ("floor", f"{{scores/{data}/floor IoU/value}}"),
        ]
        columns += [("dining", f"{{scores/{data}/dining table IoU/value}}")]
        columns += [("mean IoU", f"{{scores/{data}/mean IoU:interval}}{{seen/{data}:seen}}")]
    return table([*columns, ("ms", "{ms:.0f}"), ("parameters", "{millions:.1f} M")], rows)


def timed_on(results: Results) -> str:
    """Photo and machine of the speeds."""
    template = (
        "`{photo}`, {size_hw/1}x{size_hw/0}, {threads} threads; {machine/processor}, {machine/cpus} cores, load "
        "average {machine/load}; Python {machine/python}, onnxruntime {machine/onnxruntime}, torch {machine/torch}, "
        "torchvision {machine/torchvision}."
    )
    return fill(template, results.read(SCORES)["timing"])


def rates(results: Results) -> str:
    """Photos per second and bytes per photo of every step."""
    measured = results.read("rates.json")
    titles = {"judge": "judge: decode, network, hashes, text, collage", "student": "label with the student"}
    rows = [
        step | {"title": titles.get(name, f"label with `{name}`"), "kilobytes": step["bytes_a_photo"] / 1000}
        for name, step in measured["steps"].items()
    ]
    columns = [
        *(("step", "{title}"), ("photos/s", "{photos_a_second:.1f}")),
        *(("left a photo, besides photos", "{kilobytes:.0f} kB"), ("command", "`python -m {command}`")),
    ]
    facts = ", ".join(f"{name} {value}" for name, value in measured["machine"].items())
    return (
        f"{table(columns, rows)}\n\n{measured['photos']} photos of {measured['bytes_a_photo'] / 1000:.0f} kB on "
        f"average, wall clock of the whole process; {facts}."
    )


# Not measured: put yours in. Prices are in USD.
HOSTS = 50  # fetched from at the same time, one request a second each
KEPT = 0.5  # share of the fetched photos that the filters keep
PHOTO_BYTES = 500_000  # of a photo on the web, 1920 pixels wide
REVIEWED = 0.01  # share of the photos that people review
REVIEW_SECONDS = 60
MACHINE_HOUR = 0.1  # of a machine with 2 cores
GIGABYTE_MONTH = 0.023  # of object storage
PERSON_HOUR = 20.0


def costs(results: Results) -> str:
    """Time, disk and money for corpora of several sizes."""
    steps, rows = results.read("rates.json")["steps"], []
    for kept in (10_000, 100_000, 1_000_000):
        fetched, reviewed = kept / KEPT, kept * REVIEWED
        filtering, labelling = fetched / steps["judge"]["photos_a_second"], kept / steps["student"]["photos_a_second"]
        gigabytes = kept * (PHOTO_BYTES + steps["student"]["bytes_a_photo"]) / 1e9
        machine = (filtering + labelling) / 3600 * MACHINE_HOUR + gigabytes * GIGABYTE_MONTH
        hours = reviewed * REVIEW_SECONDS / 3600
        durations = (_duration(fetched / HOSTS), _duration(filtering), _duration(labelling))
        review = f"{reviewed:,.0f}: {hours:,.0f} h, {_dollars(hours * PERSON_HOUR)}"
        rows.append([f"{kept:,}", *durations, f"{gigabytes:,.0f} GB", _dollars(machine), review])
    header = ["photos kept", "fetched", "judged", "labelled", "disk", "machines and disk", "reviewed by people"]
    return (
        f"{markdown_table(header, rows)}\n\nMeasured: judging and labelling, on one machine "
        f"([rates](results/README.md#rates)). Assumed: {HOSTS} hosts at one request a second, {KEPT:.0%} of the "
        f"fetched photos kept, {PHOTO_BYTES / 1000:.0f} kB a photo, ${MACHINE_HOUR:.2f} a machine hour, "
        f"${GIGABYTE_MONTH} a GB and month (one month); {REVIEWED:.0%} of the photos reviewed, {REVIEW_SECONDS} s each "
        f"at ${PERSON_HOUR:.0f} an hour."
    )


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount < 10 else f"${amount:,.0f}"


def _duration(seconds: float) -> str:
    hours = seconds / 3600
    return f"{seconds / 60:.0f} min" if hours < 2 else f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.1f} days"


def review_seconds(results: Results) -> str:
    """The time that the review tool takes by itself."""
    template = (
        "{seconds/accepted:.1f} s for a photo that is accepted as it is, {seconds/corrected:.1f} s for one with a "
        "region deleted and a stroke rubbed out; medians of {photos} photos each."
    )
    return fill(template, results.read("review-seconds.json"))


def teacher_weights(_: Results) -> str:
    """Names, sizes, hashes and addresses of the weights that teachers download."""
    files: list[tuple[Any, str]] = [(file, f'`detector = "{name}"`') for name, file in GROUNDING_DINO.items()]
    files += [(BERT_VOCABULARY, "every detector")]
    files += [(file, f'`sam = "{name}"`') for name, file in [*SAM.items(), *SAM2.items()]]
    rows = [
        [f"`{f.name}`", use, f"{f.size:,}", f"`{f.sha256}`", f"[{f.address.split('/')[2]}]({f.address})"]
        for f, use in files
    ]
    return markdown_table(("file", "for", "bytes", "SHA-256", "from"), rows)


TABLES: dict[str, Callable[[Results], str]] = {
    "commands": list_commands,
    "teacher-weights": teacher_weights,
    "runs": list_runs,
    "shipped-scores": shipped_scores,
    "model-card": model_card,
    "reviewed": reviewed,
    "passes": passes,
    "speed": speed,
    "auto-label-rules": auto_label_rules,
    "learning-steps": learning_steps,
    "speed-640": speed_640,
    "reviewed-photos": reviewed_photos,
    "choices": choices,
    "commercial": commercial,
    "errors-scenes": lambda results: error_causes(results, ERRORS[0]),
    "errors-nyuv2": lambda results: error_causes(results, ERRORS[2]),
    "reviews-tables": reviews,
    "scores": scores,
    "scores-timed-on": timed_on,
    "rates": rates,
    "costs": costs,
    "review-seconds": review_seconds,
}
"""By the name in a document's marker."""
