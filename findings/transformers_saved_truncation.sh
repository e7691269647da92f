#!/usr/bin/env bash
# transformers 5.24.0, tokenizers 0.23.3: a call with truncation and padding leaves both in the tokenizer, and
# `save_pretrained` writes them to tokenizer.json. transformers ignores them when it reads the file; the
# tokenizers library follows them. So one file cuts the same text to 5 tokens or not at all. The other
# way round too: a limit set with `enable_truncation` and saved has no effect in transformers.
# Expected: the file does not depend on earlier calls, and both libraries read it alike.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check transformers==5.24.0 tokenizers==0.23.3
cd "$folder"
"$folder/env/bin/python" - <<'PYTHON'
from importlib.metadata import version

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

print("transformers", version("transformers"), "tokenizers", version("tokenizers"))
words = ["[UNK]", "[PAD]", *(f"w{n}" for n in range(20))]
text = " ".join(words[2:])


def build():
    inner = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return inner


def lengths(folder, words):
    by_transformers = AutoTokenizer.from_pretrained(folder)(words)["input_ids"]
    by_tokenizers = Tokenizer.from_file(f"{folder}/tokenizer.json").encode(words).ids
    return len(by_transformers), len(by_tokenizers)


def wrap(inner):
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", pad_token="[PAD]")


tokenizer = wrap(build())
tokenizer.save_pretrained("before")
tokenizer(text, truncation=True, max_length=5, padding="max_length")
tokenizer.save_pretrained("after")
limited = build()
limited.enable_truncation(5)
wrap(limited).save_pretrained("limited")
for folder in ("before", "after", "limited"):
    print(f"{folder}: tokens of 20 words (transformers, tokenizers): {lengths(folder, text)}")
print("after: tokens of one word:", lengths("after", "w1"))
assert lengths("before", text) == (20, 20), "the plain case has changed"
assert lengths("after", text) == (20, 5) and lengths("after", "w1") == (1, 5), "this has changed"
assert lengths("limited", text) == (20, 5), "this has changed"
print("seen: the saved file has the limit of the last call, for one of the two libraries")
PYTHON
