"""Panel that shows the model's input: the preprocessed reference image and the tokenized text."""

import base64
import io

from PIL import Image

from dwc.modeling.text_cleaning import TypedText
from dwc.search.query import ModelInput, describe_model_input
from dwc.search.searcher import Searcher
from dwc.ui.format import escape
from dwc.ui.gallery_images import GalleryImages
from dwc.ui.state import SearchState


def render(searcher: Searcher, images: GalleryImages, state: SearchState) -> str:
    """Return the HTML of the panel for a search result."""
    model_input = describe_model_input(searcher.checkpoint, state.query)
    return render_model_input(model_input, state.query.typed)


def render_model_input(model_input: ModelInput, typed: TypedText | None = None) -> str:
    """Return the HTML of a collapsed note with the input of each stream.

    Args:
        model_input: The input of each stream.
        typed: The typed text, which is shown if a part of it was cut off; None to omit it.
    """
    figure = ""
    if model_input.picture is not None:
        width, height = model_input.picture.size
        figure = (
            f'<figure><img class="pixels" src="{_data_url(model_input.picture)}" width="128" '
            f'height="128" alt="The reference as the model sees it">'
            f"<figcaption>the picture, {width} by {height} pixels</figcaption></figure>"
        )
    rows = "" if typed is None else _typed_row(typed)
    if model_input.text:
        rows += f"<dt>sent</dt><dd><q>{escape(model_input.text)}</q></dd>"
    if model_input.clip_pieces:
        pieces = "".join(f"<li>{escape(piece)}</li>" for piece in model_input.clip_pieces)
        rows += f'<dt>CLIP read</dt><dd><ol class="tokens">{pieces}</ol></dd>'
    if model_input.words:
        words = "".join(
            f"<li>{escape(word.word)}</li>"
            if word.known
            else f'<li><s>{escape(word.word)}</s><span class="sr-only"> unknown</span></li>'
            for word in model_input.words
        )
        rows += f'<dt>the CNN stream read</dt><dd><ol class="tokens">{words}</ol></dd>'
    return (
        '<details class="note"><summary>What the model read</summary>'
        f'<div class="read">{figure}<dl>{rows}</dl></div></details>'
    )


def _typed_row(typed: TypedText) -> str:
    """Return the HTML of the typed text, with the part that was cut off struck through.

    The result is empty if nothing was cut off.
    """
    if not typed.cut:
        return ""
    return (
        f"<dt>typed</dt><dd><q>{escape(typed.text)}</q> "
        f'<s>{escape(typed.cut)}</s><span class="sr-only"> not read</span></dd>'
    )


def _data_url(image: Image.Image) -> str:
    content = io.BytesIO()
    image.save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
