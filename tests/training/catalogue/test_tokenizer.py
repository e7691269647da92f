"""A learned CLIP tokenizer: any text can be read, the same each time."""

import subprocess
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from dwc.training.catalogue.recipe import train_clip_tokenizer
from tests.fork_server import PYTHON

TEXTS = ["is longer and darker", "has longer sleeves, and no belt", "the neckline's lower"] * 3


@pytest.fixture(scope="module")
def tokenizer():
    return train_clip_tokenizer(TEXTS, 545, max_tokens=20)


def naive_pairs(texts):
    """Merge the most frequent pair again and again; stop at the first tie."""
    words = [[*word[:-1], word[-1] + "</w>"] for text in texts for word in text.split()]
    while True:
        counts = {}
        for word in words:
            for pair in pairwise(word):
                counts[pair] = counts.get(pair, 0) + 1
        best = sorted(counts.values(), reverse=True)
        if not best or best[1:2] == best[:1]:
            return
        pair = max(counts, key=counts.get)
        yield "".join(pair)
        for word in words:
            for i in range(len(word) - 2, -1, -1):
                if tuple(word[i : i + 2]) == pair:
                    word[i : i + 2] = ["".join(pair)]


def test_the_most_frequent_pairs_are_merged_first():
    texts = ["red " * 9 + "reds " * 5 + "bed " * 3]
    expected = list(naive_pairs(texts))
    assert len(expected) >= 2  # the comparison says something
    tokens = train_clip_tokenizer(texts, 514 + len(expected)).get_vocab()
    learned = sorted((t for t in tokens if tokens[t] >= 512), key=tokens.get)
    assert learned == [*expected, "<|startoftext|>", "<|endoftext|>"]


def test_laid_out_as_clips_is(tokenizer):
    vocabulary = tokenizer.get_vocab()
    assert len(tokenizer) == len(vocabulary) == 545
    assert sorted(vocabulary.values()) == list(range(545))
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (543, 544)
    assert tokenizer.model_max_length == 20
    by_id = sorted(vocabulary, key=vocabulary.get)
    assert [f"{piece}</w>" for piece in by_id[:256]] == by_id[256:512]


def test_frequent_words_become_one_token(tokenizer):
    assert tokenizer.convert_ids_to_tokens(tokenizer("Longer AND")["input_ids"]) == [
        "<|startoftext|>", "longer</w>", "and</w>", "<|endoftext|>",
    ]  # fmt: skip


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_text_can_be_read(tokenizer, text):
    ids = tokenizer(text)["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    if "<|" not in text:
        assert tokenizer.bos_token_id not in ids[1:]
        assert tokenizer.eos_token_id not in ids[:-1]  # also the mark of what cannot be read


def test_loads_as_clips_tokenizer(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = CLIPTokenizer.from_pretrained(tmp_path)
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert loaded("the neckline's é")["input_ids"] == tokenizer("the neckline's é")["input_ids"]
    assert loaded.model_max_length == 20


@pytest.mark.slow
def test_another_process_learns_the_same(tokenizer, tmp_path):
    code = (
        "import sys; from dwc.training.catalogue.recipe import train_clip_tokenizer as train\n"
        f"train({TEXTS!r}, 545, max_tokens=20).save_pretrained(sys.argv[1])"
    )
    subprocess.run([*PYTHON, "-c", code, str(tmp_path / "other")], check=True)
    tokenizer.save_pretrained(tmp_path / "this")
    written = [(tmp_path / run / "tokenizer.json").read_bytes() for run in ("this", "other")]
    assert written[0] == written[1]


def test_too_small_a_vocabulary_is_refused():
    with pytest.raises(ValueError, match="514"):
        train_clip_tokenizer(TEXTS, 513)
    assert len(train_clip_tokenizer(["a"], 10_000)) == 514
