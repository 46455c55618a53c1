"""Queues: orders in which photos are reviewed, the most useful first.

All are deterministic and do not depend on the order of the candidates; ties go by sha256. `doubtful` and
`expected-gain` begin with the photos whose labels contradict what is known of them as a whole.

    doubtful        lowest score first
    disagreement    highest disagreement of teachers, or of mirrored views, first; ties as doubtful
    random          by a hash of seed and sha256: the baseline
    class-balanced  the classes take turns; each takes the photo with the highest utility for it
    expected-gain   the same, but borders take turns too, and diversity counts
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from labelstudio.active_learning.signals import Candidate
from surfaces.classes import CLASSES
from surfaces.errors import SurfacesError

Queue = Callable[[Sequence[Candidate], int, int], list[Candidate]]
"""(candidates by ascending sha256, number wanted, seed) -> the wanted ones, most useful first."""

_NEAR = 0.5  # photos nearer than this share of the candidates' typical distance count as views of one place
_EPSILON = 1e-12


def order_photos(
    queue: str, candidates: Sequence[Candidate], limit: int | None = None, seed: int = 0
) -> list[Candidate]:
    """The photos to review, most useful first.

    Args:
        queue: a key of `QUEUES`.
        candidates: in any order.
        limit: number wanted; None for all.
        seed: of the random queue.
    """
    if queue not in QUEUES:
        raise SurfacesError(f"expected a queue out of {', '.join(QUEUES)}, got {queue!r}")
    known = sorted(candidates, key=lambda candidate: candidate.sha256)
    wanted = len(known) if limit is None else min(limit, len(known))
    return QUEUES[queue](known, wanted, seed)[:wanted] if wanted else []


def _order_at_random(candidates: Sequence[Candidate], _wanted: int, seed: int) -> list[Candidate]:
    """By a hash, so that photos keep their relative order when others are added or reviewed."""
    return sorted(candidates, key=lambda candidate: hashlib.sha256(f"{seed} {candidate.sha256}".encode()).digest())


def _order_by_class(candidates: Sequence[Candidate], wanted: int, _seed: int) -> list[Candidate]:
    nowhere, none = _Diversity(np.zeros((len(candidates), 1))), np.zeros(len(candidates), bool)
    chosen = _take_turns(_class_utilities(candidates)[:, ::-1], wanted, nowhere, none)
    return [candidates[index] for index in chosen]


def _order_by_expected_gain(candidates: Sequence[Candidate], wanted: int, _seed: int) -> list[Candidate]:
    """Classes and borders take turns, each with the photo of the highest utility times diversity.

    The gain in a class's IoU decreases with the photos that show the class, so each class has its turn, however rare;
    so have borders, where people correct errors that no probability shows. Diversity keeps near-duplicates apart:

        diversity = min(1, distance to the nearest photo before it / (_NEAR x typical distance))^2

    Distances are Euclidean, of descriptors; the greedy choice of distant photos is from Sener and Savarese (Active
    Learning for Convolutional Neural Networks: A Core-Set Approach, ICLR 2018).
    """
    border = np.array([[candidate.border_share] for candidate in candidates])
    descriptors = np.stack([candidate.descriptor for candidate in candidates]).astype(np.float64)
    utilities = np.hstack([_class_utilities(candidates)[:, ::-1], border])
    first = np.array([candidate.contradicts for candidate in candidates])
    return [candidates[index] for index in _take_turns(utilities, wanted, _Diversity(descriptors), first)]


def _class_utilities(candidates: Sequence[Candidate]) -> npt.NDArray[np.float64]:
    """Each photo's utility for wall, floor and dining table, float64 (N, 3).

        utility = (area of the class + errors x (1 + disagreement)) / area of the class in all photos

    Area and errors are expected values. The denominator, as in IoU, lets rare tables count as much in sum as walls.
    Certain area counts as well, since teachers are most certain of some of their false tables. Disagreement of teachers
    or views indicates errors that probabilities do not show.
    """
    class_ids = [surface.coco_id for surface in CLASSES]
    errors = np.stack([candidate.class_errors for candidate in candidates]).astype(np.float64)[:, class_ids]
    area = np.stack([candidate.class_shares for candidate in candidates]).astype(np.float64)[:, class_ids]
    disagreement = np.array([[candidate.disagreement or 0.0] for candidate in candidates])
    return np.asarray((area + errors * (1 + disagreement)) / np.maximum(area.sum(axis=0), _EPSILON), np.float64)


class _Diversity:
    """How much each photo differs from all chosen ones; 1 for all if all descriptors, float64 (N, D), are equal."""

    def __init__(self, descriptors: npt.NDArray[np.float64]) -> None:
        typical_squared = 2 * descriptors.var(axis=0).sum()  # the mean square distance of two photos
        self._descriptors, self._squares = descriptors, (descriptors**2).sum(axis=1)
        self._near_squared = float(_NEAR**2 * typical_squared)
        self.values = np.ones(len(descriptors))

    def choose(self, index: int) -> None:
        if self._near_squared > 0:
            # |a - b|^2 = |a|^2 + |b|^2 - 2ab, which needs no copy of all descriptors per choice.
            products = self._descriptors @ self._descriptors[index]
            squared = self._squares + self._squares[index] - 2 * products
            self.values = np.minimum(self.values, np.maximum(squared, 0) / self._near_squared)


def _take_turns(
    utilities: npt.NDArray[np.float64], wanted: int, diversity: _Diversity, first: npt.NDArray[np.bool_]
) -> list[int]:
    """Indices of photos: the columns of (N, C) take their best in turn; a column without candidates loses its turn.

    The photos of `first`, bool (N,), come before the others, photos without any utility last.
    """
    columns = utilities.shape[1]
    left = np.ones(len(utilities), bool)
    chosen: list[int] = []
    turn = 0
    for _ in range(wanted):
        eligible = left & first if (left & first).any() else left
        for turn in [(turn + skipped) % columns for skipped in range(columns)]:
            values = np.where(eligible, utilities[:, turn] * diversity.values, -1.0)
            best = int(np.argmax(values))
            if values[best] > 0:
                break
        chosen.append(best)
        left[best] = False
        diversity.choose(best)
        turn += 1
    return chosen


QUEUES: Mapping[str, Queue] = {
    "doubtful": lambda candidates, _wanted, _seed: sorted(
        candidates, key=lambda each: (not each.contradicts, each.score)
    ),
    "disagreement": lambda candidates, _wanted, _seed: sorted(
        candidates, key=lambda each: (-(each.disagreement or 0.0), each.score)
    ),
    "random": _order_at_random,
    "class-balanced": _order_by_class,
    "expected-gain": _order_by_expected_gain,
}
