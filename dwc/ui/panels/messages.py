"""What the page has to say beside its results: why it cannot answer, which words it misses."""

from collections.abc import Sequence

from dwc.ui.format import escape


def render_trouble(message: str) -> str:
    """Why a question could not be searched; empty where there is nothing to say."""
    return f'<p class="trouble" role="alert">{escape(message)}</p>' if message else ""


def render_unknown(words: Sequence[str]) -> str:
    """The words typed that are not in the model's vocabulary, struck through."""
    if not words:
        return ""
    struck = ", ".join(f"<s>{escape(word)}</s>" for word in words)
    rest = (
        "is not among the words the model learned; it may pass over it"
        if len(words) == 1
        else "are not among the words the model learned; it may pass over them"
    )
    return f'<p class="unknown">{struck} {rest}.</p>'
