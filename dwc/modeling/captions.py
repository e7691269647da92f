"""The caption template: the form in which training saw its texts, applied to what is asked."""

from collections.abc import Mapping, Sequence


def fill_template(template: Mapping[str, str], captions: Sequence[str]) -> str:
    """One text out of an annotator's phrases, as `DWCConfig.caption_template` says.

    No phrase, or blank ones alone, give an empty text. One phrase goes into `single`, two into
    `pair`; more than two are joined by "and" until two are left.
    """
    phrases = [phrase.strip() for phrase in captions if phrase.strip()]
    if not phrases:
        return ""
    if len(phrases) == 1:
        return template["single"].format(phrases[0])
    return template["pair"].format(phrases[0], " and ".join(phrases[1:]))
