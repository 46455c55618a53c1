"""What `python -m distill worst` writes: numbers of the worst photos, as JSON, as a page and as a table of causes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.evaluation.error_analysis import LostIou, PhotoErrors
from distill.evaluation.error_categories import UNNAMED, CauseCost, PhotoCauses
from distill.evaluation.error_drawing import KEY
from surfaces.classes import CLASSES
from surfaces.drawing.web_page import render_page

_DIGITS = 5


@dataclass(frozen=True)
class Findings:
    """The errors of a network on a dataset, and their causes as far as they are known.

    Attributes:
        photos: of the whole dataset, in its order.
        lost: what each of them takes from the IoU, in the same order.
        worst: their places in `photos`, the worst first.
        causes: what was said of photos, by name.
        costs: what each cause costs over the worst photos.
    """

    photos: Sequence[PhotoErrors]
    lost: Sequence[LostIou]
    worst: Sequence[int]
    causes: Mapping[str, PhotoCauses]
    costs: Sequence[CauseCost]

    @property
    def total(self) -> LostIou:
        """What all photos take from the IoU: 1 - IoU, 0 for a class that is in none."""
        return _sum(self.lost)

    @property
    def of_worst(self) -> LostIou:
        """What the worst photos take from it."""
        return _sum([self.lost[place] for place in self.worst])


def as_json(findings: Findings) -> dict[str, Any]:
    """All of it as JSON holds it; lost IoU is of the whole dataset's."""
    return {
        "lost_iou": _lost(findings.total),
        "lost_iou_of_worst": _lost(findings.of_worst),
        "causes": [
            {"cause": cost.cause, "photos": cost.photos, "main": cost.main, "lost_iou": _lost(cost.lost)}
            for cost in findings.costs
        ],
        "worst": [_case(findings, place) for place in findings.worst],
        "photos": {
            photo.name: {surface.name: photo.lost(surface) for surface in CLASSES if photo.union(surface)}
            for photo in findings.photos
        },
    }


def as_table(findings: Findings) -> str:
    """The causes and what they cost, as lines for a terminal."""
    of_worst, total = findings.of_worst, findings.total
    heads = "".join(f"{surface.name:>14}" for surface in CLASSES)
    lines = [f"{'cause':<18}{'photos':>8}{'main':>6}{heads}{'mean':>8}{'share':>8}"]
    lines += [
        f"{cost.cause:<18}{cost.photos:>8}{cost.main:>6}{_columns(cost.lost)}"
        f"{cost.lost.mean / max(of_worst.mean, 1e-12):>8.0%}"
        for cost in findings.costs
    ]
    lines.append(f"{f'these {len(findings.worst)} photos':<32}{_columns(of_worst)}")
    lines.append(f"{f'all {len(findings.photos)} photos':<32}{_columns(total)}")
    return "\n".join(lines)


def as_page(title: str, findings: Findings, pictures: Sequence[str]) -> str:
    """A page of the worst photos.

    Args:
        title: of the page.
        findings: what it tells.
        pictures: of the worst photos, in order, as paths beside the page.
    """
    captions = [_caption(findings, place, rank) for rank, place in enumerate(findings.worst, 1)]
    figures = list(zip(pictures, captions, strict=True))
    return render_page("distill/worst.html", title, table=as_table(findings), key=KEY, figures=figures)


def _case(findings: Findings, place: int) -> dict[str, Any]:
    photo, lost = findings.photos[place], findings.lost[place]
    said = findings.causes.get(photo.name, PhotoCauses())
    there = [surface for surface in CLASSES if photo.union(surface)]
    return {
        "name": photo.name,
        "pixels": photo.pixels,
        "iou": {surface.name: round(photo.iou(surface), _DIGITS) for surface in there},
        "lost_iou": _lost(lost),
        "missed": {surface.name: photo.missed(surface) for surface in there},
        "false": {surface.name: photo.false(surface) for surface in there},
        "causes": dict(said.by_class),
        "note": said.note,
    }


def _caption(findings: Findings, place: int, rank: int) -> str:
    photo, lost = findings.photos[place], findings.lost[place]
    said = findings.causes.get(photo.name, PhotoCauses())
    parts = [f"{rank}. {photo.name}: takes {lost.mean:.4f} from the mean IoU"]
    for surface in CLASSES:
        if photo.union(surface):
            cause = said.by_class.get(surface.name, UNNAMED)
            parts.append(
                f"{surface.name} IoU {photo.iou(surface):.2f}, missed {_named(photo.missed(surface), photo.pixels)}, "
                f"false {_named(photo.false(surface), photo.pixels)} ({cause})"
            )
    return " · ".join([*parts, said.note] if said.note else parts)


def _named(pixels: Mapping[str, int], of: int) -> str:
    """Shares of the photo, such as `12.1% (other 11.0%, floor 1.1%)`."""
    parts = ", ".join(f"{name} {count / of:.1%}" for name, count in sorted(pixels.items(), key=lambda pair: -pair[1]))
    return f"{sum(pixels.values()) / of:.1%} ({parts})" if parts else "0%"


def _sum(lost: Sequence[LostIou]) -> LostIou:
    return LostIou(tuple(sum(one.by_class[index] for one in lost) for index in range(len(CLASSES))))


def _columns(lost: LostIou) -> str:
    return "".join(f"{amount:>14.4f}" for amount in lost.by_class) + f"{lost.mean:>8.4f}"


def _lost(lost: LostIou) -> dict[str, float]:
    by_class = {surface.name: round(amount, _DIGITS) for surface, amount in zip(CLASSES, lost.by_class, strict=True)}
    return {**by_class, "mean": round(lost.mean, _DIGITS)}
