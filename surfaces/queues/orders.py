"""The orders in which photos are reviewed, most worth first.

All are deterministic, and none depends on the order in which candidates are given: what is tied goes by sha256.

    doubtful        low score first
    disagreement    what teachers, or mirrored views, disagree about first; where none looked twice, as doubtful
    random          by a hash of seed and sha256: what a queue has to beat
    class-balanced  the classes take turns; each takes the photo that is expected to have most of it wrong
    expected-gain   what adds most to the expected gain in mean IoU, less what photos like it have already taught
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from surfaces.classes import CLASSES
from surfaces.errors import SurfacesError
from surfaces.queues.candidate import Candidate

Queue = Callable[[Sequence[Candidate], int, int], list[Candidate]]
"""(candidates by ascending sha256, how many are wanted, seed) -> the wanted ones, most worth first."""

NEAR = 0.5
"""Photos nearer than this share of the candidates' typical distance are taken for views of one place."""


def order_photos(
    queue: str, candidates: Sequence[Candidate], limit: int | None = None, seed: int = 0
) -> list[Candidate]:
    """The photos that should be reviewed, most worth first.

    Args:
        queue: a key of `QUEUES`.
        candidates: in any order.
        limit: how many are wanted; None for all.
        seed: of the random queue.

    Raises:
        SurfacesError: there is no such queue.
    """
    if queue not in QUEUES:
        raise SurfacesError(f"expected a queue out of {', '.join(QUEUES)}, got {queue!r}")
    known = sorted(candidates, key=lambda candidate: candidate.sha256)
    wanted = len(known) if limit is None else min(limit, len(known))
    return QUEUES[queue](known, wanted, seed)[:wanted] if wanted else []


def doubtful(candidates: Sequence[Candidate], _wanted: int, _seed: int) -> list[Candidate]:
    """Low score first."""
    return sorted(candidates, key=lambda candidate: candidate.score)


def disagreement(candidates: Sequence[Candidate], _wanted: int, _seed: int) -> list[Candidate]:
    """High disagreement first, low score first among equals."""
    return sorted(candidates, key=lambda candidate: (-(candidate.disagreement or 0.0), candidate.score))


def random(candidates: Sequence[Candidate], _wanted: int, seed: int) -> list[Candidate]:
    """By a hash: a photo keeps its place among the others when some are added or reviewed."""
    return sorted(candidates, key=lambda candidate: hashlib.sha256(f"{seed} {candidate.sha256}".encode()).digest())


def class_balanced(candidates: Sequence[Candidate], wanted: int, _seed: int) -> list[Candidate]:
    """The classes take turns, dining table (the rarest) first, each with the photo that has most of it in doubt."""
    doubt = np.stack([candidate.class_doubt for candidate in candidates])
    by_class = [np.argsort(-doubt[:, surface.coco_id], kind="stable") for surface in reversed(CLASSES)]
    turns = np.stack(by_class, axis=1).ravel()
    first_seen = {int(index): None for index in turns}
    return [candidates[index] for index in list(first_seen)[:wanted]]


def expected_gain(candidates: Sequence[Candidate], wanted: int, _seed: int) -> list[Candidate]:
    """Greedily what has the largest gain, times how new it is.

    The gain of a photo is what its review is expected to add to the mean IoU of labels over all candidates: for each
    class the pixels that are expected to be wrong, over all pixels of the class. So dining tables, which are rare,
    weigh as much in sum as walls do. It is raised by disagreement, which sees errors that a teacher is sure of, and by
    the length of borders, where people mend what no probability tells:

        gain    = sum over wall, floor, table of (doubt in the photo / area in all photos)
                  x (1 + disagreement) x (1 + border share / its mean)
        newness = min(1, distance to the nearest photo before it / (NEAR x typical distance))^2

    Distances are Euclidean, of descriptors; the greedy choice that keeps to what is far is Sener and Savarese's
    (Active Learning for Convolutional Neural Networks: A Core-Set Approach, ICLR 2018).
    """
    gain = gains(candidates)
    places = np.stack([candidate.descriptor for candidate in candidates]).astype(np.float64)
    near = NEAR * typical_distance(places)
    newness = np.ones(len(candidates))
    chosen: list[Candidate] = []
    left = np.ones(len(candidates), bool)
    for _ in range(wanted):
        best = int(np.argmax(np.where(left, gain * newness, -1.0)))
        left[best] = False
        chosen.append(candidates[best])
        if near > 0:
            distance = np.sqrt(((places - places[best]) ** 2).sum(axis=1))
            newness = np.minimum(newness, (distance / near) ** 2)
    return chosen


def gains(candidates: Sequence[Candidate]) -> npt.NDArray[np.float64]:
    """The gain of each candidate, float64 (N,), as `expected_gain` defines it."""
    ours = [surface.coco_id for surface in CLASSES]
    doubt = np.stack([candidate.class_doubt for candidate in candidates]).astype(np.float64)[:, ours]
    area = np.stack([candidate.class_shares for candidate in candidates]).astype(np.float64)[:, ours].sum(axis=0)
    apart = np.array([candidate.disagreement or 0.0 for candidate in candidates])
    border = np.array([candidate.border_share for candidate in candidates])
    mended = (doubt / np.maximum(area, np.finfo(np.float32).tiny)).sum(axis=1)
    return np.asarray(mended * (1 + apart) * (1 + border / (border.mean() or 1.0)), np.float64)


def typical_distance(places: npt.NDArray[np.float64]) -> float:
    """The root mean square distance of two of the descriptors, float64 (N, D)."""
    return float(np.sqrt(2 * places.var(axis=0).sum()))


QUEUES: Mapping[str, Queue] = {
    "doubtful": doubtful,
    "disagreement": disagreement,
    "random": random,
    "class-balanced": class_balanced,
    "expected-gain": expected_gain,
}
