"""A query's captions as a checkpoint reads them: in its template, and no longer than it can."""

from collections.abc import Mapping, Sequence

from dwc.errors import QueryError
from dwc.modeling.captions import fill_template
from dwc.processing import DWCProcessor


def readable_text(
    processor: DWCProcessor, template: Mapping[str, str], captions: Sequence[str]
) -> tuple[str, bool]:
    """The captions in the template, and whether they had to be cut.

    CLIP reads a set number of tokens, and some annotators wrote more. The longest caption loses its
    last word until the whole is short enough, so that what the template adds stays.
    """
    words = [caption.split() for caption in captions]
    text = fill_template(template, captions)
    cut = False
    while not _is_readable(processor, text) and any(words):
        max(words, key=len).pop()
        text = fill_template(template, [" ".join(caption) for caption in words])
        cut = True
    return text, cut


def _is_readable(processor: DWCProcessor, text: str) -> bool:
    try:
        processor(text=[text], return_tensors="pt")
    except QueryError:
        return False
    return True
