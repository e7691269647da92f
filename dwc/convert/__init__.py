"""Conversion of other projects' weights to checkpoints of this project, and back.

Only this package contains the tensor names of other projects.

key_mapping.py       rules that rename a state dict, both ways, with every tensor accounted for
author_names.py      the authors' names of the two streams
openai_clip.py       OpenAI's names of CLIP's tensors, and the sizes derived from the tensors
open_clip_config.py  settings not stored in tensors: activation, heads, preprocessing
sources.py           files, folders and Hub names to state dicts; training captions
clip_tokenizer.py    sources of CLIP's tokenizer, which CLIP's weights do not contain
to_checkpoint.py     the conversion to a checkpoint
to_authors.py        the other way: files that the authors' code can load
"""

from dwc.convert.to_authors import convert_to_authors
from dwc.convert.to_checkpoint import CAPTION_TEMPLATES, convert

__all__ = ["CAPTION_TEMPLATES", "convert", "convert_to_authors"]
