"""Conversion of weights from the paper authors' code to checkpoints of this project, and back.

Only this package knows the tensor names of other projects. The modules are:

key_mapping.py       renaming of the tensors of a state dict by rules, in both directions; the rules
                     for the two streams of the authors' code
openai_clip.py       the tensor names of CLIP in OpenAI's code; the sizes of a CLIP model, from its
                     tensors; its other settings (activation, heads, preprocessing), from config
                     files
sources.py           loading of weights from files, folders and the Hub, and of training captions
clip_tokenizer.py    search for CLIP's tokenizer, which CLIP's weights do not contain
to_checkpoint.py     conversion to a checkpoint
to_authors.py        conversion of a checkpoint to files that the authors' code can load
"""

from dwc.convert.to_authors import convert_to_authors
from dwc.convert.to_checkpoint import CAPTION_TEMPLATES, convert

__all__ = ["CAPTION_TEMPLATES", "convert", "convert_to_authors"]
