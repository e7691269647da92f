"""Loading of checkpoints: bundled ones, local folders, and models on the Hugging Face Hub.

A checkpoint is a self-contained folder:

    config.json                        DWCConfig, including the caption template
    model.safetensors, or shards       weights of both streams and the frozen CLIP model
      and model.safetensors.index.json
    processor_config.json              settings of image preprocessing
    clip_tokenizer/ word_tokenizer/    one vocabulary for each stream that the model has

Nothing in a checkpoint is executed: weights are safetensors, and no file can choose which class is
loaded.
"""

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dwc.checkpoints.hub import (
    fetch_file,
    fetch_files,
    find_commit,
    load_cached_digest,
    save_cached_digest,
)
from dwc.checkpoints.safetensors_files import Weights, weight_files
from dwc.checkpoints.validate import (
    CONFIG,
    CONVERT,
    check_agreement,
    read_json,
    refuse_byte_order_marks,
    require_checkpoint,
    require_clip_tokenizer,
)
from dwc.errors import CheckpointError
from dwc.files import asset_path, file_digest, refuse_lfs_pointer
from dwc.memory import collector_paused
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import WORD_NEIGHBORS, DWCProcessor

logger = logging.getLogger(__name__)

BUNDLED = "dwc-catalogue"
"""Name of the default bundled checkpoint."""

ALL_BUNDLED = (BUNDLED, "progressive-catalogue")
"""Names of all bundled checkpoints, which are also the names of their folders."""

BUNDLED_FOLDER = asset_path("checkpoints", BUNDLED)

DRAWINGS_FOLDER = asset_path("checkpoints", "drawings-catalogue")
"""Folder of the checkpoint trained on drawings alone, from which the default one was trained."""

REFERENCE_WEIGHTS = "reference_weights.json"
"""File with a checkpoint's image weights for the reference queries, a fixed set of queries.

The file does not influence the checkpoint's fingerprint.
"""

EVALUATION = "evaluation.json"
"""File with what was measured with a checkpoint, not part of the checkpoint's fingerprint."""

GALLERY_VECTORS = "gallery.safetensors"
"""File with the vectors of the default gallery, not part of the checkpoint's fingerprint."""

_COMPANIONS = (REFERENCE_WEIGHTS, GALLERY_VECTORS, WORD_NEIGHBORS)
# Paths of a checkpoint's files, which are downloaded and determine its fingerprint.
_PARTS = re.compile(
    r"(config|processor_config|model\.safetensors\.index)\.json|model[^/]*\.safetensors|"
    r"(clip|word)_tokenizer/[^/]+\.(json|txt)"
)
_OLD_SETTINGS = "preprocessor_config.json"  # where older versions of transformers keep them
_SHA256_DIGITS = 64  # the Hub lists another, shorter hash for small files
_CONTENT_RULES = "3"  # version of what `fingerprint` hashes and of what `load` checks
_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
# Fields that the fingerprint ignores, since no vector depends on them: two fields that only
# transformers reads, and the option to rephrase typed texts before the model encodes them.
_UNREAD_FIELDS = ("transformers_version", "_name_or_path", "rephrase_exclusions")


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model with its processor, its fingerprint and its source.

    Attributes:
        model: The model in eval mode.
        processor: The processor that converts images and texts to the model's inputs.
        fingerprint: 12 hex digits that identify the content of weights, config, preprocessing and
            vocabularies; they are the same on every computer.
        name: The name or path that was given to `load`.
        revision: The hash of the commit on the Hub; None for a local folder.
        folder: The folder with the checkpoint's files; None if there is no such folder.
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
    """Load a checkpoint with its model in eval mode and float32.

    Args:
        name_or_path: The name of a bundled checkpoint, a folder, or a repository on the Hub, with
            or without a revision (`owner/name@revision`); None for the default bundled checkpoint.
        revision: Branch, tag or commit of a Hub repository.
        token: Access token for the Hub; None for the client's default.
        clip_tokenizer_optional: Whether to accept a checkpoint that lacks only CLIP's tokenizer.

    Raises:
        CheckpointError: The checkpoint does not exist, belongs to another project, is incomplete or
            is inconsistent. The message says what is wrong.
    """
    location = _locate(name_or_path, revision, token)
    folder, name = location.folder, location.name
    for file in (*content(folder), folder / REFERENCE_WEIGHTS):
        refuse_lfs_pointer(file, CheckpointError)
    refuse_byte_order_marks(content(folder), name)
    key = _content_key(location)
    known_fingerprint = key and load_cached_digest(folder, key)
    with (
        collector_paused(),
        Weights(folder, known_finite=bool(known_fingerprint)) as weights,
    ):
        processor = DWCProcessor.from_pretrained(folder)
        model = DWCModel.from_pretrained(folder, weights=weights)
    if not clip_tokenizer_optional:
        require_clip_tokenizer(model.config, processor, name)
    check_agreement(model, processor, name)
    _warn_of_unread_settings(folder, processor)
    if not known_fingerprint:
        known_fingerprint = fingerprint(folder, location.hashes)
        if key:
            save_cached_digest(folder, key, known_fingerprint)
    _warn_of_other_content(folder, known_fingerprint)
    return Checkpoint(model, processor, known_fingerprint, name, location.revision, folder)


def _warn_of_unread_settings(folder: Path, processor: DWCProcessor) -> None:
    """Log a warning if a folder's `preprocessor_config.json` differs from the settings in use.

    Older versions of transformers wrote this file. It is not read; `processor_config.json` is used.
    """
    file = folder / _OLD_SETTINGS
    if not file.is_file():
        return
    used, old = json.loads(processor.image_processor.to_json_string()), read_json(file)
    differing = sorted(name for name in old.keys() & used.keys() if old[name] != used[name])
    if differing:
        logger.warning(
            "%s is not read, although its %s differ: pictures are read as processor_config.json "
            "says. Remove the file, or correct processor_config.json.",
            file,
            ", ".join(differing[:5]),
        )


def _warn_of_other_content(folder: Path, fingerprint: str) -> None:
    """Log a warning if a checkpoint was evaluated with other weights, settings or vocabularies.

    The warning reveals files that were edited or copied in part but are valid in themselves, such
    as a vocabulary whose words are in another order.

    Args:
        folder: The folder of the checkpoint, which may have the results of an evaluation.
        fingerprint: The fingerprint of the checkpoint's present content.
    """
    file = folder / EVALUATION
    try:
        measured = read_json(file).get("fingerprint")
    except (OSError, CheckpointError):
        return  # the checkpoint does not need the file
    if measured is not None and measured != fingerprint:
        logger.warning(
            "%s was measured with other content (fingerprint %s) than the checkpoint beside it has "
            "now (%s). If you have not changed the checkpoint, one of its files was edited or "
            "copied in part: fetch it again.",
            file,
            measured,
            fingerprint,
        )


def fingerprint(folder: str | Path, hashes: Mapping[str, str] | None = None) -> str:
    """Return 12 hex digits that identify a checkpoint's content.

    The digits depend on every byte of the weights, but only on the values in JSON files. Line ends
    and fields that no embedding depends on, such as the version of transformers, are ignored.

    Args:
        folder: The checkpoint's folder.
        hashes: The known hashes of files in hex digits, by the files' paths; None if no hash is
            known. A file whose SHA-256 is known is not hashed again. This saves half a second for
            the weights of the paper's model.
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
    """Return whether a path in a checkpoint's folder is that of a checkpoint file, by its name."""
    return _PARTS.fullmatch(path) is not None


def content(folder: Path) -> list[Path]:
    """Return the files of the checkpoint in a folder, in a fixed order.

    Weight files that are not read, such as shards that the index does not name, are left out.

    Raises:
        CheckpointError: The index of the weights cannot be read, or names a file outside the
            folder.
    """
    read = set(weight_files(folder))
    return [file for file in parts(folder) if file.suffix != ".safetensors" or file in read]


def parts(folder: Path) -> list[Path]:
    """Return all files in a folder that have the name of a checkpoint file, in a fixed order.

    Weight files that `load` would not read are included; `content` leaves them out.
    """
    files = [*folder.glob("*"), *folder.glob("*/*")]
    return sorted(
        file for file in files if is_part(file.relative_to(folder).as_posix()) and file.is_file()
    )


def is_companion(path: str) -> bool:
    """Return whether a path in a checkpoint's folder is the path of a companion file.

    Companion files are computed from the weights or the vocabulary and stored in the same folder.
    Embeddings do not depend on them, so they are not part of the checkpoint.
    """
    return path in _COMPANIONS


def companions(folder: Path) -> list[Path]:
    """Return the paths of the companion files that exist in a checkpoint's folder.

    Companions are files that were computed from the weights or the vocabulary and are stored in
    the same folder, but are not part of the checkpoint. They become outdated if the weights or the
    vocabulary change.
    """
    return [folder / name for name in _COMPANIONS if (folder / name).is_file()]


class _Location(NamedTuple):
    """The local folder of a checkpoint.

    Attributes:
        folder: The folder with the checkpoint's files.
        name: The name or path by which the checkpoint was requested.
        revision: The commit's hash for a Hub repository; None for a local folder.
        hashes: The hash of each file on the Hub, by the file's path; "" if the hash is unknown. The
            files' content was verified with these hashes. None for a local folder.
    """

    folder: Path
    name: str
    revision: str | None = None
    hashes: Mapping[str, str] | None = None


def _locate(name_or_path: str | Path | None, revision: str | None, token: str | None) -> _Location:
    """Return the local folder of a checkpoint; download the checkpoint if it is on the Hub.

    Raises:
        CheckpointError: There is no such checkpoint, or it is incomplete.
    """
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
    """Download those files of a Hub checkpoint that are not in the cache; return its location."""
    commit = find_commit(repo, revision, token)
    # The config is checked first, so that the large weights of another model are not downloaded.
    require_checkpoint(commit.files, lambda: fetch_file(commit, CONFIG), commit.where)
    folder = fetch_files(
        commit, (path for path in commit.files if is_part(path) or is_companion(path))
    )
    return _Location(folder, repo, folder.name, commit.files)


def _content_key(location: _Location) -> str | None:
    """Return the key under which the fingerprint of a downloaded checkpoint is stored in the cache.

    A fingerprint is stored only after a checkpoint was loaded completely. If one is stored, the
    next load can skip two slow steps: the scan of the weights for NaN, and the computation of the
    fingerprint.

    Returns:
        The key; None for a local folder, or if the hash of a file is unknown.
    """
    paths = [file.relative_to(location.folder).as_posix() for file in content(location.folder)]
    if location.hashes is None or not all(map(location.hashes.get, paths)):
        return None
    listing = [_CONTENT_RULES, *(f"{location.hashes[path]} {path}" for path in paths)]
    return hashlib.sha256("\n".join(listing).encode()).hexdigest()


def _recognize(folder: Path, name: str) -> _Location:
    """Check that a local folder has a complete checkpoint, and return the checkpoint's location.

    Args:
        folder: The folder.
        name: The name or path by which the checkpoint was requested.

    Raises:
        CheckpointError: The folder has no checkpoint, or only a part of one.
    """
    files = [*folder.glob("*"), *folder.glob("*/*")]
    names = [file.relative_to(folder).as_posix() for file in files]
    require_checkpoint(names, lambda: folder / CONFIG, name)
    return _Location(folder, name)
