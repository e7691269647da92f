"""Foreign weights -> a checkpoint of this project: the only place that knows others' names.

renaming.py        how one state dict becomes another, with every tensor accounted for
authors.py         the authors' names of the two streams
openai_clip.py     OpenAI's names of CLIP, and the sizes that its tensors tell
sources.py         files, folders and Hub names -> state dicts, the captions
clip_tokenizer.py  where CLIP's tokenizer comes from, which no CLIP weights hold
conversion.py      all of it together, checked, written
"""

from dwc.convert.conversion import CAPTION_TEMPLATES, convert

__all__ = ["CAPTION_TEMPLATES", "convert"]
