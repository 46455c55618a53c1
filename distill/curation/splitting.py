"""Splits a dataset so that what belongs together is on one side."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from distill.sources.opened import provenance_of
from surfaces.cli.progress import track
from surfaces.datasets import Sample, split_blocks
from surfaces.errors import DatasetError
from surfaces.images.near_duplicates import NearDuplicateIndex, near_hash

NEAR_DISTANCE = 10
"""Bits of 256 in which hashes of near-duplicates differ at most, see `surfaces.images.near_duplicates`."""


def split_dataset(samples: Sequence[Sample], by: str, share: float) -> tuple[list[Sample], list[Sample]]:
    """The training and the validation part.

    Args:
        samples: a dataset.
        by: one of `GROUPS`, or `block`: blocks of neighbouring names, as `--split` has them.
        share: of the photos that is for validation, about; groups are drawn by a hash of their name. Of
            near-duplicates, the first photo names the group.

    Raises:
        DatasetError: nothing is known to split by, or one part would be empty.
    """
    if by == "block":
        train, val = split_blocks(samples, every=max(2, round(1 / share)))
    else:
        groups = GROUPS[by](samples)
        held_back = {name for name in groups if _drawn(name) < share}
        train = [sample for name, group in groups.items() if name not in held_back for sample in group]
        val = [sample for name in held_back for sample in groups[name]]
    if not train or not val:
        raise DatasetError(f"expected photos on both sides of a split by {by}, got {len(train)} and {len(val)}")
    order = {sample.name: index for index, sample in enumerate(samples)}
    return sorted(train, key=lambda s: order[s.name]), sorted(val, key=lambda s: order[s.name])


def near_groups(samples: Sequence[Sample]) -> Mapping[str, list[Sample]]:
    """Samples in groups of near-duplicates, each linked to another of its group, by the name of the group's first."""
    index = NearDuplicateIndex(NEAR_DISTANCE)
    leaders: dict[str, str] = {}
    groups: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in track(samples):
        hashed = near_hash(sample.image())
        near = sorted({leaders[name] for name, _ in index.find_all(hashed)})
        leader = near[0] if near else sample.name
        for other in near[1:]:
            for member in groups.pop(other):
                groups[leader].append(member)
                leaders[member.name] = leader
        groups[leader].append(sample)
        leaders[sample.name] = leader
        index.add(sample.name, hashed)
    return groups


def _by_folder(samples: Sequence[Sample]) -> Mapping[str, list[Sample]]:
    return _grouped(samples, lambda sample: sample.name.rpartition("/")[0], "folders in the photos' names")


def _by_source(samples: Sequence[Sample]) -> Mapping[str, list[Sample]]:
    return _grouped(samples, lambda sample: provenance_of(sample).source, "sources of the photos")


def _grouped(samples: Sequence[Sample], key: Callable[[Sample], str], what: str) -> Mapping[str, list[Sample]]:
    groups: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[key(sample)].append(sample)
    if len(groups) < 2:
        raise DatasetError(f"expected several {what} to split by, got {len(groups)}")
    return groups


def _drawn(name: str) -> float:
    """A number from 0 to 1, always the same for a name."""
    return int(hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8], 16) / 16**8


GROUPS: Mapping[str, Callable[[Sequence[Sample]], Mapping[str, list[Sample]]]] = {
    "near-duplicates": near_groups,
    "folder": _by_folder,
    "source": _by_source,
}
"""How photos are grouped: those that look the same, those of one folder (a scene), those of one source."""
