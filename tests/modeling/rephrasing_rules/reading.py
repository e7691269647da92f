"""How a text is read after all rules."""

from dwc.modeling.text_rephrasing import rephrase_exclusions


def read(text: str) -> str:
    return rephrase_exclusions(text).text
