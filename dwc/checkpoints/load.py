"""Checkpoints on disk and on the Hub: found, checked, loaded, written.

A checkpoint is a folder, whole in itself:

    config.json                        DWCConfig, caption template included
    model.safetensors, or shards       both streams and the frozen CLIP
      and model.safetensors.index.json
    processor_config.json              preprocessing of pictures
    clip_tokenizer/ word_tokenizer/    vocabularies, where the model has the stream

Nothing in a checkpoint is ever run: weights are safetensors, and no file names a class to load.
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
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor

BUNDLED = "dwc-catalogue"
"""The name of the checkpoint that comes with this package, and answers unless another is named."""

ALL_BUNDLED = (BUNDLED, "progressive-catalogue")
"""The names of all that come with it, in folders side by side."""

BUNDLED_FOLDER = Path(__file__).resolve().parents[2] / "assets" / "checkpoints" / BUNDLED

REFERENCE_WEIGHTS = "reference_weights.json"
"""What weights this checkpoint gave to a set of queries: kept with it, and in no fingerprint."""

_COMPANIONS = (REFERENCE_WEIGHTS,)
# All that a checkpoint is made of, and all that is fetched or counts in its fingerprint.
_PARTS = re.compile(
    r"(config|processor_config|model\.safetensors\.index)\.json|model[^/]*\.safetensors|"
    r"(clip|word)_tokenizer/[^/]+\.(json|txt)"
)
_SHA256_DIGITS = 64  # the Hub names small files by another hash
_CONTENT_RULES = "2"  # how `fingerprint` reads files, and `load` checks them; others, count on
_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_STATISTICS = "familiarity."  # an inverse covariance outruns float16's range
# Written by the library, not read by the model: the same checkpoint may differ in these.
_UNREAD_FIELDS = ("transformers_version", "_name_or_path")


@dataclass(frozen=True)
class Checkpoint:
    """A model ready to answer, with what it reads and how it is told from others.

    `fingerprint` is 12 hex digits of the content of weights, config, preprocessing and
    vocabularies: the same on every machine. `name` is what was asked for; `revision` is the Hub's
    commit, None for a folder. `folder` is where its files lie, None for one that is not on disk.
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
    """Load a checkpoint: the bundled one (None or its name), a folder, or a model of the Hub.

    A Hub name may carry its revision: `owner/name@revision`. The model comes in eval mode, float32.
    With `clip_tokenizer_optional`, one that lacks nothing but CLIP's tokenizer is loaded as well.

    Raises CheckpointError where there is no such checkpoint, where it is not one of this project,
    not whole, or at odds with itself; the message says which.
    """
    found = _find(name_or_path, revision, token)
    folder, name = found.folder, found.name
    key = _content_key(found)
    told = key and load_cached_digest(folder, key)
    with _without_collections():
        weights = Weights(folder, known_finite=bool(told))
        processor = DWCProcessor.from_pretrained(folder)
        model = DWCModel.from_pretrained(folder, weights=weights)
    if not clip_tokenizer_optional:
        require_clip_tokenizer(model.config, processor, name)
    check_agreement(model, processor, name)
    if not told:
        told = fingerprint(folder, found.hashes)
        if key:
            save_cached_digest(folder, key, told)
    return Checkpoint(model, processor, told, name, found.revision, folder)


def fingerprint(folder: str | Path, hashes: Mapping[str, str] | None = None) -> str:
    """12 hex digits that tell this checkpoint's content from any other's.

    Weights count byte by byte, JSON files by their values, so that line ends and the version of
    the library that wrote them do not. `hashes` are those of files' content, in hex digits by path,
    where they are known; a SHA-256 saves reading the weights again, half a second for a paper's.
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
            digest.update(_hash_file(file))
    return digest.hexdigest()[:12]


def is_part(path: str) -> bool:
    """Whether a file of this path, relative to its folder, belongs to a checkpoint."""
    return _PARTS.fullmatch(path) is not None


def content(folder: Path) -> list[Path]:
    """The files of a folder that belong to its checkpoint, in a fixed order."""
    files = [*folder.glob("*"), *folder.glob("*/*")]
    return sorted(
        file for file in files if is_part(file.relative_to(folder).as_posix()) and file.is_file()
    )


def is_companion(path: str) -> bool:
    """Whether a file of this path is kept with a checkpoint, though it is no part of it."""
    return path in _COMPANIONS


def companions(folder: Path) -> list[Path]:
    """The files that are kept with a folder's checkpoint; other weights make them outdated."""
    return [folder / name for name in _COMPANIONS if (folder / name).is_file()]


class _Found(NamedTuple):
    """The folder that holds a checkpoint, its name, and the commit if it is the Hub's.

    `hashes` are the Hub's, by path: the files' content was compared with them, and not touched
    since. Empty for a file of which none is known, and None for a folder.
    """

    folder: Path
    name: str
    revision: str | None = None
    hashes: Mapping[str, str] | None = None


def _find(name_or_path: str | Path | None, revision: str | None, token: str | None) -> _Found:
    name = BUNDLED if name_or_path is None else str(name_or_path)
    if name in ALL_BUNDLED:
        bundled = BUNDLED_FOLDER if name == BUNDLED else BUNDLED_FOLDER.with_name(name)
        if not bundled.is_dir():
            raise CheckpointError(
                f"the bundled checkpoint is not at {bundled}. Make it (make checkpoint), or "
                "name another: a folder, or a model of the Hub"
            )
        return _recognised(bundled, name)
    path = Path(name).expanduser()
    if name and path.is_dir():
        if revision is not None:
            raise CheckpointError(
                f"{name} is a folder, which has no revision {revision!r}; leave the revision out"
            )
        return _recognised(path, name)
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
            f"{name} names one revision, and {revision!r} is asked for as well; give one"
        )
    return _download(repo, named_revision or revision, token)


def _download(repo: str, revision: str | None, token: str | None) -> _Found:
    """Fetch a checkpoint's files, or find them in the cache."""
    commit = find_commit(repo, revision, token)
    # The config comes first: a model of another kind may be large, and is refused by it.
    require_checkpoint(commit.files, lambda: fetch_file(commit, CONFIG), commit.where)
    folder = fetch_files(
        commit, (path for path in commit.files if is_part(path) or is_companion(path))
    )
    return _Found(folder, repo, folder.name, commit.files)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Pause the collector of garbage.

    A vocabulary of CLIP's size is read into 100,000 objects that go as they came. So many new ones
    make the collector look through all there are, which takes longer than to load the model.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _content_key(found: _Found) -> str | None:
    """What the fingerprint of the cache's files is remembered under; None for other files.

    Only a checkpoint that was loaded whole is remembered, once for all: what takes long about it,
    to go through all weights for NaN, and to read a vocabulary of CLIP's size and write it out in a
    fixed order, is done when it is first loaded.
    """
    paths = [file.relative_to(found.folder).as_posix() for file in content(found.folder)]
    if found.hashes is None or not all(map(found.hashes.get, paths)):
        return None
    listing = [_CONTENT_RULES, *(f"{found.hashes[path]} {path}" for path in paths)]
    return hashlib.sha256("\n".join(listing).encode()).hexdigest()


def _recognised(folder: Path, name: str) -> _Found:
    """The folder, if it holds a checkpoint by the names of its files, and those in its folders."""
    files = [*folder.glob("*"), *folder.glob("*/*")]
    names = [file.relative_to(folder).as_posix() for file in files]
    require_checkpoint(names, lambda: folder / CONFIG, name)
    return _Found(folder, name)


def _hash_file(file: Path) -> bytes:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.digest()
