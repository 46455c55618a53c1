"""The orders in which photos are reviewed, most worth first.

All are deterministic, and none depends on the order in which candidates are given: what is tied goes by sha256.

    doubtful        low score first
    disagreement    what teachers, or mirrored views, disagree about first; where none looked twice, as doubtful
    random          by a hash of seed and sha256: what a queue has to beat
    class-balanced  the classes take turns; each takes the photo with most of it, sure or in doubt
    expected-gain   likewise, but borders have their turn too, and what is unlike the photos before it comes first
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from labelstudio.active_learning.candidate import Candidate
from surfaces.classes import CLASSES
from surfaces.errors import SurfacesError

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
    chosen = _in_turns(class_stakes(candidates)[:, ::-1], wanted, _Newness(np.zeros((len(candidates), 1))))
    return [candidates[index] for index in chosen]


def expected_gain(candidates: Sequence[Candidate], wanted: int, _seed: int) -> list[Candidate]:
    """Classes and borders take turns, each with the photo that has most at stake for it, times how new the photo is.

    What a further photo adds to the IoU of a class falls with the photos that have taught it already. So each class has
    its turn, however rare, and so have the borders, where people mend what no probability tells. Newness keeps
    near-duplicates from filling the queue:

        newness = min(1, distance to the nearest photo before it / (NEAR x typical distance))^2

    Distances are Euclidean, of descriptors; the greedy choice that keeps to what is far is Sener and Savarese's
    (Active Learning for Convolutional Neural Networks: A Core-Set Approach, ICLR 2018).
    """
    border = np.array([[candidate.border_share] for candidate in candidates])
    places = np.stack([candidate.descriptor for candidate in candidates]).astype(np.float64)
    chosen = _in_turns(np.hstack([class_stakes(candidates)[:, ::-1], border]), wanted, _Newness(places))
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


class _Newness:
    """How unlike each photo is to all that were chosen.

    Args:
        places: float64 (N, D); where all are the same, all photos stay new.
    """

    def __init__(self, places: npt.NDArray[np.float64]) -> None:
        typical_squared = 2 * places.var(axis=0).sum()  # the mean square distance of two photos
        self._places, self._lengths = places, (places**2).sum(axis=1)
        self._near_squared = float(NEAR**2 * typical_squared)
        self.shares = np.ones(len(places))

    def choose(self, index: int) -> None:
        """Counts a photo as chosen."""
        if self._near_squared > 0:
            # |a - b|^2 = |a|^2 + |b|^2 - 2ab: without a copy of all descriptors for each choice.
            squared = self._lengths + self._lengths[index] - 2 * self._places @ self._places[index]
            self.shares = np.minimum(self.shares, np.maximum(squared, 0) / self._near_squared)


def _in_turns(stakes: npt.NDArray[np.float64], wanted: int, newness: _Newness) -> list[int]:
    """Indices of photos: each column of stakes (N, C) takes its best in turn, and is passed over where nothing is left.

    Photos without any stake come last.
    """
    columns = stakes.shape[1]
    left = np.ones(len(stakes), bool)
    chosen: list[int] = []
    turn = 0
    for _ in range(wanted):
        for turn in [(turn + passed) % columns for passed in range(columns)]:
            worth = np.where(left, stakes[:, turn] * newness.shares, -1.0)
            best = int(np.argmax(worth))
            if worth[best] > 0:
                break
        chosen.append(best)
        left[best] = False
        newness.choose(best)
        turn += 1
    return chosen


QUEUES: Mapping[str, Queue] = {
    "doubtful": doubtful,
    "disagreement": disagreement,
    "random": random,
    "class-balanced": class_balanced,
    "expected-gain": expected_gain,
}
