import math

import torch

from dwc.modeling.cnn_stream import cross_attention


def test_attention_is_the_formula_word_by_word_and_region_by_region():
    words, regions = torch.randn(2, 3, 4) * 3, torch.randn(2, 5, 4) * 3
    mask = torch.tensor([[True, True, True], [True, True, False]])
    attention = cross_attention(words, regions, mask, word_temperature=7.0, region_temperature=4.0)
    for row, length in enumerate([3, 2]):
        scores = [
            [float(words[row, word] @ regions[row, region]) for region in range(5)]
            for word in range(length)
        ]
        for region in range(5):
            powers = [math.exp(scores[word][region] / 7) for word in range(length)]
            context = sum(
                power / sum(powers) * words[row, word] for word, power in enumerate(powers)
            )
            torch.testing.assert_close(attention.word_context[row, region], context)
        for word in range(length):
            powers = [math.exp(scores[word][region] / 4) for region in range(5)]
            context = sum(
                power / sum(powers) * regions[row, region] for region, power in enumerate(powers)
            )
            torch.testing.assert_close(attention.region_context[row, word], context)
    torch.testing.assert_close(attention.over_words.sum(dim=1), torch.ones(2, 5))
    assert attention.over_words[1, 2].abs().sum() == 0
    assert attention.over_regions[1, 2].abs().sum() == 0


def test_a_row_without_words_has_contexts_of_zero_and_finite_gradients():
    words = torch.randn(2, 3, 4, requires_grad=True)
    regions = torch.randn(2, 5, 4, requires_grad=True)
    mask = torch.tensor([[True, False, False], [False, False, False]])
    attention = cross_attention(words, regions, mask, 7.0, 4.0)
    assert attention.word_context[1].abs().sum() == 0
    assert attention.region_context[1].abs().sum() == 0
    (attention.word_context.sum() + attention.region_context.sum()).backward()
    assert torch.isfinite(words.grad).all()
    assert torch.isfinite(regions.grad).all()
