"""The orders in which photos are reviewed, most worth first.

All are deterministic, and none depends on the order in which candidates are given: what is tied goes by sha256.

    doubtful        low score first
    disagreement    what teachers, or mirrored views, disagree about first; where none looked twice, as doubtful
    random          by a hash of seed and sha256: what a queue has to beat
    class-balanced  the classes take turns; each takes the photo with most of it, sure or in doubt
    expected-gain   what has most of all classes, the rare one as much as the others, and is unlike what came before
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

_TINY = 1e-12


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
    """The classes take turns, dining table (the rarest) first, each with the photo that has most at stake for it."""
    by_class = np.argsort(-class_stakes(candidates)[:, ::-1], axis=0, kind="stable")
    first_seen = dict.fromkeys(by_class.ravel().tolist())
    return [candidates[index] for index in list(first_seen)[:wanted]]


def expected_gain(candidates: Sequence[Candidate], wanted: int, _seed: int) -> list[Candidate]:
    """Greedily what has the largest gain, times how new it is.

    The gain of a photo is its share of all that a review of all candidates would confirm or correct: of each class (see
    `class_stakes`), and of the borders, where people mend what no probability tells. Newness keeps near-duplicates from
    filling the queue:

        gain    = stake in walls + stake in floors + stake in tables + border share / that of all photos
        newness = min(1, distance to the nearest photo before it / (NEAR x typical distance))^2

    Distances are Euclidean, of descriptors; the greedy choice that keeps to what is far is Sener and Savarese's
    (Active Learning for Convolutional Neural Networks: A Core-Set Approach, ICLR 2018).
    """
    border = np.array([candidate.border_share for candidate in candidates])
    gain = class_stakes(candidates).sum(axis=1) + border / max(border.sum(), _TINY)
    places = np.stack([candidate.descriptor for candidate in candidates]).astype(np.float64)
    lengths = (places**2).sum(axis=1)
    near = NEAR * typical_distance(places)
    newness = np.ones(len(candidates))
    chosen: list[int] = []
    for _ in range(wanted):
        worth = gain * newness
        worth[chosen] = -1
        chosen.append(int(np.argmax(worth)))
        if near > 0:
            # |a - b|^2 = |a|^2 + |b|^2 - 2ab: without a copy of all descriptors for each choice.
            squared = lengths + lengths[chosen[-1]] - 2 * places @ places[chosen[-1]]
            newness = np.minimum(newness, np.maximum(squared, 0) / near**2)
    return [candidates[index] for index in chosen]


def class_stakes(candidates: Sequence[Candidate]) -> npt.NDArray[np.float64]:
    """Each photo's part in wall, floor and dining table, float64 (N, 3).

        stake = (area of the class + doubt x (1 + disagreement)) / area of the class in all photos

    Area and doubt are expectations by the teacher's belief. IoU, too, is relative to the area of a class, so tables,
    which are rare, weigh as much in sum as walls do. What is sure counts as well as what is in doubt: teachers are
    surest of some of their false tables, and the few true ones teach more than the hundredth wall. Disagreement of
    teachers or views tells of errors that probabilities do not show.
    """
    ours = [surface.coco_id for surface in CLASSES]
    doubt = np.stack([candidate.class_doubt for candidate in candidates]).astype(np.float64)[:, ours]
    area = np.stack([candidate.class_shares for candidate in candidates]).astype(np.float64)[:, ours]
    apart = np.array([[candidate.disagreement or 0.0] for candidate in candidates])
    return np.asarray((area + doubt * (1 + apart)) / np.maximum(area.sum(axis=0), _TINY), np.float64)


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
