"""The teachers that have names: what each needs, and whether it can label on this machine at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from models.teachers.huggingface.hub import is_cached, split_revision
from models.weights.gated import SAM3, GatedFolder
from models.weights.official import BERT_VOCABULARY, GROUNDING_DINO, SAM, SAM2, Checkpoint, cache_folder

GROUNDED_SAM, GROUNDED_SAM2, CONCEPTS = "grounded-sam", "grounded-sam2", "sam3"
STUDENT, ONNX = "student", "onnx"
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
        repository: of the Hugging Face hub, from which its checkpoint is downloaded at its first use.
        revision: of the repository; empty: its main branch.
        size: bytes of that download.
    """

    name: str
    summary: str
    packages: tuple[str, ...] = ()
    checkpoints: tuple[Checkpoint | GatedFolder, ...] = ()
    licence: str = ""
    access: str = ""
    repository: str = ""
    revision: str = ""
    size: int = 0

    @property
    def download_size(self) -> int:
        """Bytes of all that is downloaded at its first use."""
        return self.size + sum(known.size for known in self.checkpoints)

    def missing_packages(self) -> list[str]:
        """Those that are not installed."""
        return [name for name in self.packages if find_spec(name) is None]

    def missing_size(self) -> int:
        """Bytes of that which are not in the cache."""
        if self.repository:
            return 0 if is_cached(self.repository, self.revision or None) else self.size
        return sum(known.size for known in self.checkpoints if not known.is_cached())

    def lacks(self) -> str:
        """What must be got before it labels; empty where it can at once."""
        parts = []
        if packages := self.missing_packages():
            parts.append(install_hint(packages))
        if size := self.missing_size():
            asked = f", with access from {self.access}" if self.access else ""
            parts.append(f"a download of {size / _GIGABYTE:.2f} GB to {cache_folder()}{asked}")
        return "; ".join(parts)


def _of_hub(name: str, megabytes: int, licence: str, summary: str) -> KnownTeacher:
    """A checkpoint of the Hugging Face hub; `name` may have a revision, as `split_revision` reads it."""
    repository, revision = split_revision(name)
    packages = ("torch", "torchvision", "transformers", "huggingface_hub")
    size = megabytes * 10**6
    return KnownTeacher(
        f"hf:{name}", summary, packages, licence=licence, repository=repository, revision=revision or "", size=size
    )


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
    KnownTeacher(ONNX, "a semantic network: --weights FILE --class-map FILE", licence="the file's"),
    # Sizes and licences are those that the repositories' pages at huggingface.co have shown; the files were not at hand
    # when this was written, so no hashes are known. "other": the page links to the terms. A revision of the form
    # refs/pr/N is the pull request that adds safetensors, where the main branch had a pickled file alone.
    _of_hub("facebook/mask2former-swin-large-ade-semantic", 866, "other", "Mask2Former, ADE20K: all three classes"),
    _of_hub("facebook/mask2former-swin-large-coco-panoptic@refs/pr/3", 866, "other", "Mask2Former, COCO: all three"),
    _of_hub("facebook/maskformer-swin-large-ade@refs/pr/3", 850, "other", "MaskFormer, ADE20K: all three classes"),
    _of_hub("nvidia/segformer-b0-finetuned-ade-512-512", 15, "other", "SegFormer, ADE20K: the smallest"),
    _of_hub("nvidia/segformer-b5-finetuned-ade-640-640@refs/pr/3", 339, "other", "SegFormer, ADE20K: the largest"),
    _of_hub("openmmlab/upernet-convnext-base", 489, "mit", "UperNet, ADE20K: all three classes"),
    _of_hub("shi-labs/oneformer_ade20k_swin_tiny@refs/pr/6", 205, "mit", "OneFormer, ADE20K: all three classes"),
)


def install_hint(packages: Sequence[str]) -> str:
    """The command that installs missing packages."""
    return f"pip install 'interior-surfaces[autolabel]' ({', '.join(packages)})"


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
