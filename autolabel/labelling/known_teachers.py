"""The teachers that have names: what each needs, and whether it can label on this machine at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from models.weights.official import BERT_VOCABULARY, GROUNDING_DINO, SAM, Checkpoint, cache_folder

GROUNDED_SAM, STUDENT = "grounded-sam", "student"
_GIGABYTE = 1e9


@dataclass(frozen=True)
class KnownTeacher:
    """A teacher.

    Attributes:
        name: as `--teacher` takes it.
        summary: what it is.
        packages: that it imports, all of the extra `autolabel`.
        checkpoints: that are downloaded at its first use, unless they are there.
        licence: of its weights.
    """

    name: str
    summary: str
    packages: tuple[str, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    licence: str = ""

    def missing_packages(self) -> list[str]:
        """Those that are not installed."""
        return [name for name in self.packages if find_spec(name) is None]

    def missing_checkpoints(self) -> list[Checkpoint]:
        """Those that are not in the cache."""
        return [known for known in self.checkpoints if not (cache_folder() / known.name).is_file()]

    def lacks(self) -> str:
        """What must be got before it labels; empty where it can at once."""
        parts = []
        if packages := self.missing_packages():
            parts.append(f"pip install 'interior-surfaces[autolabel]' ({', '.join(packages)})")
        if size := sum(known.size for known in self.missing_checkpoints()):
            parts.append(f"a download of {size / _GIGABYTE:.2f} GB to {cache_folder()}")
        return "; ".join(parts)


_GROUNDED = KnownTeacher(
    GROUNDED_SAM,
    "Grounding DINO finds, SAM draws: any class with a name",
    ("torch", "torchvision", "transformers", "tokenizers", "segment_anything"),
    (GROUNDING_DINO["swint"], SAM["vit_b"], BERT_VOCABULARY),
    "Apache-2.0",
)

KNOWN_TEACHERS = (
    _GROUNDED,
    KnownTeacher(STUDENT, "the network that ships, or --weights FILE", licence="research, see MODEL_CARD.md"),
    KnownTeacher("onnx", "a semantic network: --weights FILE --class-map FILE", licence="the file's"),
)


def default_teacher(weights: Sequence[object] = (), before: str = "") -> str:
    """The name of the teacher of a run that names none: `grounded-sam` where it labels at once, else `student`.

    Args:
        weights: that the user names; they are those of `grounded-sam`.
        before: the teacher of the dataset's earlier runs, as the store names it; a known one goes on.
    """
    if (name := before.partition(" ")[0]) in (GROUNDED_SAM, STUDENT):
        return name
    return GROUNDED_SAM if weights or not _GROUNDED.lacks() else STUDENT


def better_teacher_note(name: str) -> str:
    """A line about what labels more than the default that was taken; empty where nothing does."""
    if name == GROUNDED_SAM:
        return ""
    return f"teacher: {name}, which works here at once; `--teacher {GROUNDED_SAM}` needs {_GROUNDED.lacks()}"
