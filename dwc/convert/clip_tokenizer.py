"""Search for the tokenizer of a CLIP model; the model's weights do not contain it.

A tokenizer is defined by its merges, the list of token pairs that are joined into longer tokens
(byte-pair encoding). A tokenizer is stored either in OpenAI's file of merges
(`bpe_simple_vocab_16e6.txt.gz` or a plain `.txt`), or in the format of transformers. These sources
are tried in order:

1. the file or folder that the user gives;
2. the transformers folder or Hub repository of CLIP itself;
3. `bpe_simple_vocab_16e6.txt.gz`, or `vocab.json` and `merges.txt`, in the folder of CLIP's
   weights;
4. openai/clip-vit-base-patch32 on the Hub, whose merges are those of all OpenAI models. The
   merges are taken from the Hub's cache or downloaded (half a megabyte).

The first source that exists is used. If that source cannot be read or belongs to another CLIP
model, an error is raised and the later sources are not tried.
"""

import gzip
import ssl
import zlib
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from huggingface_hub import (
    hf_hub_download,
    hf_hub_url,
    is_offline_mode,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.errors import HfHubHTTPError
from transformers import CLIPTextConfig, CLIPTokenizer

from dwc.errors import CheckpointError
from dwc.files import refuse_lfs_pointer
from dwc.modeling.configuration_dwc import ClipBackboneConfig
from dwc.modeling.processing_dwc import CLIP_BYTE_TOKENS, CLIP_MARKS, build_clip_tokenizer

OPENAI_REPO = "openai/clip-vit-base-patch32"
OPENAI_COMMIT = "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268"
"""Commit of `OPENAI_REPO` with the merges that all of OpenAI's models share (MIT license)."""

_OPENAI_TOKENS = 49_408  # OpenAI's vocabulary size; another size means other merges
_OPENAI_FILE = "bpe_simple_vocab_16e6.txt.gz"
_WHOLE, _TABLE, _MERGES = "tokenizer.json", "vocab.json", "merges.txt"
_TRANSFORMERS_FILES = (
    _WHOLE,
    _TABLE,
    _MERGES,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
_TIMEOUT_S = 3.0  # in place of the Hub client's half minute
_GZIP_MAGIC = b"\x1f\x8b"
_CURE = "Give the tokenizer of this CLIP with --clip-tokenizer"


def find_clip_tokenizer(
    given: str | Path | None, clip: str | Path, config: ClipBackboneConfig
) -> CLIPTokenizer | None:
    """Find and load the tokenizer of a CLIP model.

    If `given` is not None, the tokenizer is loaded from there. Otherwise, it is loaded from the
    folder or repository of CLIP's weights. If there is none, OpenAI's tokenizer on the Hub is
    loaded, provided that CLIP's vocabulary has the same size.

    Args:
        given: File or folder of the tokenizer that the user chose, or None.
        clip: Source of CLIP's weights: a file, a folder, or a Hub name.
        config: Configuration of the CLIP model.

    Returns:
        The tokenizer; None if no tokenizer is found.

    Raises:
        CheckpointError: The tokenizer cannot be read, or does not match CLIP's token embedding.
    """
    text = config.text_config
    source = _find(clip, text.vocab_size) if given is None else _require(Path(given).expanduser())
    if source is None:
        return None
    tokenizer = _read_openai(source, text) if source.is_file() else _read_transformers(source)
    if (len(tokenizer), tokenizer.eos_token_id) != (text.vocab_size, text.eos_token_id):
        raise CheckpointError(
            f"the tokenizer in {source} has {len(tokenizer)} tokens and ends a text with id "
            f"{tokenizer.eos_token_id}; CLIP's embedding has {text.vocab_size} rows and expects "
            f"id {text.eos_token_id}. {_CURE}"
        )
    tokenizer.model_max_length = text.max_position_embeddings
    return tokenizer


def _require(given: Path) -> Path:
    source = given if given.is_file() else _in_folder(given)
    if source is None:
        raise CheckpointError(
            f"{given} is neither a file of merges ({_OPENAI_FILE}, or as plain text) nor a folder "
            f"with {_WHOLE}, or {_TABLE} and {_MERGES}; --clip-tokenizer takes one of them"
        )
    return source


def _find(clip: str | Path, tokens: int) -> Path | None:
    """Search for the tokenizer of a CLIP model, and return its path.

    The folder or repository of CLIP's weights is searched first. If there is no tokenizer in it,
    and the model's vocabulary has as many tokens as OpenAI's, OpenAI's tokenizer on the Hub is
    used.

    Args:
        clip: Source of CLIP's weights: a file, a folder, or a Hub name.
        tokens: Number of tokens in CLIP's vocabulary.

    Returns:
        A file of merges or a folder with a transformers tokenizer; None if no tokenizer is found.
    """
    path = Path(clip).expanduser()
    if path.is_file():
        source = _beside(path.parent)
    else:
        folder = path if path.is_dir() else _fetch_repository(str(clip))
        source = None if folder is None else _in_folder(folder)
    if source is None and tokens == _OPENAI_TOKENS:
        source = _fetch_openai()
    return source


def _in_folder(folder: Path) -> Path | None:
    """Return the path of CLIP's tokenizer in a folder that has no files of other models.

    Returns:
        A file of merges or the folder itself; None if the folder has no tokenizer.
    """
    return folder if (folder / _WHOLE).is_file() else _beside(folder, transformers_first=True)


def _beside(folder: Path, transformers_first: bool = False) -> Path | None:
    """Return the path of CLIP's tokenizer in a folder; None if there is none.

    The folder may also contain files of other models. `tokenizer.json` is ignored, because it may
    belong to one of these models.

    Args:
        folder: The folder.
        transformers_first: Whether to prefer `vocab.json` and `merges.txt` of transformers to
            OpenAI's BPE merges file if the folder has both.

    Returns:
        The path of OpenAI's BPE merges file; or `folder`, if it has `vocab.json` and `merges.txt`;
        None if it has neither.
    """
    openai = folder / _OPENAI_FILE
    pair = (folder / _TABLE).is_file() and (folder / _MERGES).is_file()
    if pair and (transformers_first or not openai.is_file()):
        return folder
    return openai if openai.is_file() else None


def _fetch_repository(name: str) -> Path | None:
    """Download the tokenizer files of CLIP's repository, and return their folder.

    The result is None if the Hub or the repository cannot be reached.
    """
    repo, _, revision = name.partition("@")
    try:
        return Path(
            snapshot_download(
                repo, revision=revision or None, allow_patterns=[*_TRANSFORMERS_FILES]
            )
        )
    except (HfHubHTTPError, OSError):
        return None


def _fetch_openai() -> Path | None:
    """Return the path of OpenAI's tokenizer; download the tokenizer if it is not in the cache.

    Returns:
        The file of merges, or the folder of a tokenizer in the cache; None if neither is in the
        cache and the Hub cannot be reached.
    """
    for name in (_MERGES, _WHOLE):
        cached = try_to_load_from_cache(OPENAI_REPO, name, revision=OPENAI_COMMIT)
        if isinstance(cached, str):
            return Path(cached) if name == _MERGES else Path(cached).parent
    if is_offline_mode() or not _is_reachable(
        hf_hub_url(OPENAI_REPO, _MERGES, revision=OPENAI_COMMIT)
    ):
        return None
    try:
        return Path(hf_hub_download(OPENAI_REPO, _MERGES, revision=OPENAI_COMMIT))
    except (HfHubHTTPError, OSError):
        return None


def _is_reachable(address: str) -> bool:
    """Return whether a short test request for the file at a web address succeeds.

    A certificate that Python cannot verify counts as success, because the Hub's client has its own
    certificates.
    """
    try:
        with urlopen(Request(address, method="HEAD"), timeout=_TIMEOUT_S):
            return True
    except URLError as error:
        # The server is reachable, but Python could not verify its certificate. The Hub's client
        # may still succeed, since it has its own certificates.
        return isinstance(error.reason, ssl.SSLError)
    except OSError:
        return False


def _read_transformers(folder: Path) -> CLIPTokenizer:
    for name in _TRANSFORMERS_FILES:
        refuse_lfs_pointer(folder / name, CheckpointError)
    try:
        return CLIPTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} holds no CLIP tokenizer: {error}. {_CURE}") from error


def _read_openai(file: Path, text: CLIPTextConfig) -> CLIPTokenizer:
    """Return the tokenizer that OpenAI's file of merges defines.

    After a header, each line of the file is a merge: two tokens that are joined into one. The file
    has more merges than CLIP uses. The merges at the end, for which CLIP's token embedding has no
    row, are ignored.
    """
    count = text.vocab_size - len(CLIP_BYTE_TOKENS) - len(CLIP_MARKS)
    refuse_lfs_pointer(file, CheckpointError)
    try:
        raw = file.read_bytes()
        lines = (gzip.decompress(raw) if raw.startswith(_GZIP_MAGIC) else raw).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{file} cannot be read as CLIP's merges: {error}. {_CURE}"
        ) from error
    rows = lines.split("\n")[1 : max(0, count) + 1]
    merges = [(pair[0], pair[1]) for row in rows if len(pair := row.split()) == 2]
    if len(merges) != count:
        raise CheckpointError(
            f"{file} gives {len(merges)} merges; CLIP's embedding has room for {count}. {_CURE}"
        )
    return build_clip_tokenizer(merges, text.max_position_embeddings)
