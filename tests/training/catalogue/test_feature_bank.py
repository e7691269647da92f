"""Training heads on cached features includes a combiner's own loss."""

import pytest
import torch
from torch import Tensor

from dwc.modeling.clip_stream import ClipStream
from dwc.modeling.combiners import Composition, ProgressiveCombiner
from dwc.training.catalogue.combiner_comparison import FeatureBank, train_on_features
from dwc.training.dwc.mutual_training import MutualSettings

pytestmark = pytest.mark.training

DIM, ITEMS = 8, 12


@pytest.mark.parametrize("wanted", [0.0, 1.0])
def test_a_combiners_side_loss_is_trained(monkeypatch: pytest.MonkeyPatch, wanted: float) -> None:
    generator = torch.Generator().manual_seed(0)
    places = torch.arange(ITEMS)
    bank = FeatureBank(
        images=torch.randn(1, ITEMS, DIM, generator=generator),
        references=places,
        targets=places.roll(1),
        texts=torch.randn(ITEMS, DIM, generator=generator),
    )

    def draw_to_wanted(
        combiner: ProgressiveCombiner,
        composed: Composition,
        gallery: Tensor,
        labels: Tensor,
        temperature: float,
    ) -> Tensor:
        assert len(composed.image_weight) == len(gallery) == len(labels) == 24
        assert temperature == 0.05
        return 100 * (composed.image_weight - wanted).abs().mean()

    monkeypatch.setattr(ProgressiveCombiner, "side_loss", draw_to_wanted)
    torch.manual_seed(0)
    stream = ClipStream(DIM, DIM, "progressive", 0.0)
    settings = MutualSettings(
        total_steps=40,
        learning_rate=3e-2,
        schedule="cosine",
        warmup_steps=1,
        temperature=0.05,
    )
    numbers = train_on_features(stream, bank, settings, 24, 0, "bank")
    assert set(numbers) == {"contrast"}
    with torch.no_grad():
        weights = stream.compose(bank.images[0], bank.texts).image_weight
    assert (weights - wanted).abs().max() < 0.1
