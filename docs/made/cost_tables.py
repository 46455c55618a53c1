"""What corpora of several sizes cost: measured rates, and assumptions that are told beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from docs.made.formats import markdown_table, read_result

_SIZES = (10_000, 100_000, 1_000_000)
_STEPS = {"judge": "judge: decode, network, hashes, text, collage", "student": "label with the student"}
_HOUR, _DAY = 3600, 86_400


@dataclass(frozen=True)
class Assumptions:
    """What was not measured.

    Attributes:
        hosts: asked at the same time, once a second each.
        kept: share of the fetched photos that judging leaves.
        photo_bytes: of a photo on the web, 1920 pixels wide.
        reviewed: share of the photos that people look at.
        review_seconds: a person's time for a task.
        machine_hour: price of such a machine of 2 cores, USD.
        gigabyte_month: price of object storage, USD.
        person_hour: price of a reviewer's hour, USD.
    """

    hosts: int = 50
    kept: float = 0.5
    photo_bytes: int = 500_000
    reviewed: float = 0.01
    review_seconds: int = 60
    machine_hour: float = 0.1
    gigabyte_month: float = 0.023
    person_hour: float = 20.0


ASSUMED = Assumptions()


def rates_table(results: Path) -> str:
    """Photos a second and bytes a photo of every step."""
    rates = read_result(results, "rates.json")
    rows = [
        [
            _STEPS.get(name, f"label with `{name}`"),
            f"{step['photos_a_second']:.1f}",
            f"{step['bytes_a_photo'] / 1000:.0f} kB",
            f"`python -m {step['command']}`",
        ]
        for name, step in rates["steps"].items()
    ]
    facts = ", ".join(f"{name} {value}" for name, value in rates["machine"].items())
    return "\n\n".join(
        (
            markdown_table(["step", "photos/s", "left a photo, besides photos", "command"], rows),
            f"{rates['photos']} photos of {rates['bytes_a_photo'] / 1000:.0f} kB on average, wall clock of the whole "
            f"process; {facts}.",
        )
    )


def review_seconds(results: Path) -> str:
    """What the review tool takes by itself."""
    found = read_result(results, "review-seconds.json")
    seconds = found["seconds"]
    return (
        f"{seconds['accepted']:.1f} s for a photo that is accepted as it is, {seconds['corrected']:.1f} s for one with "
        f"a region deleted and a stroke rubbed out; medians of {found['photos']} photos each."
    )


def costs_table(results: Path) -> str:
    """Time, disk and money for corpora of several sizes."""
    steps = read_result(results, "rates.json")["steps"]
    judging, labelling = steps["judge"], steps["student"]
    rows = [_costs(kept, judging["photos_a_second"], labelling) for kept in _SIZES]
    header = ["photos kept", "fetched", "judged", "labelled", "disk", "machines and disk", "reviewed by people"]
    told = (
        f"Measured: judging and labelling, on one machine ([rates](results/README.md#rates)). Assumed: {ASSUMED.hosts} "
        f"hosts at one request a second, {ASSUMED.kept:.0%} of the fetched photos kept, "
        f"{ASSUMED.photo_bytes / 1000:.0f} kB a photo, ${ASSUMED.machine_hour:.2f} a machine hour, "
        f"${ASSUMED.gigabyte_month} a GB and month (one month); {ASSUMED.reviewed:.0%} of the photos reviewed, "
        f"{ASSUMED.review_seconds} s each at ${ASSUMED.person_hour:.0f} an hour."
    )
    return "\n\n".join((markdown_table(header, rows), told))


def _costs(kept: int, judged_a_second: float, labelling: dict[str, float]) -> list[str]:
    fetched = kept / ASSUMED.kept
    judging, labelled = fetched / judged_a_second, kept / labelling["photos_a_second"]
    gigabytes = kept * (ASSUMED.photo_bytes + labelling["bytes_a_photo"]) / 1e9
    review_hours = kept * ASSUMED.reviewed * ASSUMED.review_seconds / _HOUR
    machine = (judging + labelled) / _HOUR * ASSUMED.machine_hour + gigabytes * ASSUMED.gigabyte_month
    return [
        f"{kept:,}",
        _duration(fetched / ASSUMED.hosts),
        _duration(judging),
        _duration(labelled),
        f"{gigabytes:,.0f} GB",
        _dollars(machine),
        f"{kept * ASSUMED.reviewed:,.0f}: {review_hours:,.0f} h, {_dollars(review_hours * ASSUMED.person_hour)}",
    ]


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount < 10 else f"${amount:,.0f}"


def _duration(seconds: float) -> str:
    if seconds < 2 * _HOUR:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / _HOUR:.0f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.1f} days"
