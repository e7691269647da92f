"""Other weights on the same queries: ranks against a naive ranker, and the oracle's bound."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dwc.datasets.triplets import Benchmark, RetrievalQuery
from dwc.evaluation.metrics import first_hit_rank
from dwc.evaluation.retrieval import run_benchmark
from dwc.modeling.combiners import Composition, normalize
from dwc.modeling.configuration_dwc import DWCConfig
from dwc.modeling.modeling_dwc import DWCModel
from dwc.training.progressive.ablation import (
    GRID,
    AblationQueries,
    best_fixed_weight,
    encode_queries,
    oracle_weights,
    ranks_at,
    weight_ablation,
)
from tests.training.tiny import PX, TEXTS, THINGS, picture, tiny_model, tiny_processor


def asked(seed: int, queries: int = 6, items: int = 9) -> AblationQueries:
    generator = torch.Generator().manual_seed(seed)

    def unit(count: int) -> Tensor:
        return normalize(torch.randn(count, 4, generator=generator))

    gallery = unit(items)
    gallery[1] = gallery[0]  # ties
    hits = torch.rand(queries, items, generator=generator) < 0.2  # of some queries none
    left_out = torch.rand(queries, items, generator=generator) < 0.15
    weight = torch.rand(queries, 1, generator=generator)
    composed = Composition.mix(unit(queries), unit(queries), weight)
    return AblationQueries(composed, gallery, hits & ~left_out, left_out)


def naive_ranks(case: AblationQueries, weights: Tensor) -> list[int]:
    ranks = []
    for row in range(len(weights)):
        w = float(weights[row])
        query = w * case.queries.image_part[row] + (1 - w) * case.queries.text_part[row]
        scores = case.gallery @ (query / query.norm())
        scores[case.left_out[row]] = -torch.inf
        ranks.append(first_hit_rank(scores.numpy(), case.hits[row].numpy()))
    return ranks


def check_ranks(case: AblationQueries, weights: Tensor) -> None:
    ranks, there = ranks_at(case, weights), case.hits.any(dim=1)
    assert ranks[there].tolist() == torch.tensor(naive_ranks(case, weights))[there].tolist()
    assert (ranks[~there] > 10**9).all()


@settings(max_examples=25)
@given(seed=st.integers(0, 500))
def test_ranks_are_those_of_a_naive_ranker(seed: int) -> None:
    case = asked(seed)
    learned = case.queries.image_weight
    check_ranks(case, learned)
    check_ranks(case, torch.full_like(learned, 0.25))


@pytest.mark.slow
@settings(max_examples=25)
@given(seed=st.integers(0, 500))
def test_no_weight_of_the_grid_beats_the_oracle(seed: int) -> None:
    case = asked(seed)
    weights = oracle_weights(case)
    assert weights.shape == (len(case.hits), 1)
    best = torch.stack([ranks_at(case, weight) for weight in GRID]).amin(dim=0)
    assert torch.equal(ranks_at(case, weights), best)
    fixed = best_fixed_weight(case)
    found = max(int((ranks_at(case, weight) == 1).sum()) for weight in GRID)
    assert int((ranks_at(case, fixed) == 1).sum()) == found


def test_the_oracle_takes_the_middle_of_the_best_weights() -> None:
    """The target lies halfway, the others on the two ends: any weight around 0.5 finds it."""
    ends = torch.eye(2)
    gallery = torch.cat([ends, normalize(ends.sum(dim=0, keepdim=True))])
    composed = Composition.mix(ends[:1], ends[1:], torch.tensor([[0.9]]))
    hits = torch.tensor([[False, False, True]])
    case = AblationQueries(composed, gallery, hits, torch.zeros_like(hits))
    assert oracle_weights(case).item() == pytest.approx(0.5)
    assert ranks_at(case, 1.0).tolist() == [2]
    table = weight_ablation(case, chosen_on=case, ks=(1,))
    assert {name: row["recall@1"] for name, row in table.items()} == {
        "learned": 0.0,
        "image_only": 0.0,
        "text_only": 0.0,
        "half": 1.0,
        "best_fixed": 1.0,
        "oracle": 1.0,
    }
    assert table["learned"]["image_weight_mean"] == pytest.approx(0.9)


def small_benchmark() -> tuple[Benchmark, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    names = {f"{top}-{bottom}": (top, bottom) for top, bottom in THINGS}
    pictures = {name: picture(thing, generator) for name, thing in names.items()}
    queries = []
    for place, (name, (_, bottom)) in enumerate(names.items()):
        text = TEXTS[place % 5]  # "top <colour>"
        target = f"{text.split()[1]}-{bottom}"
        queries.append(RetrievalQuery(name, (text,), frozenset({target}) - {name}))
    return Benchmark("tiny", tuple(names), tuple(q for q in queries if q.hits)), pictures


@pytest.mark.slow
def test_ranks_of_a_benchmark_are_those_of_the_evaluation() -> None:
    from PIL import Image

    processor = tiny_processor()
    clip = tiny_model(processor).config.clip_config
    torch.manual_seed(0)
    model = DWCModel(
        DWCConfig(
            clip_config=clip,
            cnn_config=None,
            clip_embedding_dim=clip.projection_dim,
            combiner="progressive",
        )
    ).eval()
    benchmark, pictures = small_benchmark()

    def open_picture(name: str) -> Image.Image:
        pixels = ((pictures[name] + 1) * 127.5).clamp(0, 255).byte().permute(1, 2, 0)
        assert pixels.shape == (PX, PX, 3)
        return Image.fromarray(pixels.numpy())

    case = encode_queries(model, processor, benchmark, open_picture, batch_size=7)
    report = run_benchmark(benchmark, model, processor, open_picture)
    assert ranks_at(case, case.queries.image_weight).tolist() == report.ranks["clip"].tolist()
    weights = case.queries.image_weight[:, 0].numpy()
    assert weights == pytest.approx(report.image_weights["clip"], abs=1e-6)


def test_a_model_without_a_clip_stream_is_an_error() -> None:
    processor = tiny_processor()
    config = tiny_model(processor).config
    alone = DWCModel(DWCConfig(clip_config=None, cnn_config=config.cnn_config.to_dict()))
    with pytest.raises(ValueError, match="this model has none"):
        encode_queries(alone, processor, small_benchmark()[0], lambda name: None)
