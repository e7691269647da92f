"""Checkpoints on disk and on the Hub: found, checked, loaded, written.

A checkpoint is a folder, whole in itself:

    config.json                        DWCConfig, caption template included
    model.safetensors, or shards       both streams and the frozen CLIP
      and model.safetensors.index.json
    processor_config.json              preprocessing of pictures
    clip_tokenizer/ word_tokenizer/    vocabularies, where the model has the stream

Nothing in a checkpoint is ever run: weights are safetensors, and no file names a class to load.
"""

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from dwc.errors import CheckpointError
from dwc.hub.fetching import fetch_file, fetch_files, find_commit
from dwc.modeling.configuration import FORMAT_VERSION, DWCConfig
from dwc.modeling.model import DWCModel
from dwc.processing import DWCProcessor

BUNDLED = "dwc-catalogue"
"""The name of the checkpoint that comes with this package."""

BUNDLED_FOLDER = Path(__file__).resolve().parent.parent / "assets" / "checkpoints" / BUNDLED

_CONFIG = "config.json"
_PROCESSOR = "processor_config.json"
_WEIGHTS = "model.safetensors"
_WEIGHTS_INDEX = "model.safetensors.index.json"
_PICKLES = (".pth", ".pt", ".ckpt", ".bin", ".pkl")
# All that a checkpoint is made of, and all that is fetched or counts in its fingerprint.
_PARTS = re.compile(
    r"(config|processor_config|model\.safetensors\.index)\.json|model[^/]*\.safetensors|"
    r"(clip|word)_tokenizer/[^/]+\.(json|txt)"
)
_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_CONVERT = (
    "python -m dwc convert --global-weights G --local-weights L --clip C --captions J --out DIR"
)
WITHOUT_CLIP_TOKENIZER = (
    "Its model composes from token ids, and its processor reads pictures and word ids; searching, "
    "the app and evaluation need the tokenizer as well, or CLIP would not hear the words. Add it "
    f"by converting again: {_CONVERT} --clip-tokenizer PATH (bpe_simple_vocab_16e6.txt.gz of "
    "openai/CLIP, or a transformers CLIP tokenizer's folder)"
)
"""What a checkpoint without CLIP's tokenizer is good for, and the cure."""

_STATISTICS = "familiarity."  # an inverse covariance outruns float16's range
# Written by the library, not read by the model: the same checkpoint may differ in these.
_UNREAD_FIELDS = ("transformers_version", "_name_or_path")


@dataclass(frozen=True)
class Checkpoint:
    """A model ready to answer, with what it reads and how it is told from others.

    `fingerprint` is 12 hex digits of the content of weights, config, preprocessing and
    vocabularies: the same on every machine. `name` is what was asked for; `revision` is the Hub's
    commit, None for a folder.
    """

    model: DWCModel
    processor: DWCProcessor
    fingerprint: str
    name: str
    revision: str | None = None


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
    folder, name, commit = _find(name_or_path, revision, token)
    _check_files([file.name for file in folder.iterdir()], lambda: folder / _CONFIG, name)
    with without_progress_bar():
        model = DWCModel.from_pretrained(folder)
    processor = DWCProcessor.from_pretrained(folder)
    if not clip_tokenizer_optional:
        _require_clip_tokenizer(model.config, processor, name)
    check_agreement(model, processor, name)
    return Checkpoint(model, processor, fingerprint(folder), name, commit)


def save(
    model: DWCModel,
    processor: DWCProcessor,
    folder: str | Path,
    dtype: torch.dtype = torch.float32,
    max_shard_mb: float = 9.5,
    clip_tokenizer_optional: bool = False,
) -> Path:
    """Write a whole checkpoint into a folder, over one that is there; return the folder.

    `dtype` is that of the weights on disk; they are loaded as float32 either way. Weights are split
    into files of at most `max_shard_mb` (millions of bytes), except that one tensor is never split.
    Everything is written beside the folder first and moved in last, so that an interrupted write
    leaves what was there. With `clip_tokenizer_optional`, a checkpoint that `load` refuses may be
    written: a whole one but for CLIP's tokenizer.

    Raises CheckpointError where model and processor disagree, or a weight does not fit `dtype`.
    """
    folder = Path(folder)
    if not clip_tokenizer_optional:
        _require_clip_tokenizer(model.config, processor, str(folder))
    check_agreement(model, processor, str(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as workplace:
        written = Path(workplace)
        with without_progress_bar():
            model.save_pretrained(
                written,
                state_dict=_cast(model.state_dict(), dtype),
                max_shard_size=int(max_shard_mb * 1_000_000),
            )
        processor.save_pretrained(written)
        move(written, folder)
    return folder


def move(written: Path, folder: Path) -> Path:
    """Move a checkpoint's files into a folder, in place of one that is there; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for outdated in content(folder):
        outdated.unlink()
    # Weights are written readable to their owner alone, and a server may be someone else.
    mode = (written / "config.json").stat().st_mode
    for file in content(written):
        file.chmod(mode)
        target = folder / file.relative_to(written)
        target.parent.mkdir(exist_ok=True)
        shutil.move(file, target)
    return folder


def fingerprint(folder: str | Path) -> str:
    """12 hex digits that tell this checkpoint's content from any other's.

    Weights count byte by byte, JSON files by their values, so that line ends and the version of
    the library that wrote them do not.
    """
    folder = Path(folder)
    digest = hashlib.sha256()
    for file in content(folder):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
        if file.suffix == ".json":
            values = {
                field: value
                for field, value in _read_json(file).items()
                if field not in _UNREAD_FIELDS
            }
            digest.update(json.dumps(values, sort_keys=True).encode())
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


def check_agreement(model: DWCModel, processor: DWCProcessor, name: str) -> None:
    """Raise CheckpointError where the processor does not make what the model reads."""
    for problem in _disagreements(model.config, processor):
        raise CheckpointError(
            f"{name}: {problem}. Model and processor belong to different checkpoints; take both "
            "from one."
        )


def _require_clip_tokenizer(config: DWCConfig, processor: DWCProcessor, name: str) -> None:
    if config.clip_config is not None and processor.clip_tokenizer is None:
        raise CheckpointError(f"{name} has no clip_tokenizer. {WITHOUT_CLIP_TOKENIZER}")


def _disagreements(config: DWCConfig, processor: DWCProcessor) -> list[str]:
    problems = []
    clip, cnn = config.clip_config, config.cnn_config
    if cnn is not None and processor.word_tokenizer is None:
        problems.append("the model has a stream that reads words, but there is no word_tokenizer")
    elif cnn is not None:
        words = len(processor.word_tokenizer)
        if words != cnn.vocab_size:
            problems.append(
                f"the word vocabulary has {words} words, the word embedding {cnn.vocab_size} rows"
            )
    if clip is not None and processor.clip_tokenizer is not None:
        text, tokenizer = clip.text_config, processor.clip_tokenizer
        if len(tokenizer) != text.vocab_size:
            problems.append(
                f"CLIP's tokenizer has {len(tokenizer)} tokens, its embedding "
                f"{text.vocab_size} rows"
            )
        if tokenizer.eos_token_id != text.eos_token_id:
            problems.append(
                f"CLIP's tokenizer ends a text with id {tokenizer.eos_token_id}, the model looks "
                f"for id {text.eos_token_id}"
            )
        if tokenizer.model_max_length > text.max_position_embeddings:
            problems.append(
                f"CLIP's tokenizer allows {tokenizer.model_max_length} tokens, the model reads "
                f"{text.max_position_embeddings}"
            )
    if clip is not None:
        size_px = clip.vision_config.image_size
        made = picture_size(processor)
        if made != (size_px, size_px):
            problems.append(
                f"pictures are prepared at {made} (height, width), the model reads {size_px} x "
                f"{size_px} pixels"
            )
    return problems


def picture_size(processor: DWCProcessor) -> tuple[int, int] | None:
    """Height and width in pixels of every prepared picture; None where pictures differ."""
    pictures = processor.image_processor
    size: dict[str, int | None] = {}
    if pictures.do_center_crop:
        size = dict(pictures.crop_size)
    elif pictures.do_resize:
        size = dict(pictures.size)
    height, width = size.get("height"), size.get("width")
    return None if height is None or width is None else (height, width)


def _find(
    name_or_path: str | Path | None, revision: str | None, token: str | None
) -> tuple[Path, str, str | None]:
    """The folder that holds the checkpoint, its name, and the commit if it is the Hub's."""
    name = BUNDLED if name_or_path is None else str(name_or_path)
    if name == BUNDLED:
        if not BUNDLED_FOLDER.is_dir():
            raise CheckpointError(
                f"the bundled checkpoint is not at {BUNDLED_FOLDER}. Make it (make checkpoint), or "
                "name another: a folder, or a model of the Hub"
            )
        return BUNDLED_FOLDER, name, None
    path = Path(name).expanduser()
    if name and path.is_dir():
        if revision is not None:
            raise CheckpointError(
                f"{name} is a folder, which has no revision {revision!r}; leave the revision out"
            )
        return path, name, None
    if path.is_file():
        raise CheckpointError(
            f"{name} is a file; a checkpoint is a folder. Give the folder, or convert the authors' "
            f"weights: {_CONVERT}"
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
    folder = _download(repo, named_revision or revision, token)
    return folder, repo, folder.name


def _download(repo: str, revision: str | None, token: str | None) -> Path:
    """Fetch a checkpoint's files, or find them in the cache; the folder is named by the commit."""
    commit = find_commit(repo, revision, token)
    # The config comes first: a model of another kind may be large, and is refused by it.
    _check_files(commit.files, lambda: fetch_file(commit, _CONFIG), commit.where)
    return fetch_files(commit, filter(is_part, commit.files))


def _check_files(names: Collection[str], find_config: Callable[[], Path], name: str) -> None:
    """Refuse what is not a whole checkpoint of this project, by its file names and its config."""
    has_weights = _WEIGHTS in names or _WEIGHTS_INDEX in names
    pickles = sorted(file for file in names if file.endswith(_PICKLES))
    if _CONFIG in names:
        _check_config(find_config(), name)
    if pickles and not (_CONFIG in names and has_weights):
        raise CheckpointError(
            f"{name} holds pickled weights only ({', '.join(pickles[:5])}), which are not loaded. "
            f"Convert them: {_CONVERT}"
        )
    if _CONFIG not in names:
        raise CheckpointError(
            f"{name} has no {_CONFIG}: it is not a checkpoint; give the folder or Hub name of one"
        )
    if not has_weights:
        raise CheckpointError(
            f"{name} has neither {_WEIGHTS} nor {_WEIGHTS_INDEX}: its weights are missing; fetch "
            "the checkpoint again"
        )
    if _PROCESSOR not in names:
        raise CheckpointError(
            f"{name} has no {_PROCESSOR}, which says how to read pictures and words; fetch the "
            "checkpoint again"
        )


def _check_config(config_file: Path, name: str) -> None:
    config = _read_json(config_file)
    kind = config.get("model_type")
    if kind != DWCConfig.model_type:
        raise CheckpointError(
            f"{name} is a model of type {kind!r}, not {DWCConfig.model_type!r}; give a DWC "
            "checkpoint's folder or Hub name"
        )
    version = config.get("format_version", 1)
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise CheckpointError(
            f"{name} is written in format {version!r}; this version of dwc reads up to "
            f"{FORMAT_VERSION}. Update dwc"
        )


@contextmanager
def without_progress_bar() -> Iterator[None]:
    """Keep transformers from drawing a bar for what takes a second."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def _cast(state: dict[str, torch.Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The same weights in another float type; counters and statistics keep theirs."""
    cast = {
        name: tensor.to(dtype)
        if tensor.is_floating_point() and not name.startswith(_STATISTICS)
        else tensor
        for name, tensor in state.items()
    }
    if broken := [name for name, tensor in cast.items() if not torch.isfinite(tensor).all()]:
        raise CheckpointError(
            f"these weights are not finite as {dtype}: {', '.join(broken[:5])}. Save as float32, "
            "or look for what went wrong in training"
        )
    return cast


def _hash_file(file: Path) -> bytes:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.digest()


def _read_json(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file} is not JSON: {error}. Fetch the checkpoint again") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{file} holds no JSON object; fetch the checkpoint again")
    return values
