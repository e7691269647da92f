#!/usr/bin/env bash
# transformers 5.24.0: `CLIPProcessor.save_pretrained` writes the image settings to processor_config.json
# alone; no preprocessor_config.json is written, which is what most converters and other runtimes read. In a
# folder that has both, the image processor is loaded from processor_config.json, so that editing or shipping
# preprocessor_config.json changes nothing, without a word.
# Expected: the file that is named after the image settings counts.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check transformers==5.24.0 pillow==12.3.0
cd "$folder"
"$folder/env/bin/python" - 2>errors.log <<'PYTHON'
import json
from importlib.metadata import version
from pathlib import Path

from tokenizers import Tokenizer, models
from transformers import CLIPProcessor, CLIPTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

print("transformers", version("transformers"))
words = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2, "a": 3}
Path("vocab.json").write_text(json.dumps(words))
Path("merges.txt").write_text("#version: 0.2\n")
tokenizer = CLIPTokenizerFast(vocab="vocab.json", merges="merges.txt")
images = CLIPImageProcessorPil(image_mean=[0.5] * 3, image_std=[0.5] * 3)
CLIPProcessor(images, tokenizer).save_pretrained("clip")
written = sorted(file.name for file in Path("clip").iterdir())
print("written:", ", ".join(written))
edited = {**images.to_dict(), "image_mean": [0.1] * 3}
Path("clip/preprocessor_config.json").write_text(json.dumps(edited))
loaded = CLIPImageProcessorPil.from_pretrained("clip")
print("mean in processor_config.json 0.5, in preprocessor_config.json 0.1, loaded", loaded.image_mean[0])
assert "preprocessor_config.json" not in written, "this has changed"
assert loaded.image_mean[0] == 0.5, "this has changed"
print("seen: preprocessor_config.json is not written, and not read where there are both")
PYTHON
