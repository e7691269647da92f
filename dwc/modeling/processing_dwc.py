"""The processor, which converts images and texts into the input tensors of a DWC model.

    images -> image processor  -> pixel_values                        (N, 3, H, W)
    text   -> CLIP's tokenizer -> clip_input_ids, clip_attention_mask (N, C)
           -> word tokenizer   -> word_ids, word_mask                 (N, L)

N is the number of images or texts, H and W are height and width in pixels, C is the number of CLIP
tokens and L the number of words. The image processor and both tokenizers are saved in the
checkpoint. The processor uses texts exactly as given; callers apply the checkpoint's caption
template first (`fill_template`). `problem_of_image_settings` checks the settings of the image
processor when a checkpoint is loaded.
"""

import json
import math
import re
import string
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import BatchFeature, CLIPTokenizer, ProcessorMixin
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.processing_utils import ImagesKwargs
from transformers.tokenization_utils_tokenizers import TokenizersBackend
from transformers.utils.hub import cached_file

from dwc.errors import CheckpointError, QueryError
from dwc.modeling.color_words import read_foreign_colors
from dwc.modeling.text_cleaning import (
    FUNCTION_WORDS,
    TypedText,
    abridge,
    clean_as_openai,
    clean_text,
    correct_spelling,
    decode_url_text,
    read_as_neighbors,
)
from dwc.modeling.text_rephrasing import rephrase_exclusions


def fill_template(template: Mapping[str, str], captions: Sequence[str]) -> str:
    """Join the captions of a query into one text with a model's caption template.

    Args:
        template: Format strings `single` (for one caption) and `pair` (for two), as in `DWCConfig`.
        captions: Captions; blank ones are ignored. If there are more than two, all captions except
            the first are joined by "and" and used as the second caption.

    Returns:
        The text; empty if there are no captions.
    """
    phrases = [phrase.strip() for phrase in captions if phrase.strip()]
    if not phrases:
        return ""
    if len(phrases) == 1:
        return template["single"].format(phrases[0])
    return template["pair"].format(phrases[0], " and ".join(phrases[1:]))


UNKNOWN_WORD = "<UNK>"
RESERVED_WORDS = (UNKNOWN_WORD, "<AND>", "<BOS>", "<EOS>")  # ids 0 to 3; never words of a text
WORD_PADDING_ID = 0  # also the id of unknown words, so only the mask identifies padding

CLIP_WORD_END = "</w>"
_OPENAI_TOKENS = 49_408  # size of OpenAI's vocabulary, with which CLIP is trained on web texts
CLIP_MARKS = ("<|startoftext|>", "<|endoftext|>")
_BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())  # a printable stand-in for each byte
CLIP_BYTE_TOKENS = (*_BYTES, *(byte + CLIP_WORD_END for byte in _BYTES))

# The settings that affect tokenization; others in the file are ignored.
_TOKENIZER_SETTINGS = (
    "backend", "bos_token", "eos_token", "model_max_length", "pad_token", "unk_token",
)  # fmt: skip
_PROCESSOR_FIELDS = frozenset(
    {"image_processor", "processor_class", "tokenizers", "clip_text_cleaning", "auto_map"}
    | {"rephrase_exclusions", "transformers_version", "_name_or_path"}
)
WORD_NEIGHBORS = "word_neighbors.json"
"""Optional file of a checkpoint, which maps words outside the vocabulary to similar words in it."""
_TOKENIZERS = {"clip_tokenizer": CLIPTokenizer, "word_tokenizer": TokenizersBackend}


class DWCImageProcessor(CLIPImageProcessorPil):
    """CLIP's PIL image processor with an option for how the center crop rounds its position.

    If an image has 115 rows more than the crop, the crop would start at row 57.5. transformers'
    processor starts the crop at row 57 (`crop_rounding` "floor"). torchvision, with which DWC's
    authors trained, starts the crop at row 58, because torchvision rounds halves to the nearest
    even number ("nearest").
    """

    crop_rounding = "floor"

    def __init__(self, crop_rounding: str = "floor", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if crop_rounding not in ("floor", "nearest"):
            raise ValueError(f"crop_rounding is {crop_rounding!r}; it is 'floor' or 'nearest'")
        self.crop_rounding = crop_rounding

    def center_crop(self, image: Any, size: Any, **kwargs: Any) -> Any:
        """Crop an image array (channels, height, width) to `size` around its center."""
        top, left = (image.shape[1] - size.height) / 2, (image.shape[2] - size.width) / 2
        if self.crop_rounding == "floor" or top < 0 or left < 0:
            return super().center_crop(image, size, **kwargs)
        rows, columns = (
            slice(round(top), round(top) + size.height),
            slice(round(left), round(left) + size.width),
        )
        return image[:, rows, columns]

    def preprocess(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:
        """Convert images to normalized pixels, as the base class does.

        The usual case is computed here, with the same pixels in half the time: RGB images that are
        resized to a fixed size, rescaled and normalized. The base class converts each image to an
        array and back before it is resized, and then each pixel to a float64.
        """
        is_usual = not args and kwargs == {"return_tensors": "pt"} and isinstance(images, list)
        if not is_usual or not self._has_usual_settings() or not all(map(_is_rgb, images)):
            return super().preprocess(images, *args, **kwargs)
        height, width = self.size.height, self.size.width
        levels = _normalized_levels(
            self.rescale_factor, tuple(self.image_mean), tuple(self.image_std)
        )
        pixels = np.empty((len(images), len(levels), height, width), dtype=np.float32)
        for image, channels in zip(images, pixels, strict=True):
            resized = np.asarray(image.resize((width, height), self.resample))
            for channel, table in enumerate(levels):
                np.take(table, resized[..., channel], out=channels[channel])
        return BatchFeature({"pixel_values": torch.from_numpy(pixels)})

    def _has_usual_settings(self) -> bool:
        """Return whether images are resized to a fixed size, rescaled and normalized, no more."""
        is_converted = self.do_resize and self.do_rescale and self.do_normalize
        is_fixed = self.size is not None and bool(self.size.height and self.size.width)
        return bool(is_converted and is_fixed and not (self.do_center_crop or self.do_pad))

    def to_dict(self) -> dict[str, Any]:
        """Return all settings as a dict, in the format of CLIP's image processor.

        The additional setting `crop_rounding` is included only if it is not "floor".
        """
        values = super().to_dict()
        values["image_processor_type"] = "CLIPImageProcessor"
        values.pop("crop_rounding", None)
        if self.crop_rounding != "floor":
            values["crop_rounding"] = self.crop_rounding
        return values


def _is_rgb(image: object) -> bool:
    return isinstance(image, Image.Image) and image.mode == "RGB" and 0 not in image.size


@lru_cache(8)
def _normalized_levels(
    scale: float, mean: tuple[float, ...], std: tuple[float, ...]
) -> NDArray[np.float32]:
    """Return the normalized values (channels, 256) of the brightness levels 0 to 255.

    Args:
        scale: The factor by which a level is multiplied first, usually 1/255.
        mean: The mean of each channel, which is subtracted next.
        std: The standard deviation of each channel, by which the result is divided.
    """
    levels = (np.arange(256, dtype=np.float64) * scale).astype(np.float32)
    means, deviations = np.array(mean, dtype=np.float32), np.array(std, dtype=np.float32)
    return (levels - means[:, None]) / deviations[:, None]


class DWCProcessor(ProcessorMixin):
    """Processor that converts images and texts to the inputs of a DWC model.

    CLIP's tokenizer is None if the model has no CLIP stream, or if the tokenizer was not available
    when the checkpoint was converted; texts are then converted to word ids only. The word tokenizer
    is None if the model has no CNN stream. The processor is saved as the file
    `processor_config.json`, which includes the settings of the image processor, and as one
    sub-folder for each tokenizer.
    """

    def __init__(
        self,
        image_processor: CLIPImageProcessorPil,
        clip_tokenizer: CLIPTokenizer | None = None,
        word_tokenizer: TokenizersBackend | None = None,
        clip_text_cleaning: str = "none",
        rephrase_exclusions: bool = False,
        word_neighbors: Mapping[str, str] | None = None,
    ) -> None:
        """Combine an image processor and tokenizers.

        Args:
            image_processor: Resizes, crops and normalizes images.
            clip_tokenizer: CLIP's tokenizer, or None.
            word_tokenizer: The CNN stream's word tokenizer, or None.
            clip_text_cleaning: "openai" to clean texts for CLIP like OpenAI's `clip.tokenize`, as
                in the training of DWC's authors; "none" to leave texts unchanged.
            rephrase_exclusions: Whether `read_typed` rephrases exclusions in typed texts; see the
                function `rephrase_exclusions` in `dwc.modeling.text_rephrasing`.
            word_neighbors: Replacements that `read_typed` makes, as a dict. The keys are words, in
                lower case and singular, that are not in the word vocabulary; the values are similar
                words from the vocabulary. None to replace no words.
        """
        super().__init__(image_processor, clip_tokenizer, word_tokenizer)
        if clip_text_cleaning not in ("none", "openai"):
            raise ValueError(
                f"clip_text_cleaning is {clip_text_cleaning!r}; it is 'none' or 'openai'"
            )
        if not isinstance(rephrase_exclusions, bool):
            raise ValueError(f"rephrase_exclusions is {rephrase_exclusions!r}; it is true or false")
        self.clip_text_cleaning = clip_text_cleaning
        self.rephrase_exclusions = rephrase_exclusions
        self.word_neighbors = dict(word_neighbors or {})

    def __call__(
        self,
        images: Image.Image | Sequence[Image.Image] | None = None,
        text: str | Sequence[str] | None = None,
        return_tensors: str = "pt",
        padding: bool | str | None = True,
        truncation: bool | str | None = False,
    ) -> BatchFeature:
        """Convert images, texts, or both to tensors; a single image or text is a batch of one.

        Args:
            images: PIL images in RGB, already rotated upright.
            text: Texts. An empty text is allowed; its row in `word_mask` is all False.
            return_tensors: Must be "pt".
            padding: Must be True, "longest" or None; all three mean the same.
            truncation: Must be False or None.

        Returns:
            For N images, `pixel_values` (N, 3, height, width), float32, normalized. For N texts,
            `clip_input_ids` and `clip_attention_mask`, int64, each (N, C) for C tokens; `word_ids`,
            int64, and `word_mask`, bool, True on words, each (N, L) for L words. Texts are padded
            on the right to the longest text of the batch.

        Raises:
            QueryError: A text has more CLIP tokens than the model allows, or a list is empty.
            TypeError: `images` are file names, or a value in `text` is not a string.
            ValueError: An option has another value than those above.
        """
        if return_tensors != "pt":
            raise ValueError(f"return_tensors is 'pt', torch tensors; got {return_tensors!r}")
        if padding not in (True, "longest", None):
            raise ValueError(
                f"padding is {padding!r}, but texts are always padded to the longest text of the "
                "batch, since the model ignores padding. Leave it out."
            )
        if truncation:
            raise ValueError(
                f"truncation is {truncation!r}, but a text that is too long is an error here, "
                "since words would be lost. Leave it out, and shorten texts with `read_typed`."
            )
        if images is None and text is None:
            raise QueryError("nothing to read: give images, text, or both")
        inputs: dict[str, Tensor] = {}
        if images is not None:
            inputs["pixel_values"] = self._process_images(_as_batch_of_images(images))
        if text is not None:
            texts = [_drop_surrogates(item) for item in _as_batch_of_texts(text)]
            if not texts:
                raise QueryError("the list of texts is empty: give at least one, '' for no words")
            inputs.update(self._clip_token_inputs(texts))
            inputs.update(self._word_inputs(texts))
        return BatchFeature(inputs)

    def unknown_words(self, text: str) -> list[str]:
        """Return a text's words that are not in the word vocabulary.

        Args:
            text: The text, without the words of the caption template.

        Returns:
            Each unknown word once, in order of appearance, as written but without punctuation
            around it. Empty if the model has no word vocabulary.
        """
        if self.word_tokenizer is None:
            return []
        unknown: dict[str, None] = {}
        for typed in _drop_surrogates(text).split():
            word = typed.strip(string.punctuation)
            ids = self.word_tokenizer.backend_tokenizer.encode(word).ids
            # A word outside the Latin script has no ids at all and counts as unknown too.
            if word and (not ids or WORD_PADDING_ID in ids):
                unknown[word] = None
        return list(unknown)

    def read_typed(self, typed: str, template: Mapping[str, str]) -> TypedText:
        """Clean a text that a person typed, and cut off words at its end if it is too long.

        Args:
            typed: The text as typed.
            template: The checkpoint's caption template. Its tokens count towards the maximum number
                of CLIP tokens too.

        Returns:
            The cleaned text, without the template, and a record of what was changed or cut off. The
            text is empty if the model cannot use any of it.
        """
        is_known = None if self.word_tokenizer is None else self._is_known
        written = _drop_surrogates(typed)
        decoded = decode_url_text(written)
        clean, respelled, read_as_list = clean_text(decoded, is_known)
        excluded: tuple[str, ...] = ()
        if is_known is not None and self.rephrase_exclusions:
            clean, changes = read_foreign_colors(clean, is_known)
            respelled += changes
        if self.word_neighbors:
            clean, changes = read_as_neighbors(clean, self._neighbor)
            respelled += changes
        if is_known is not None:
            clean, changes = correct_spelling(clean, is_known)
            respelled += changes
        if self.rephrase_exclusions:
            clean, changes, excluded = rephrase_exclusions(clean)
            corrected = {read: word for word, read in respelled}
            respelled += tuple(
                (" ".join(corrected.get(word, word) for word in phrase.split()), read)
                for phrase, read in changes
            )
        if not clean:
            return TypedText("", typed)
        words = [word for item in clean.split() if (word := item.strip(string.punctuation))]
        if not self._can_read(words):
            items = [item.strip(string.punctuation) or item for item in typed.split()]
            return TypedText("", typed, unreadable=tuple(items))
        text = self._shorten(clean, template)
        cut = clean[len(text) :].strip()
        respelled = tuple((word, read) for word, read in respelled if read in text)
        if decoded != written:
            respelled = ((abridge(written), abridge(decoded)), *respelled)
        return TypedText(
            text, typed, cut, (), self.max_clip_tokens, respelled, read_as_list, excluded
        )

    def _is_known(self, word: str) -> bool:
        """Return whether a word is in the word vocabulary; the word's punctuation is ignored."""
        ids = self.word_tokenizer.backend_tokenizer.encode(word).ids
        return bool(ids) and WORD_PADDING_ID not in ids

    def _neighbor(self, word: str) -> str | None:
        """Return the vocabulary's word that replaces an unknown word.

        The result is None if the word is in the vocabulary, or if no replacement is known.
        """
        word = word.lower()
        if not self.word_neighbors or self._is_known(word):
            return None
        forms = (word, word.removesuffix("s"), word.removesuffix("es"))
        return next(
            (self.word_neighbors[form] for form in forms if form in self.word_neighbors), None
        )

    def _can_read(self, words: Sequence[str]) -> bool:
        """Return whether the model can use a text, given as a list of words.

        The result is True in each of these cases:

        - The word vocabulary contains all words of the text, or at least one that is not a function
          word such as "with".
        - The text has an ASCII letter or digit, and CLIP has OpenAI's vocabulary, which covers any
          English text.
        - The text has an ASCII letter or digit, and the model has no word vocabulary.
        """
        if self.word_tokenizer is not None:
            unknown = [word for word in words if not self._is_known(word)]
            if words and not unknown:
                return True
            if any(self._is_known(word) and word.lower() not in FUNCTION_WORDS for word in words):
                return True
        has_open_vocabulary = (
            self.clip_tokenizer is not None and len(self.clip_tokenizer) == _OPENAI_TOKENS
        )
        if self.word_tokenizer is not None and not has_open_vocabulary:
            return False
        return any(char.isascii() and char.isalnum() for word in words for char in word)

    def _shorten(self, text: str, template: Mapping[str, str]) -> str:
        """Return a text, cut off after the last word that fits the maximum number of CLIP tokens.

        The tokens of the caption template count as well. If words are cut off, function words that
        are then at the end, such as "with", are cut off too.
        """
        if self.clip_tokenizer is None:
            return text
        ends = [match.end() for match in re.finditer(r"\S+", text)]
        encode = self.clip_tokenizer.backend_tokenizer.encode

        def is_too_long(end: int) -> bool:
            filled = fill_template(template, [text[:end]])
            return len(encode(filled).ids) > self.clip_tokenizer.model_max_length

        count = max(1, bisect_left(ends, True, key=is_too_long))
        if count < len(ends):  # avoid a text that ends in "without" or "and a"
            words = text.split()
            while count > 1 and words[count - 1].lower() in FUNCTION_WORDS:
                count -= 1
        return text[: ends[count - 1]]

    @property
    def max_clip_tokens(self) -> int | None:
        """Maximum number of CLIP tokens of a text, including the start and end tokens.

        None if there is no CLIP tokenizer.
        """
        return None if self.clip_tokenizer is None else self.clip_tokenizer.model_max_length

    @property
    def model_input_names(self) -> list[str]:
        """The names of the tensors that `__call__` may return."""
        names = ["pixel_values"]
        if self.clip_tokenizer is not None:
            names += ["clip_input_ids", "clip_attention_mask"]
        if self.word_tokenizer is not None:
            names += ["word_ids", "word_mask"]
        return names

    def _process_images(self, batch: list[Image.Image]) -> Tensor:
        if not batch:
            raise QueryError("the list of images is empty: give at least one image")
        return self.image_processor(batch, return_tensors="pt")["pixel_values"]

    def _clip_token_inputs(self, texts: list[str]) -> dict[str, Tensor]:
        if self.clip_tokenizer is None:
            return {}
        if self.clip_text_cleaning == "openai":
            texts = [clean_as_openai(text) for text in texts]
        rows = [self.clip_tokenizer.backend_tokenizer.encode(text).ids for text in texts]
        longest = max(map(len, rows), default=0)
        if longest > self.clip_tokenizer.model_max_length:
            raise QueryError(
                f"the text has {longest} CLIP tokens; this model reads at most "
                f"{self.clip_tokenizer.model_max_length}. Shorten it."
            )
        ids, mask = _pad(rows, self.clip_tokenizer.pad_token_id)
        return {"clip_input_ids": ids, "clip_attention_mask": mask.long()}

    def _word_inputs(self, texts: list[str]) -> dict[str, Tensor]:
        if self.word_tokenizer is None:
            return {}
        rows = [self.word_tokenizer.backend_tokenizer.encode(text).ids for text in texts]
        ids, mask = _pad(rows, WORD_PADDING_ID)
        return {"word_ids": ids, "word_mask": mask}

    def decode(self, *arguments: Any, **options: Any) -> str:
        """Raise an error, because it is unknown which of the two tokenizers returned the ids.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            "a text has two forms of ids; use processor.clip_tokenizer.decode(ids) for "
            "clip_input_ids, or processor.word_tokenizer.decode(ids) for word_ids."
        )

    batch_decode = decode

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
        """Check an argument's type as the base class does, but allow None for a tokenizer.

        Returns:
            The class that the base class returns for the argument, or the type of None.
        """
        if argument is None and argument_name in _TOKENIZERS:
            return type(None)
        return super().check_argument_for_proper_class(argument_name, argument)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `processor_config.json`.

        The content consists of the image settings, the names of the tokenizers, and how texts are
        cleaned and rephrased.
        """
        values = {
            "image_processor": self.image_processor.to_dict(),
            "processor_class": type(self).__name__,
            "tokenizers": [name for name in _TOKENIZERS if getattr(self, name) is not None],
        }
        if self.clip_text_cleaning != "none":
            values["clip_text_cleaning"] = self.clip_text_cleaning
        if self.rephrase_exclusions:
            values["rephrase_exclusions"] = True
        return values

    def save_pretrained(
        self, save_directory: str | Path, push_to_hub: bool = False, **kwargs: Any
    ) -> list[str]:
        """Write the processor into a folder.

        Args:
            save_directory: The folder.
            push_to_hub: Whether to upload the processor to the Hugging Face Hub as well.
            **kwargs: Arguments of the method `push_to_hub`.

        Returns:
            A list with the path of `processor_config.json`.
        """
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        for name in _TOKENIZERS:
            tokenizer = getattr(self, name)
            if tokenizer is not None:
                tokenizer.save_pretrained(folder / name)
                _minify_json(folder / name / "tokenizer.json")
        if self.word_neighbors:
            neighbors = json.dumps(self.word_neighbors, indent=0, sort_keys=True) + "\n"
            (folder / WORD_NEIGHBORS).write_text(neighbors, encoding="utf-8")
        config_file = folder / "processor_config.json"
        self.to_json_file(config_file)
        if push_to_hub:
            self.push_to_hub(kwargs.pop("repo_id", folder.name), **kwargs)
        return [str(config_file)]

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, **kwargs: Any
    ) -> "DWCProcessor":
        """Load a processor from a folder or a repository on the Hugging Face Hub.

        The classes of the image processor and the tokenizers are fixed here and not taken from the
        files. A checkpoint therefore cannot determine which code is run, and PIL resizes images
        even if torchvision is installed.

        Args:
            pretrained_model_name_or_path: Folder or repository id.
            **kwargs: `revision`, `token` and `cache_dir` as in transformers.

        Raises:
            CheckpointError: The files of a DWC processor are missing, incomplete or invalid.
        """
        name = str(pretrained_model_name_or_path)
        try:
            config_file = Path(cached_file(name, "processor_config.json", **kwargs))
            config = json.loads(config_file.read_text(encoding="utf-8"))
            if not isinstance(config, dict) or config.get("processor_class") != cls.__name__:
                raise CheckpointError(
                    f"{name} has no {cls.__name__}: its processor_config.json describes another. "
                    "Give the folder of a DWC checkpoint, or make one: python -m dwc convert"
                )
            _check_settings(config, name)
            processor = cls(
                DWCImageProcessor.from_pretrained(name, **kwargs),
                **{
                    part: _read_tokenizer(kind, name, part, **kwargs)
                    for part, kind in _TOKENIZERS.items()
                    if part in config.get("tokenizers", ())
                },
                clip_text_cleaning=config.get("clip_text_cleaning", "none"),
                rephrase_exclusions=config.get("rephrase_exclusions", False),
            )
            processor.word_neighbors = processor._read_neighbors(name, **kwargs)
            return processor
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"the processor in {name} cannot be loaded: {error}. Fetch the checkpoint again"
            ) from error

    def _read_neighbors(self, name: str, **options: Any) -> dict[str, str]:
        """Read replacements for unknown words from the checkpoint's file `word_neighbors.json`.

        The result is empty if the file or the word tokenizer is missing.

        Args:
            name: Folder or Hub id of the checkpoint.
            **options: Further arguments of transformers' `cached_file`.

        Raises:
            CheckpointError: The file is not a JSON object, or its values are not all words of the
                word vocabulary.
        """
        found = cached_file(
            name, WORD_NEIGHBORS, _raise_exceptions_for_missing_entries=False, **options
        )
        if found is None or self.word_tokenizer is None:
            return {}
        neighbors = orjson.loads(Path(found).read_bytes())
        is_table = isinstance(neighbors, dict) and all(
            isinstance(read, str) and self._is_known(read) for read in neighbors.values()
        )
        if not is_table:
            raise CheckpointError(
                f"{found} does not map words to words of this checkpoint's vocabulary. Delete it, "
                "or make it again: python -m dwc neighbors"
            )
        return neighbors


def _check_settings(config: Mapping[str, Any], name: str) -> None:
    """Check the content of `processor_config.json`.

    Args:
        config: The content.
        name: Folder or Hub id of the checkpoint, for messages.

    Raises:
        CheckpointError: A field is unknown, or an image setting is missing or not usable.
    """
    problem = problem_of_image_settings(config.get("image_processor"))
    unknown = sorted(set(config).difference(_PROCESSOR_FIELDS))
    if unknown:
        known = ", ".join(sorted(_PROCESSOR_FIELDS))
        problem = f"has unknown fields: {', '.join(unknown)}; the known ones are {known}"
    if problem is not None:
        raise CheckpointError(
            f"{name}: its processor_config.json is not valid: {problem}. Correct it, or fetch the "
            "checkpoint again"
        )


def _read_tokenizer(
    kind: type[TokenizersBackend], name: str, folder: str, **options: Any
) -> TokenizersBackend:
    """Load a tokenizer from `tokenizer.json` and `tokenizer_config.json`.

    transformers' `from_pretrained` is not used, because it parses CLIP's 50,000 tokens twice and
    changes the content of `tokenizer_config.json`.

    Args:
        kind: The tokenizer's class.
        name: Folder or Hub id of the checkpoint.
        folder: Sub-folder of the tokenizer in the checkpoint.
        **options: Further arguments of transformers' `cached_file`.

    Raises:
        ValueError: The files do not describe a tokenizer of this kind.
    """
    file, settings_file = (
        Path(cached_file(name, item, subfolder=folder, **options))
        for item in ("tokenizer.json", "tokenizer_config.json")
    )
    values = json.loads(settings_file.read_text(encoding="utf-8"))
    settings = {field: values[field] for field in _TOKENIZER_SETTINGS if field in values}
    content = orjson.loads(file.read_bytes())  # three times as fast as json for 100,000 values
    if kind is not CLIPTokenizer:
        return kind(tokenizer_file=str(file), **settings)
    try:
        vocabulary, merges = content["model"]["vocab"], content["model"]["merges"]
        added = {token["content"]: token["id"] for token in content["added_tokens"]}
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file} does not hold the vocabulary and merges of a CLIP") from error
    if merges and isinstance(merges[0], str):  # written by earlier versions of tokenizers
        merges = [merge.split(" ") for merge in merges]
    pairs = list(map(tuple, merges))
    tokenizer = kind(vocab=vocabulary, merges=pairs, **settings)
    pairs.clear()  # the tokenizer has its own copy; this frees 8 MB
    foreign = [token for token in added if tokenizer.convert_tokens_to_ids(token) != added[token]]
    if foreign:
        raise ValueError(f"{file} adds tokens that its vocabulary lacks: {foreign[:5]}")
    return tokenizer


def _minify_json(file: Path) -> None:
    """Rewrite a JSON file without white space, to halve its size and its loading time."""
    content = json.loads(file.read_text(encoding="utf-8"))
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    file.write_text(text, encoding="utf-8")


def build_word_tokenizer(words: Iterable[str] | Mapping[str, int]) -> TokenizersBackend:
    """Return the word tokenizer for a vocabulary.

    The tokenizer drops characters outside ASCII, deletes punctuation (`v-neck` becomes `vneck`),
    converts letters to lower case and splits at white space. The ids 0 to 3 belong to `<UNK>`,
    `<AND>`, `<BOS>` and `<EOS>`.

    Args:
        words: A mapping from words to ids; or the training captions, whose words get the ids from 4
            on in the order in which they first occur.

    Raises:
        CheckpointError: The ids in a mapping are not 0, 1, 2 and so on, or `<UNK>` has another id
            than 0.
    """
    if isinstance(words, Mapping):
        table = dict(words)
        _check_word_table(table)
    else:
        table = {word: i for i, word in enumerate(RESERVED_WORDS)}
        reader = _word_level({UNKNOWN_WORD: 0})
        for caption in words:
            normal = reader.normalizer.normalize_str(_drop_surrogates(caption))
            for word, _ in reader.pre_tokenizer.pre_tokenize_str(normal):
                table.setdefault(word, len(table))
    return TokenizersBackend(tokenizer_object=_word_level(table))


def build_clip_tokenizer(merges: Sequence[tuple[str, str]], max_tokens: int = 77) -> CLIPTokenizer:
    """Return a byte-pair tokenizer that works like CLIP's tokenizer.

    Ids have CLIP's order: the 256 bytes, the 256 bytes with the mark `</w>` for the end of a word,
    the merged tokens, `<|startoftext|>`, `<|endoftext|>`.

    Args:
        merges: Pairs of tokens to merge, in order of priority.
        max_tokens: Maximum number of tokens of a text, including the start and end tokens.
    """
    merged = dict.fromkeys("".join(pair) for pair in merges)  # two pairs may give the same token
    tokens = [*CLIP_BYTE_TOKENS, *merged, *CLIP_MARKS]
    return CLIPTokenizer(
        vocab={token: i for i, token in enumerate(tokens)},
        merges=list(merges),
        model_max_length=max_tokens,
    )


def _word_level(table: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(WordLevel(table, unk_token=UNKNOWN_WORD))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(r"[^\x00-\x7f]"), ""),
            normalizers.Replace(Regex(r"[!-/:-@\[-`{-~]"), ""),  # string.punctuation
            normalizers.Replace(Regex(r"[\x1c-\x1f]"), " "),  # white space to Python, not to Rust
            normalizers.Lowercase(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def _check_word_table(table: Mapping[str, int]) -> None:
    if table.get(UNKNOWN_WORD) != WORD_PADDING_ID:
        raise CheckpointError(
            f"the word table gives {UNKNOWN_WORD} the id {table.get(UNKNOWN_WORD)}; it has to be "
            f"{WORD_PADDING_ID}. Write the table with {', '.join(RESERVED_WORDS)} as ids 0 to 3."
        )
    if sorted(table.values()) != list(range(len(table))):
        raise CheckpointError(
            f"the word table has {len(table)} words, but its ids are not 0 to {len(table) - 1}, "
            "each once. Write it from the vocabulary that the model was trained with."
        )


def _as_batch_of_images(images: Any) -> list[Any]:
    """Return a list of images, given one image or several.

    Raises:
        TypeError: An image is a text, such as a file name.
    """
    is_single = isinstance(images, (Image.Image, str, bytes, Path)) or (
        isinstance(images, (np.ndarray, Tensor)) and images.ndim < 4
    )
    batch = [images] if is_single else list(images)
    for image in batch:
        if isinstance(image, (str, bytes, Path)):
            raise TypeError(
                f"images holds {image!r}, which is no image. Give PIL images first and texts "
                "second; open a file with PIL.Image.open."
            )
    return batch


def _as_batch_of_texts(text: Any) -> list[str]:
    """Return a list of texts, given one text or several.

    Raises:
        TypeError: A value is not a string.
    """
    batch = [text] if isinstance(text, str) or not isinstance(text, Iterable) else list(text)
    for item in batch:
        if not isinstance(item, str):
            raise TypeError(
                f"text holds a {type(item).__name__}, {item!r:.60}; give one text or a flat list "
                "of texts, with '' for no words."
            )
    return batch


def _drop_surrogates(text: str) -> str:
    """Return a text without lone surrogates: invalid characters that make tokenizers fail."""
    return text.encode("utf-8", "ignore").decode("utf-8")


def _pad(rows: Sequence[Sequence[int]], padding: int) -> tuple[Tensor, Tensor]:
    """Pad N lists of ids on the right to the length L of the longest list, at least 1.

    Returns:
        The padded ids (N, L), int64; and a mask (N, L), bool, True on ids and False on padding.
    """
    length = max([1, *map(len, rows)])
    ids = torch.tensor([[*row, *[padding] * (length - len(row))] for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    return ids.view(len(rows), length), torch.arange(length) < lengths[:, None]  # (N, L) each


# Fields that processors of transformers may write beside the settings of `ImagesKwargs`.
_OTHER_FIELDS = frozenset(
    {"image_processor_type", "feature_extractor_type", "processor_class", "auto_map", "use_fast"}
    | {"transformers_version", "_name_or_path", "_valid_processor_keys", "crop_rounding"}
)
_SIDES = ("height", "width", "shortest_edge", "longest_edge", "max_height", "max_width")
_MOST_RESAMPLING = 5  # the largest of PIL's numbers of resampling filters

NEEDED_SETTINGS = {
    "do_resize": ("size",),
    "do_center_crop": ("crop_size",),
    "do_rescale": ("rescale_factor",),
    "do_normalize": ("image_mean", "image_std"),
}
"""Maps each setting that switches a preprocessing step on to the settings that the step needs."""

_LARGEST_RATIO = 4.0  # of the differences between white and black, of two channels
# Limits of the difference between a white and a black pixel after (value * factor - mean) / std.
# Outside of these limits, the model would get no usable image.
_LEAST_SPAN, _LARGEST_SPAN = 0.1, 256.0


class _Kind(NamedTuple):
    """The values that are allowed for an image setting.

    Attributes:
        accepts: Function that returns whether a value is allowed.
        expected: Description of the allowed values for messages.
    """

    accepts: Callable[[Any], bool]
    expected: str


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_size(value: Any) -> bool:
    if isinstance(value, dict):
        sides = {name: side for name, side in value.items() if side is not None}
        return bool(sides) and set(sides) <= set(_SIDES) and all(map(_is_side, sides.values()))
    is_pair = isinstance(value, list) and len(value) == 2 and all(map(_is_side, value))
    return _is_side(value) or is_pair


def _are_channels(value: Any) -> bool:
    is_triple = isinstance(value, list) and len(value) == 3 and all(map(_is_number, value))
    return _is_number(value) or is_triple


_SWITCH = _Kind(lambda value: isinstance(value, bool), "true or false, without quotation marks")
_SIZE = _Kind(_is_size, f"positive numbers of pixels under some of {', '.join(_SIDES)}")
_CHANNELS = _Kind(_are_channels, "three numbers")
_KINDS = {
    **dict.fromkeys((*NEEDED_SETTINGS, "do_convert_rgb", "do_pad", "default_to_square"), _SWITCH),
    **dict.fromkeys(("size", "crop_size", "pad_size"), _SIZE),
    "rescale_factor": _Kind(lambda value: _is_number(value) and value > 0, "a positive number"),
    "image_mean": _CHANNELS,
    "image_std": _Kind(
        lambda value: _are_channels(value) and min(_as_list(value)) > 0, "three positive numbers"
    ),
    "resample": _Kind(
        lambda value: (
            (value == 0 and value is not False) or (_is_side(value) and value <= _MOST_RESAMPLING)
        ),
        f"the number of a resampling filter of PIL, 0 to {_MOST_RESAMPLING}",
    ),
    "data_format": _Kind(lambda value: value == "channels_first", "'channels_first'"),
}


def _as_list(value: Any) -> list[float]:
    return value if isinstance(value, list) else [value]


def problem_of_image_settings(settings: Any) -> str | None:
    """Return a message about the first problem in a checkpoint's image settings.

    transformers does not report a misspelled or missing setting, but uses a default value. With a
    misspelled "image_means", for example, images would be normalized with another mean.

    Args:
        settings: The content of `image_processor` in `processor_config.json`.

    Returns:
        The message, for use after the file's name, such as "image_processor has unknown fields:
        image_means; ..."; None if there is no problem.
    """
    if not isinstance(settings, dict):
        return "has no table image_processor, which says how images are prepared"
    unknown = sorted(name for name in settings if not is_known_setting(name))
    if unknown:
        known = ", ".join(sorted(_KINDS))
        return (
            f"image_processor has unknown fields: {', '.join(unknown)}; the known ones are {known}"
        )
    for name in _KINDS:
        problem = problem_of_setting(name, settings.get(name))
        if problem:
            return f"image_processor.{problem}"
    for step, needed in NEEDED_SETTINGS.items():
        absent = [name for name in needed if settings.get(name) is None]
        if settings.get(step, True) is None:
            return f"image_processor.{step} is null; expected {_SWITCH.expected}"
        if settings.get(step, True) and absent:
            return f"image_processor.{step} needs {', '.join(absent)}, which it lacks"
    problem = problem_of_range(settings)
    return problem and f"image_processor {problem}"


def is_known_setting(name: str) -> bool:
    """Return whether the image settings of a checkpoint may have a field of this name.

    Such fields are the settings of transformers' image processors, other fields that transformers
    may write beside them, and `crop_rounding`.
    """
    return name in ImagesKwargs.__annotations__ or name in _OTHER_FIELDS


def problem_of_setting(name: str, value: Any) -> str | None:
    """Return a message if the value of an image setting is not allowed, otherwise None.

    The message starts with the setting's name. A value of None is always allowed, and so are all
    values of settings that this module does not check.
    """
    kind = _KINDS.get(name)
    if kind is None or value is None or kind.accepts(value):
        return None
    return f"{name} is {value!r}; expected {kind.expected}"


def _problem_of_channels(
    settings: Mapping[str, Any], white: float, spans: Sequence[float]
) -> str | None:
    """Return a message if the means or standard deviations of the channels are not plausible.

    Each mean must be a value between black and white, and the standard deviations must differ by a
    factor of at most 4.

    Args:
        settings: Image settings by name.
        white: The value of a white pixel before the mean is subtracted; black is 0.
        spans: The difference between a normalized white and a normalized black pixel, for each
            channel.
    """
    if not settings.get("do_normalize", True):
        return None
    means = _as_list(settings["image_mean"])
    if not all(0 <= mean <= white for mean in means):
        return (
            f"subtracts image_mean {', '.join(f'{mean:g}' for mean in means)} from levels of 0 to "
            f"{white:g}; expected values between them"
        )
    if max(spans) > _LARGEST_RATIO * min(spans):
        deviations = ", ".join(f"{value:g}" for value in _as_list(settings["image_std"]))
        return (
            f"divides the colors of an image by image_std {deviations}; expected values that "
            f"differ by a factor of at most {_LARGEST_RATIO:g}"
        )
    return None


def problem_of_range(settings: Mapping[str, Any]) -> str | None:
    """Return a message if image settings would result in implausible pixel values.

    In normalized images, black and white must be neither almost equal nor too far apart. The mean
    of a channel must be a value between black and white, and the standard deviations of the
    channels must not differ too much.

    Args:
        settings: Image settings by name: `rescale_factor`, `image_mean`, `image_std`, and
            optionally the switches `do_rescale` and `do_normalize`.

    Returns:
        The message without its subject, "image_processor", for example "prepares images with levels
        ..."; None if there is no problem.
    """
    factor = settings["rescale_factor"] if settings.get("do_rescale", True) else 1.0
    deviations = _as_list(settings["image_std"]) if settings.get("do_normalize", True) else [1.0]
    spans = [255 * factor / deviation for deviation in deviations]
    if min(spans) >= _LEAST_SPAN and max(spans) <= _LARGEST_SPAN:
        return _problem_of_channels(settings, 255 * factor, spans)
    return (
        f"prepares images with levels {max(spans):.3g} apart from black to white; "
        f"expected {_LEAST_SPAN} to {_LARGEST_SPAN:.0f}. Usually rescale_factor is 1/255, and "
        "image_std is between 0.2 and 1"
    )
