"""The comparison of combiners: the same data for all, each at its best learning rate."""

from dataclasses import replace

import pytest

from dwc.modeling.combiners import combiner_names
from dwc.training.catalogue.combiner_comparison import (
    CombinerComparison,
    compare_combiners,
    feature_bank,
)
from dwc.training.dwc.mutual_training import MutualSettings
from tests.training.study.made import made_features

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def contest() -> CombinerComparison:
    features = made_features()
    return CombinerComparison(
        bank=feature_bank(features.pool),
        settings=MutualSettings(total_steps=60, warmup_steps=2),
        learning_rates=(1e-9, 5e-3),
        batch_size=32,
        mixed_precision="bf16",
        seed=0,
        val=features.val,
        test=features.test,
    )


@pytest.fixture(scope="module")
def compared(contest: CombinerComparison) -> dict[str, dict]:
    return compare_combiners(made_features().config, contest)


def test_each_combiner_is_reported_at_its_best_rate(
    contest: CombinerComparison, compared: dict[str, dict]
) -> None:
    config = made_features().config
    assert set(compared) == set(combiner_names())
    assert compared["dwc"]["learning_rate"] == 5e-3  # at the other nothing is learned
    stuck = compare_combiners(config, replace(contest, learning_rates=(1e-9,)))
    assert compared["dwc"]["recall@1"] > stuck["dwc"]["recall@1"]
    assert config.combiner == "dwc"  # and the model's own configuration stays as it was


def test_without_parameters_there_is_no_rate(compared: dict[str, dict]) -> None:
    fixed = compared["progressive_fixed"]
    assert fixed["parameters"] == 0
    assert fixed["learning_rate"] is None
    assert fixed["weight_truth_correlation"] is None
