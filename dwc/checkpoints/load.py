"""Load checkpoints: bundled ones, local folders, and models on the Hub.

A checkpoint is a self-contained folder:

    config.json                        DWCConfig, caption template included
    model.safetensors, or shards       both streams and the frozen CLIP
      and model.safetensors.index.json
    processor_config.json              preprocessing of images
    clip_tokenizer/ word_tokenizer/    vocabularies, where the model has the stream

Nothing in a checkpoint is executed: weights are safetensors, and no file names a class to load.
"""

import gc
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dwc.checkpoints.digest_cache import load_cached_digest, save_cached_digest
from dwc.checkpoints.hub_download import fetch_file, fetch_files, find_commit
from dwc.checkpoints.safetensors_files import Weights
from dwc.checkpoints.validate import (
    CONFIG,
    CONVERT,
    check_agreement,
    read_json,
    require_checkpoint,
    require_clip_tokenizer,
)
from dwc.errors import CheckpointError
from dwc.files import asset_path, file_digest
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor

BUNDLED = "dwc-catalogue"
"""Name of the default bundled checkpoint."""

ALL_BUNDLED = (BUNDLED, "progressive-catalogue")
"""Names of all bundled checkpoints, in sibling folders."""

BUNDLED_FOLDER = asset_path("checkpoints", BUNDLED)

REFERENCE_WEIGHTS = "reference_weights.json"
"""Weights that a checkpoint gave to reference queries; stored with it, not in its fingerprint."""

_COMPANIONS = (REFERENCE_WEIGHTS,)
# The files of a checkpoint: those that are fetched and that count in its fingerprint.
_PARTS = re.compile(
    r"(config|processor_config|model\.safetensors\.index)\.json|model[^/]*\.safetensors|"
    r"(clip|word)_tokenizer/[^/]+\.(json|txt)"
)
_SHA256_DIGITS = 64  # the Hub names small files by another hash
_CONTENT_RULES = "2"  # version of what `fingerprint` reads and `load` checks
_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_STATISTICS = "familiarity."  # an inverse covariance exceeds float16's range
# Written by the library and not read by the model, so they may differ.
_UNREAD_FIELDS = ("transformers_version", "_name_or_path")


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model with its processor and identity.

    Attributes:
        model: The model in eval mode.
        processor: The processor that makes the model's inputs.
        fingerprint: 12 hex digits of the content of weights, config, preprocessing and
            vocabularies; the same on every machine.
        name: The requested name.
        revision: The Hub's commit; None for a folder.
        folder: The folder of its files; None if it is not on disk.
    """

    model: DWCModel
    processor: DWCProcessor
    fingerprint: str
    name: str
    revision: str | None = None
    folder: Path | None = None


def load(
    name_or_path: str | Path | None = None,
    revision: str | None = None,
    token: str | None = None,
    clip_tokenizer_optional: bool = False,
) -> Checkpoint:
    """Load a checkpoint, in eval mode and float32.

    Args:
        name_or_path: A bundled checkpoint's name, a folder, or a Hub name, which may carry its
            revision (`owner/name@revision`); None for the default bundled one.
        revision: Branch, tag or commit of a Hub name.
        token: Token for the Hub.
        clip_tokenizer_optional: Also accept a checkpoint that lacks only CLIP's tokenizer.

    Raises:
        CheckpointError: There is no such checkpoint, or it is of another project, incomplete, or
            inconsistent; the message says which.
    """
    location = _locate(name_or_path, revision, token)
    folder, name = location.folder, location.name
    key = _content_key(location)
    known_fingerprint = key and load_cached_digest(folder, key)
    with _without_collections():
        weights = Weights(folder, known_finite=bool(known_fingerprint))
        processor = DWCProcessor.from_pretrained(folder)
        model = DWCModel.from_pretrained(folder, weights=weights)
    if not clip_tokenizer_optional:
        require_clip_tokenizer(model.config, processor, name)
    check_agreement(model, processor, name)
    if not known_fingerprint:
        known_fingerprint = fingerprint(folder, location.hashes)
        if key:
            save_cached_digest(folder, key, known_fingerprint)
    return Checkpoint(model, processor, known_fingerprint, name, location.revision, folder)


def fingerprint(folder: str | Path, hashes: Mapping[str, str] | None = None) -> str:
    """Return 12 hex digits that identify a checkpoint's content.

    Weights count byte by byte, JSON files by their values, so that line ends and the version of the
    library that wrote them do not matter.

    Args:
        folder: The checkpoint's folder.
        hashes: Known hashes of files by path, in hex digits. A SHA-256 saves reading the weights
            again, half a second for a paper's model.
    """
    folder = Path(folder)
    digest = hashlib.sha256()
    for file in content(folder):
        path = file.relative_to(folder).as_posix()
        digest.update(path.encode() + b"\0")
        if file.suffix == ".json":
            values = {
                field: value
                for field, value in read_json(file).items()
                if field not in _UNREAD_FIELDS
            }
            digest.update(json.dumps(values, sort_keys=True).encode())
        elif hashes is not None and len(hashes.get(path, "")) == _SHA256_DIGITS:
            digest.update(bytes.fromhex(hashes[path]))
        else:
            digest.update(bytes.fromhex(file_digest(file)))
    return digest.hexdigest()[:12]


def is_part(path: str) -> bool:
    """Return whether a path, relative to its folder, belongs to a checkpoint."""
    return _PARTS.fullmatch(path) is not None


def content(folder: Path) -> list[Path]:
    """Return the files of a folder that belong to its checkpoint, in a fixed order."""
    files = [*folder.glob("*"), *folder.glob("*/*")]
    return sorted(
        file for file in files if is_part(file.relative_to(folder).as_posix()) and file.is_file()
    )


def is_companion(path: str) -> bool:
    """Return whether a path is stored with a checkpoint without being part of it."""
    return path in _COMPANIONS


def companions(folder: Path) -> list[Path]:
    """Return the files stored with a checkpoint; they are outdated if the weights change."""
    return [folder / name for name in _COMPANIONS if (folder / name).is_file()]


class _Location(NamedTuple):
    """A located checkpoint.

    Attributes:
        folder: The folder of its files.
        name: Its name.
        revision: The commit, for a Hub model.
        hashes: The Hub's hashes by path, with which the files were compared; an empty hash where
            none is known, None for a folder.
    """

    folder: Path
    name: str
    revision: str | None = None
    hashes: Mapping[str, str] | None = None


def _locate(name_or_path: str | Path | None, revision: str | None, token: str | None) -> _Location:
    """Locate a checkpoint, and download it if it is on the Hub."""
    name = BUNDLED if name_or_path is None else str(name_or_path)
    if name in ALL_BUNDLED:
        bundled = BUNDLED_FOLDER if name == BUNDLED else BUNDLED_FOLDER.with_name(name)
        if not bundled.is_dir():
            raise CheckpointError(
                f"the bundled checkpoint is not at {bundled}. Make it (make checkpoint), or "
                "name another: a folder, or a model of the Hub"
            )
        return _recognize(bundled, name)
    path = Path(name).expanduser()
    if name and path.is_dir():
        if revision is not None:
            raise CheckpointError(
                f"{name} is a folder, which has no revision {revision!r}; leave the revision out"
            )
        return _recognize(path, name)
    if path.is_file():
        raise CheckpointError(
            f"{name} is a file; a checkpoint is a folder. Give the folder, or convert the authors' "
            f"weights: {CONVERT}"
        )
    repo, _, named_revision = name.partition("@")
    if not _HUB_NAME.fullmatch(repo):
        raise CheckpointError(
            f"there is no folder {name!r}; give a checkpoint's folder or a Hub name"
        )
    if named_revision and revision not in (None, named_revision):
        raise CheckpointError(
            f"{name} names one revision, and {revision!r} was requested as well; give one"
        )
    return _download(repo, named_revision or revision, token)


def _download(repo: str, revision: str | None, token: str | None) -> _Location:
    """Fetch a checkpoint's files, or find them in the cache."""
    commit = find_commit(repo, revision, token)
    # The config is checked first, since a model of another kind may be large.
    require_checkpoint(commit.files, lambda: fetch_file(commit, CONFIG), commit.where)
    folder = fetch_files(
        commit, (path for path in commit.files if is_part(path) or is_companion(path))
    )
    return _Location(folder, repo, folder.name, commit.files)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Pause the garbage collector.

    A vocabulary of CLIP's size is read into 100,000 short-lived objects. With so many new objects
    the collector scans all existing ones repeatedly, which takes longer than loading the model.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _content_key(location: _Location) -> str | None:
    """The key under which the fingerprint of cached files is stored; None for other files.

    Only a checkpoint that was loaded completely gets an entry. The next load then skips the slow
    checks:
    scanning the weights for NaN, and hashing vocabularies of CLIP's size in a fixed order.
    """
    paths = [file.relative_to(location.folder).as_posix() for file in content(location.folder)]
    if location.hashes is None or not all(map(location.hashes.get, paths)):
        return None
    listing = [_CONTENT_RULES, *(f"{location.hashes[path]} {path}" for path in paths)]
    return hashlib.sha256("\n".join(listing).encode()).hexdigest()


def _recognize(folder: Path, name: str) -> _Location:
    """Return the location of a folder; raise `CheckpointError` if it is no checkpoint."""
    files = [*folder.glob("*"), *folder.glob("*/*")]
    names = [file.relative_to(folder).as_posix() for file in files]
    require_checkpoint(names, lambda: folder / CONFIG, name)
    return _Location(folder, name)
