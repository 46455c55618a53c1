"""Checkpoints of the Hugging Face hub and in folders: their files, the hashes of these, and the licence.

The files of a repository are kept in `CACHE/huggingface/ORG--NAME/COMMIT`. `record.json` beside these folders says
which commit a branch was at the first download, and the SHA-256 of each file: from then on nothing else is used, and
no request is made.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from models.weights.download import DownloadError
from models.weights.official import cache_folder
from models.weights.registry import sha256_of
from surfaces.cli.settings_files import SettingsError
from surfaces.errors import OutputError, WeightsError
from surfaces.io.atomic_files import replace_file
from surfaces.io.http import first_cause

UNKNOWN_LICENCE = "unknown"

_MAIN = "main"
_CONNECT_S = 10.0
_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
_CONFIG = "config.json"
_SETTINGS = frozenset(
    {
        _CONFIG,
        "model.safetensors.index.json",
        "preprocessor_config.json",
        "processor_config.json",
        # The tokenizer's, of OneFormer.
        "added_tokens.json",
        "merges.txt",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
    }
)


@dataclass(frozen=True)
class CheckpointFolder:
    """The files of a checkpoint in transformers' format.

    Attributes:
        path: their folder.
        name: of the repository or the folder.
        sha256: over names and content of all files that are used, hexadecimal.
        licence: as its model card names it, or `unknown`.
        commit: of the repository; empty for a user's own folder.
    """

    path: Path
    name: str
    sha256: str
    licence: str = UNKNOWN_LICENCE
    commit: str = ""


def is_folder(name: str) -> bool:
    """Whether a name is that of a folder: it starts with a dot, or is absolute."""
    return name.startswith(".") or Path(name).is_absolute()


def split_revision(name: str) -> tuple[str, str | None]:
    """The parts of `NAME@REVISION`; folders, and names without the second part, have None."""
    repository, _, revision = name.partition("@")
    return (name, None) if is_folder(name) or not revision else (repository, revision)


def find_checkpoint(name: str, revision: str | None = None, cache: Path | None = None) -> CheckpointFolder:
    """The files of a checkpoint: those of a folder, else the recorded ones in the cache, else downloaded.

    $HF_ENDPOINT names another hub, $HF_TOKEN opens repositories that need one.

    Args:
        name: a folder (`is_folder`), or a model repository, `ORG/NAME`.
        revision: of the repository: a branch, a tag or a commit; None: its main branch.
        cache: `cache_folder()` where None.

    Raises:
        SettingsError: `name` is neither a folder's nor a repository's, or a folder has a revision.
        DownloadError: the hub can't be reached or refuses, or the repository lacks the files.
        WeightsError: a file is missing or has other bytes than recorded.
    """
    if is_folder(name):
        if revision:
            raise SettingsError(f"expected no revision of the folder {name}, got {revision!r}")
        return _own_folder(Path(name))
    if not _NAME.fullmatch(name):
        raise SettingsError(f"expected a model of the hub such as ORG/NAME, or a folder such as ./NAME, got {name!r}")
    repository = _Repository(name, (cache or cache_folder()) / "huggingface" / name.replace("/", "--"))
    return repository.checkpoint(revision or _MAIN)


def is_cached(name: str, revision: str | None = None, cache: Path | None = None) -> bool:
    """Whether a repository's revision was downloaded before."""
    folder = (cache or cache_folder()) / "huggingface" / name.replace("/", "--")
    return _Repository(name, folder).read().find(revision or _MAIN) is not None


class _Files(BaseModel):
    """What was downloaded from one commit."""

    model_config = ConfigDict(strict=True)

    licence: str
    sha256: dict[str, str]


class _Record(BaseModel):
    """The content of `record.json`: commits by the names of revisions, files by commits."""

    model_config = ConfigDict(strict=True)

    revisions: dict[str, str] = {}
    commits: dict[str, _Files] = {}

    def find(self, revision: str) -> tuple[str, _Files] | None:
        """The commit of a revision, and its files."""
        commit = self.revisions.get(revision, revision)
        return (commit, self.commits[commit]) if commit in self.commits else None


@dataclass(frozen=True)
class _Repository:
    name: str
    folder: Path

    @property
    def _record_path(self) -> Path:
        return self.folder / "record.json"

    def read(self) -> _Record:
        if not self._record_path.exists():
            return _Record()
        try:
            return _Record.model_validate_json(self._record_path.read_bytes())
        except (OSError, ValidationError) as error:
            raise WeightsError(
                f"expected the record of {self.name} in {self._record_path}, it is damaged: remove {self.folder}"
            ) from error

    def checkpoint(self, revision: str) -> CheckpointFolder:
        found = self.read().find(revision)
        if found is None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with FileLock(self.folder / ".lock"):  # of several processes one downloads
                    found = self.read().find(revision) or self._download(revision)
            except OSError as error:
                raise OutputError(f"could not write {self.folder}: {error.strerror or error}") from error
        commit, files = found
        self._check(commit, files)
        return CheckpointFolder(self.folder / commit, self.name, _digest(files.sha256), files.licence, commit)

    def _download(self, revision: str) -> tuple[str, _Files]:
        from huggingface_hub import HfApi, hf_hub_download  # only a download needs the package

        endpoint = os.environ.get("HF_ENDPOINT") or None
        try:
            found = HfApi(endpoint).model_info(self.name, revision=revision, timeout=_CONNECT_S, files_metadata=True)
            commit, published = _published_files(self.name, revision, found)
            size = sum(file.size or 0 for file in published)
            print(f"downloading {self.name} at {commit[:7]} ({size / 1e6:.0f} MB)", file=sys.stderr)
            for file in published:
                target = self.folder / commit
                hf_hub_download(self.name, file.rfilename, revision=commit, local_dir=target, endpoint=endpoint)
        except WeightsError:
            raise
        except Exception as error:  # the client's errors are those of an HTTP library that its versions exchange
            raise DownloadError(_explained(self.name, revision, error)) from error
        sha256 = {file.rfilename: sha256_of(self.folder / commit / file.rfilename) for file in published}
        for file in published:
            if file.lfs is not None and file.lfs.sha256 != sha256[file.rfilename]:
                (self.folder / commit / file.rfilename).unlink()
                raise DownloadError(f"expected {file.rfilename} of {self.name} as the hub lists it, got other bytes")
        files = _Files(licence=_licence(found), sha256=sha256)
        record = self.read()
        record.revisions[revision] = commit
        record.commits[commit] = files
        replace_file(self._record_path, record.model_dump_json(indent=1).encode())
        return commit, files

    def _check(self, commit: str, files: _Files) -> None:
        for name, recorded in files.sha256.items():
            path = self.folder / commit / name
            found = sha256_of(path)
            if found != recorded:
                raise WeightsError(
                    f"expected sha256 {recorded[:12]}… of {path} as at its first download, got {found[:12]}…: "
                    f"remove {self.folder} to download it again"
                )


def _published_files(name: str, revision: str, found: Any) -> tuple[str, list[Any]]:
    """The commit, and the files that are needed; never pickled ones."""
    commit = str(found.sha)
    if not _COMMIT.fullmatch(commit):
        raise DownloadError(f"expected a commit of {name} from the hub, got {commit!r}")
    siblings = found.siblings or []
    needed = [file for file in siblings if file.rfilename in _SETTINGS or _WEIGHTS.fullmatch(file.rfilename)]
    names = [file.rfilename for file in needed]
    if _CONFIG not in names:
        raise DownloadError(f"expected {_CONFIG} in {name}@{revision}: it is no checkpoint of transformers")
    if not any(map(_WEIGHTS.fullmatch, names)):
        others = [file.rfilename for file in siblings if file.rfilename.endswith((".bin", ".h5", ".pth", ".ckpt"))]
        raise DownloadError(
            f"expected model.safetensors in {name}@{revision}, got {', '.join(others) or 'no weights'}; "
            f"a pull request there may have it: {name}@refs/pr/NUMBER"
        )
    return commit, needed


def _licence(found: Any) -> str:
    card: Mapping[str, Any] = found.card_data or {}
    licence = card.get("license_name") or card.get("license")
    return str(licence) if licence else UNKNOWN_LICENCE


def _explained(name: str, revision: str, error: Exception) -> str:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return f"{name} wants its conditions accepted on its page at the hub, and a token in $HF_TOKEN"
    if isinstance(error, RepositoryNotFoundError):
        return f"expected a model {name} at the hub, there is none, or it is private and needs a token in $HF_TOKEN"
    if isinstance(error, RevisionNotFoundError):
        return f"expected a branch, tag or commit of {name}, got {revision!r}"
    reason = first_cause(error).splitlines()[0].rstrip(".")
    return f"{name} could not be downloaded: {reason}; a machine with a network can download it, see docs/teachers.md"


def _own_folder(path: Path) -> CheckpointFolder:
    if not (path / _CONFIG).is_file():
        raise WeightsError(f"expected a folder with {_CONFIG} and model.safetensors, got {path}")
    names = sorted(file.name for file in path.iterdir() if file.name in _SETTINGS or _WEIGHTS.fullmatch(file.name))
    return CheckpointFolder(path, path.resolve().name, _digest({name: sha256_of(path / name) for name in names}))


def _digest(sha256: Mapping[str, str]) -> str:
    lines = "".join(f"{name} {value}\n" for name, value in sorted(sha256.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
