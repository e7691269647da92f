"""Paraphrases of a text: other texts with the same meaning that the parser accepts."""

from typing import NamedTuple

from dwc.catalogue.language.parser import (
    Phrases,
    Tokens,
    comparisons,
    parse_modification,
    words_of_category,
)
from dwc.catalogue.language.vocabulary import article
from dwc.catalogue.schema import Garment

_LONGEST = 7  # maximum number of words in a phrase
_DENYING = frozenset({"no", "not", "without"})


def paraphrase(text: str, reference: Garment | None, count: int) -> list[str]:
    """Return texts that express exactly the meaning of `text` in other words.

    Args:
        text: A modification of `reference`, or the description of a garment.
        reference: The garment that the text modifies; None if the text is a description.
        count: The maximum number of texts.

    Returns:
        Up to `count` texts; empty if the parser rejects the text or no phrase has a synonym.
    """
    demand = parse_modification(text, reference)
    if demand is None:
        return []
    category = demand.category or (reference.category if reference else min(demand.by_category))
    tables = _tables(category, reference)
    tokens = tuple(text.lower().replace(",", " , ").split())
    texts: list[str] = []
    for number in range(1, 4 * count + 1):
        other = _joined(_replace_phrases(tokens, tables, number))
        if (
            other not in (*texts, _joined(tokens))
            and parse_modification(other, reference) == demand
        ):
            texts.append(other)
    return texts[:count]


class _Tables(NamedTuple):
    """Tables of phrases with their meanings, in which synonyms are looked up.

    Attributes:
        said: The tables for phrases that state a value or a category ("long sleeved").
        denied: The tables for phrases after "no", "not" or "without".
    """

    said: list[Phrases]
    denied: list[Phrases]


def _tables(category: str, reference: Garment | None) -> _Tables:
    named = reference is None or reference.category != category
    lexicons = [words_of_category(category, is_named=named)]
    if reference is not None:
        lexicons.append(comparisons(category, reference))
    said = [table for words in lexicons for table in (words.being, words.having, words.names)]
    return _Tables(said, [words.lacking for words in lexicons])


def _replace_phrases(tokens: Tokens, tables: _Tables, number: int) -> list[str]:
    """Return the words of a text in which every phrase is replaced by its `number`-th synonym.

    The text is read from left to right. At each position, the longest phrase with a synonym is
    replaced. `number` starts at 1. After a phrase's last synonym, its first one follows: if a
    phrase has three synonyms, number 4 is the first one again.
    """
    words: list[str] = []
    start = 0
    while start < len(tokens):
        before = [word for word in words if word not in ("a", "an")][-1:]
        phrases = tables.denied if before and before[0] in _DENYING else tables.said
        for end in range(min(start + _LONGEST, len(tokens)), start, -1):
            if synonyms := _synonyms(tokens[start:end], phrases):
                words += synonyms[(number - 1) % len(synonyms)]
                start = end
                break
        else:
            words.append(tokens[start])
            start += 1
    return words


def _synonyms(phrase: Tokens, tables: list[Phrases]) -> list[Tokens]:
    """Return the synonyms of a phrase, that is, other phrases with exactly the same meaning.

    The synonyms come from the first of the tables that contains the phrase.
    """
    for table in tables:
        meanings = table.get(phrase)
        if meanings is not None and any(meaning.says_something for meaning in meanings):
            return [other for other, own in table.items() if own == meanings and other != phrase]
    return []


def _joined(words: Tokens | list[str]) -> str:
    """Join words into a text, with "a" or "an" corrected to suit the next word."""
    fitted = [
        article(after) if word in ("a", "an") and after else word
        for word, after in zip(words, [*words[1:], ""], strict=True)
    ]
    return " ".join(fitted).replace(" ,", ",")
