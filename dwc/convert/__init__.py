"""Foreign weights -> a checkpoint of this project, and back: the only place with others' names.

renaming.py        how one state dict becomes another, with every tensor accounted for, both ways
authors.py         the authors' names of the two streams
openai_clip.py     OpenAI's names of CLIP, and the sizes that its tensors tell
sources.py         files, folders and Hub names -> state dicts, the captions
clip_tokenizer.py  where CLIP's tokenizer comes from, which no CLIP weights hold
report.py          what became of what, in lines
conversion.py      all of it together, checked, written
exporting.py       the other way: what the authors' code can load of a checkpoint
"""

from dwc.convert.to_authors import convert_to_authors
from dwc.convert.to_checkpoint import CAPTION_TEMPLATES, convert

__all__ = ["CAPTION_TEMPLATES", "convert", "convert_to_authors"]
