"""What the model read: the picture in its pixels, the words in its tokens."""

import base64
import io

from PIL import Image

from dwc.explain.model_input import ModelInput
from dwc.ui.format import escape


def render_model_input(read: ModelInput) -> str:
    """A closed note with what each stream was given."""
    shown = ""
    if read.picture is not None:
        width, height = read.picture.size
        shown += (
            f'<figure><img class="pixels" src="{_as_address(read.picture)}" width="128" '
            f'height="128" alt="The reference as the model sees it">'
            f"<figcaption>the picture, {width} by {height} pixels</figcaption></figure>"
        )
    rows = ""
    if read.text:
        rows += f"<dt>sent</dt><dd><q>{escape(read.text)}</q></dd>"
    if read.clip_pieces:
        pieces = "".join(f"<li>{escape(piece)}</li>" for piece in read.clip_pieces)
        rows += f'<dt>CLIP read</dt><dd><ol class="tokens">{pieces}</ol></dd>'
    if read.words:
        words = "".join(
            f"<li>{escape(word.word)}</li>"
            if word.known
            else f'<li><s>{escape(word.word)}</s><span class="sr-only"> unknown</span></li>'
            for word in read.words
        )
        rows += f'<dt>the CNN stream read</dt><dd><ol class="tokens">{words}</ol></dd>'
    return (
        '<details class="note"><summary>What the model read</summary>'
        f'<div class="read">{shown}<dl>{rows}</dl></div></details>'
    )


def _as_address(picture: Image.Image) -> str:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
