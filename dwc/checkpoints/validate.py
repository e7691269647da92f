"""Checks that files are a checkpoint of this project, and that model and processor fit together.

`require_checkpoint` uses only file names and `config.json`, so that it can run before any weights
are downloaded. Weights may be large, or unsafe to load.

A checkpoint with pickle files is rejected even if it also has safetensors. Many repositories on the
Hub have a `pytorch_model.bin` for old programs, but no version of this program has ever written a
pickle. So a pickle in a DWC checkpoint comes from another program. The file may contain a training
state or malicious code, and only loading the file would show which. The remedy is easy: the owner
deletes the file, or the user requests an earlier commit.
"""

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError

from dwc.checkpoints.safetensors_files import WEIGHTS, WEIGHTS_INDEX
from dwc.errors import CheckpointError
from dwc.files import parse_json, refuse_lfs_pointer
from dwc.modeling.configuration_dwc import FORMAT_VERSION, DWCConfig
from dwc.modeling.modeling_dwc import DWCModel
from dwc.modeling.processing_dwc import DWCProcessor

CONFIG = "config.json"
CONVERT = (
    "python -m dwc convert --global-weights G --local-weights L --clip C --captions J --out DIR"
)

_PROCESSOR = "processor_config.json"
_PICKLES = (".pth", ".pt", ".ckpt", ".bin", ".pkl", ".pickle")
_CLIP = "clip"
# Files that identify other kinds of models.
_OTHERS = {
    "model_index.json": "a diffusion pipeline",
    "open_clip_config.json": "an open_clip model",
    "adapter_config.json": "an adapter of another model",
    "modules.json": "a sentence-transformers model",
}
_LISTED = 5  # maximum number of files listed in a message


def require_checkpoint(names: Collection[str], find_config: Callable[[], Path], name: str) -> None:
    """Check that the files of a folder or repository are a complete checkpoint without pickles.

    Args:
        names: Paths of all files of the folder or repository.
        find_config: Function that returns the local path of the `config.json`, possibly after
            downloading the file.
        name: The name or path of the checkpoint, for messages.

    Raises:
        CheckpointError: A file is missing, wrong or pickled; the message says which.
    """
    has_weights = WEIGHTS in names or WEIGHTS_INDEX in names
    if CONFIG in names:
        _require_our_config(find_config(), names, name)
    else:
        _refuse_others(names, name)
    _refuse_pickles(names, name, is_whole=CONFIG in names and has_weights)
    if CONFIG not in names:
        raise CheckpointError(
            f"{name} has no {CONFIG}: it is not a checkpoint; give the folder or Hub name of one"
        )
    if not has_weights:
        raise CheckpointError(
            f"{name} has neither {WEIGHTS} nor {WEIGHTS_INDEX}: its weights are missing; fetch "
            "the checkpoint again"
        )
    if _PROCESSOR not in names:
        raise CheckpointError(
            f"{name} has no {_PROCESSOR}, which says how to read images and texts; fetch the "
            "checkpoint again"
        )


def read_json(file: Path) -> dict[str, Any]:
    """Return the content of a file that contains a JSON object.

    Raises:
        CheckpointError: The file does not contain a JSON object.
    """
    refuse_lfs_pointer(file, CheckpointError)
    try:
        values = parse_json(file.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise CheckpointError(f"{file} is not JSON: {error}. Fetch the checkpoint again") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{file} holds no JSON object; fetch the checkpoint again")
    return values


def refuse_byte_order_marks(files: Iterable[Path], name: str) -> None:
    """Check that no JSON file begins with a byte-order mark; transformers cannot read such a file.

    Args:
        files: The checkpoint's files.
        name: The name or path of the checkpoint, for messages.

    Raises:
        CheckpointError: A file begins with a byte-order mark.
    """
    for path in files:
        if path.suffix != ".json":
            continue
        with path.open("rb") as file:
            if file.read(len(BOM_UTF8)).startswith((BOM_UTF8, BOM_UTF16_LE, BOM_UTF16_BE)):
                raise CheckpointError(
                    f"{name}: {path.name} begins with a byte-order mark, as some editors write it; "
                    "expected UTF-8 without one. Save it again without a byte-order mark"
                )


def _require_our_config(config_file: Path, names: Collection[str], name: str) -> None:
    config = read_json(config_file)
    model_type = config.get("model_type")
    if model_type != DWCConfig.model_type:
        _refuse_others(names, name)
        what = f"{name} is a model of type {model_type!r}, not {DWCConfig.model_type!r}"
        if model_type == _CLIP:
            raise CheckpointError(
                f"{what}: a CLIP by itself, which composes nothing. Give a DWC checkpoint's folder "
                f"or Hub name; to make one of the authors' weights over this CLIP: {CONVERT}"
            )
        raise CheckpointError(f"{what}; give a DWC checkpoint's folder or Hub name")
    version = config.get("format_version", FORMAT_VERSION)
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise CheckpointError(
            f"{name} is written in format {version!r}; this version of dwc reads up to "
            f"{FORMAT_VERSION}. Update dwc"
        )
    try:
        DWCConfig.from_dict(config)
    except (ValueError, TypeError, StrictDataclassError) as error:
        raise CheckpointError(
            f"{name}: its {CONFIG} does not describe a model of this version of dwc: {error}"
        ) from error


def _refuse_others(names: Collection[str], name: str) -> None:
    for file, model_type in _OTHERS.items():
        if file in names:
            raise CheckpointError(
                f"{name} is {model_type} (it has {file}), not a DWC checkpoint; give the folder or "
                "Hub name of one"
            )


def _refuse_pickles(names: Collection[str], name: str, is_whole: bool) -> None:
    pickles = sorted(file for file in names if file.endswith(_PICKLES))
    if not pickles:
        return
    listed = ", ".join(pickles[:_LISTED])
    if is_whole:
        raise CheckpointError(
            f"{name} has pickled files beside its weights ({listed}); reading such a file can run "
            "code, and a checkpoint has none. Nothing of it was loaded: take them out, or give a "
            "revision without them"
        )
    raise CheckpointError(
        f"{name} holds pickled weights only ({listed}), which are not loaded. Convert them: "
        f"{CONVERT}"
    )


WITHOUT_CLIP_TOKENIZER = (
    "Its model composes from token ids, and its processor reads images and word ids; searching, "
    "the app and evaluation need the tokenizer for CLIP's text. Add it by converting again: "
    f" {CONVERT} --clip-tokenizer PATH (bpe_simple_vocab_16e6.txt.gz of "
    "openai/CLIP, or a transformers CLIP tokenizer's folder)"
)
"""Message that says what a checkpoint without CLIP's tokenizer can do, and how to add one."""


def check_agreement(model: DWCModel, processor: DWCProcessor, name: str) -> None:
    """Check that the processor's outputs fit the model's inputs.

    Args:
        model: The model.
        processor: The processor.
        name: The name or path of the checkpoint, for messages.

    Raises:
        CheckpointError: Outputs and inputs do not fit, for example because of different vocabulary
            sizes.
    """
    for problem in _disagreements(model.config, processor):
        raise CheckpointError(
            f"{name}: {problem}. Model and processor belong to different checkpoints; take both "
            "from one."
        )


def require_clip_tokenizer(config: DWCConfig, processor: DWCProcessor, name: str) -> None:
    """Check that there is a CLIP tokenizer if the model has a CLIP stream.

    Args:
        config: The model's config.
        processor: The model's processor.
        name: The name or path of the checkpoint, for messages.

    Raises:
        CheckpointError: The tokenizer is missing; the message says how to add it.
    """
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
                f"CLIP's tokenizer ends a text with id {tokenizer.eos_token_id}, the model "
                f"expects id {text.eos_token_id}"
            )
        if tokenizer.model_max_length > text.max_position_embeddings:
            problems.append(
                f"CLIP's tokenizer allows {tokenizer.model_max_length} tokens, the model reads "
                f"{text.max_position_embeddings}"
            )
    if clip is not None:
        size_px = clip.vision_config.image_size
        made = prepared_image_size(processor)
        if made != (size_px, size_px):
            problems.append(
                f"images are prepared at {made} (height, width), the model reads {size_px} x "
                f"{size_px} pixels"
            )
    return problems


def prepared_image_size(processor: DWCProcessor) -> tuple[int, int] | None:
    """Return the height and width in pixels of the images that a processor returns.

    The result is None if the size is not fixed, that is, if it depends on the image.
    """
    image_processor = processor.image_processor
    size: dict[str, int | None] = {}
    if image_processor.do_center_crop:
        size = dict(image_processor.crop_size)
    elif image_processor.do_resize:
        size = dict(image_processor.size)
    height, width = size.get("height"), size.get("width")
    return None if height is None or width is None else (height, width)
