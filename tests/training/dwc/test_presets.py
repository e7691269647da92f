"""The two recipes, and setting one of their numbers by name."""

from dataclasses import fields, replace

import pytest

from dwc.errors import TrainingError
from dwc.modeling.combiners import combiner_names
from dwc.training.dwc.mutual_training import MutualSettings
from dwc.training.dwc.presets import (
    AUTHORS,
    COMBINERS,
    PRESETS,
    RECOMMENDED,
    BenchmarkPreset,
    override,
)


def test_the_authors_loop_is_the_loops_own_default_but_for_its_teacher() -> None:
    """`MutualSettings` says of its defaults that they are the released code's."""
    expected = MutualSettings(
        total_steps=201 * 187, teacher_side="reference", log_every=20, save_every=500
    )
    assert AUTHORS.mutual_settings(steps_per_epoch=187) == expected


def test_the_authors_measure_before_each_epoch_and_never_the_last_weights() -> None:
    assert AUTHORS.measured_epochs() == range(201)
    assert replace(AUTHORS, measures="after", epochs=3).measured_epochs() == range(1, 4)


def test_every_slip_is_undone_in_ours() -> None:
    slips = (
        "teacher_side", "states_answer", "masks_padding", "caption_form", "chooses_on", "measures",
    )  # fmt: skip
    assert all(getattr(AUTHORS, slip) != getattr(RECOMMENDED, slip) for slip in slips)
    assert AUTHORS.caption_template("fashion_iq")["pair"] == "<BOS> {0} <AND> {1} <EOS>"
    assert AUTHORS.caption_template("shoes") == RECOMMENDED.caption_template("fashion_iq")


def test_what_both_recipes_share_is_the_papers_model_and_losses() -> None:
    shared = ("temperature", "alpha", "teacher_scale", "mutual_weight", "embedding_dim",
              "hidden_dim", "word_embedding_dim", "dropout", "weight_decay", "eps")  # fmt: skip
    assert [getattr(AUTHORS, n) for n in shared] == [getattr(RECOMMENDED, n) for n in shared]


def test_a_short_training_is_never_all_warm_up() -> None:
    assert RECOMMENDED.mutual_settings(steps_per_epoch=1).warmup_steps == RECOMMENDED.epochs // 2
    assert RECOMMENDED.mutual_settings(steps_per_epoch=100).warmup_steps == 500


@pytest.mark.parametrize(
    ("assignment", "name", "value"),
    [
        ("epochs=3", "epochs", 3),
        ("learning_rate=2e-5", "learning_rate", 2e-5),
        ("masks_padding=yes", "masks_padding", True),
        ("states_answer = no", "states_answer", False),
        ("teacher_side=target", "teacher_side", "target"),
        ("doubt=0.4", "gce_q", 0.4),
        ("gce_q=0.4", "gce_q", 0.4),
        ("weight_teaching=0", "weight_distillation", 0.0),
        ("max_gradient_norm=1", "max_gradient_norm", 1.0),
        ("max_gradient_norm=none", "max_gradient_norm", None),
    ],
)
def test_a_number_or_switch_is_set_by_name(assignment: str, name: str, value: object) -> None:
    changed = override(AUTHORS, [assignment])
    assert getattr(changed, name) == value
    assert type(getattr(changed, name)) is type(value)
    assert replace(changed, **{name: getattr(AUTHORS, name)}) == AUTHORS


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("epoch=3", "'epoch=3' sets nothing; give NAME=VALUE, with one of epochs"),
        ("epochs", "'epochs' sets nothing"),
        ("name=mine", "sets nothing"),
        ("epochs=2.5", "epochs is '2.5'; it is a whole number"),
        ("alpha=much", "alpha is 'much'; it is a number"),
        ("teacher_side=both", "teacher_side is 'both'; it is one of target, reference"),
        ("masks_padding=1", "masks_padding is '1'; it is yes or no"),
        ("epochs=0", "epochs is 0; it must be above 0"),
        ("temperature=nan", "temperature is nan; it must be above 0"),
        ("batch_size=1", "batch_size is 1; it must be at least 2"),
        ("dropout=1", "dropout is 1.0; it must be at least 0 and below 1"),
        ("held_out_share=0", "held_out_share is 0.0; it must be above 0 and below 1"),
        ("max_gradient_norm=0", "max_gradient_norm is 0.0; it must be above 0, or none"),
        ("streams=cnn", "streams is 'cnn'; it is one of both, clip"),
        ("combiner=progressive", "combiner is progressive; it is one of dwc, dwc_unit, dwc_joint"),
        ("save_every=30", "save_every is 30; it must be a multiple of log_every (20)"),
    ],
)
def test_wrong_assignments_are_errors(assignment: str, says: str) -> None:
    with pytest.raises(TrainingError) as raised:
        override(AUTHORS, [assignment])
    assert says in str(raised.value)


def test_every_field_can_be_set_to_what_it_is() -> None:
    for preset in PRESETS.values():
        for field in fields(BenchmarkPreset):
            value = getattr(preset, field.name)
            if field.name != "name":
                text = {True: "yes", False: "no", None: "none"}.get(value, str(value))
                text = text if isinstance(value, bool) or value is None else str(value)
                assert override(preset, [f"{field.name}={text}"]) == preset


def test_every_combiner_is_trained_here_or_by_pls_own_training() -> None:
    assert set(COMBINERS) | {"progressive", "progressive_fixed"} == set(combiner_names())
