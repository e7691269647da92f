"""Conversion of the paper authors' weights to checkpoints of this project, and back.

Only this package contains the tensor names of other projects.

key_mapping.py       rules that rename the tensors of a state dict, in both directions
author_names.py      the authors' tensor names of the two streams
openai_clip.py       OpenAI's tensor names of CLIP, the sizes derived from CLIP's tensors, and
                     settings that are not stored in tensors (activation, heads, preprocessing)
sources.py           loading of weights from files, folders and the Hub, and of training captions
clip_tokenizer.py    search for CLIP's tokenizer, which CLIP's weights do not contain
to_checkpoint.py     conversion to a checkpoint
to_authors.py        conversion of a checkpoint to files that the authors' code can load
"""

from dwc.convert.to_authors import convert_to_authors
from dwc.convert.to_checkpoint import CAPTION_TEMPLATES, convert

__all__ = ["CAPTION_TEMPLATES", "convert", "convert_to_authors"]
