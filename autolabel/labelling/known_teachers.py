"""The teachers that have names: what each needs, and whether it can label on this machine at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from models.weights.gated import SAM3, GatedFolder
from models.weights.official import BERT_VOCABULARY, GROUNDING_DINO, SAM, SAM2, Checkpoint, cache_folder

GROUNDED_SAM, GROUNDED_SAM2, CONCEPTS, STUDENT = "grounded-sam", "grounded-sam2", "sam3", "student"
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
        access: where access to its weights is asked for; empty where everyone has it.
    """

    name: str
    summary: str
    packages: tuple[str, ...] = ()
    checkpoints: tuple[Checkpoint | GatedFolder, ...] = ()
    licence: str = ""
    access: str = ""

    def missing_packages(self) -> list[str]:
        """Those that are not installed."""
        return [name for name in self.packages if find_spec(name) is None]

    def missing_checkpoints(self) -> list[Checkpoint | GatedFolder]:
        """Those that are not in the cache."""
        return [known for known in self.checkpoints if not known.is_cached()]

    def lacks(self) -> str:
        """What must be got before it labels; empty where it can at once."""
        parts = []
        if packages := self.missing_packages():
            parts.append(f"pip install 'interior-surfaces[autolabel]' ({', '.join(packages)})")
        if size := sum(known.size for known in self.missing_checkpoints()):
            asked = f", with access from {self.access}" if self.access else ""
            parts.append(f"a download of {size / _GIGABYTE:.2f} GB to {cache_folder()}{asked}")
        return "; ".join(parts)


_PACKAGES = ("torch", "torchvision", "transformers", "tokenizers", "segment_anything")
_GROUNDED = KnownTeacher(
    GROUNDED_SAM,
    "Grounding DINO finds, SAM draws: any class with a name",
    _PACKAGES,
    (GROUNDING_DINO["swint"], SAM["vit_b"], BERT_VOCABULARY),
    "Apache-2.0",
)
_GROUNDED2 = KnownTeacher(
    GROUNDED_SAM2,
    "the same with SAM 2.1",
    _PACKAGES,
    (GROUNDING_DINO["swint"], SAM2["tiny"], BERT_VOCABULARY),
    "Apache-2.0",
)
_CONCEPTS = KnownTeacher(
    CONCEPTS,
    "SAM 3 finds and draws: any class with a name",
    (*_PACKAGES, "huggingface_hub"),
    (SAM3,),
    f"{SAM3.licence}, gated",
    SAM3.page,
)

KNOWN_TEACHERS = (
    _GROUNDED,
    _GROUNDED2,
    _CONCEPTS,
    KnownTeacher(STUDENT, "the network that ships, or --weights FILE", licence="research, see MODEL_CARD.md"),
    KnownTeacher("onnx", "a semantic network: --weights FILE --class-map FILE", licence="the file's"),
)


def default_teacher(weights: Sequence[object] = (), before: str = "") -> str:
    """The name of the teacher of a run that names none: `grounded-sam` where it labels at once, else `student`.

    Args:
        weights: that the user names; they are those of `grounded-sam`.
        before: the teacher of the dataset's earlier runs, as the store names it; a known one goes on.
    """
    if (name := before.partition(" ")[0]) in (GROUNDED_SAM, GROUNDED_SAM2, CONCEPTS, STUDENT):
        return name
    return GROUNDED_SAM if weights or not _GROUNDED.lacks() else STUDENT


def better_teacher_note(name: str) -> str:
    """A line about what labels more than the default that was taken; empty where nothing does."""
    if name == GROUNDED_SAM:
        return ""
    return f"teacher: {name}, which works here at once; `--teacher {GROUNDED_SAM}` needs {_GROUNDED.lacks()}"
