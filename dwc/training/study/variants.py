"""What the study compares, declared: each variant is the full system with one thing changed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dwc.training.progressive.recipe import STAGES, Stage

Family = Literal["dwc", "combiner", "noise", "pl"]


@dataclass(frozen=True)
class Variant:
    """One system: a family's own full one, but for what is said here.

    `name` is a file's; `label` a reader's; `families` are the tables it stands in. `streams` are
    those of DWC that it has. Without `edits` both parts are the features as they are; without
    `weighs` every weight is one half. `alpha` is that of the soft labels, by default the study's.
    `authors` takes the authors' settings at the same number of triplets seen. `wrong_share` of the
    training texts are another triplet's. `doubt` and `weight_teaching` are those of
    `AlternatingSettings`. `stages` and `self_supervised` are PL's.
    """

    name: str
    families: tuple[Family, ...]
    label: str
    streams: tuple[str, ...] = ("clip",)
    combiner: str = "dwc"
    edits: bool = True
    weighs: bool = True
    alpha: float | None = None
    mutual: bool = True
    teacher_side: Literal["target", "reference"] = "target"
    authors: bool = False
    wrong_share: float = 0.0
    doubt: float = 0.0
    weight_teaching: float = 0.0
    stages: tuple[Stage, ...] = STAGES
    self_supervised: bool = True

    @property
    def cost(self) -> float:
        """About how many seconds of one core it takes, until it was measured."""
        seconds = 60.0 if "cnn" in self.streams else 15.0
        if self.combiner == "clip4cir":
            seconds *= 4
        return seconds * 2 if self.authors else seconds


@dataclass(frozen=True)
class Claim:
    """Whether one number of the runs is above another.

    `claim` is the sentence that the numbers are to bear: that `metric` of the variant `better`, a
    dotted path into a run's numbers, is above that of `worse`, or above `worse_metric` of it, by at
    least `least`; where `worse` is None, that it is at least `least` itself. `whose` says who
    claims it: a paper, or this project.
    """

    claim: str
    better: str
    worse: str | None
    metric: str = "recall@1"
    whose: Literal["DWC", "PL", "ours"] = "DWC"
    worse_metric: str | None = None
    least: float = 0.0


FOLLOWS = 0.3
"""Spearman's correlation from which a weight is said to follow the truth."""

COST_OF_WRONG_TEXTS = 0.05
"""How much R@1 a fifth of wrong texts may cost."""

_DOUBT = 0.4

BOTH = ("clip", "cnn")
OURS = "dwc_ours"
"""The variant with both changes of ours that keep the weights telling."""

_FULL = Variant("dwc", ("dwc",), "DWC, all parts", BOTH)
# Also the one that other combiners, and wrong texts, are held against.
_CLIP = Variant("dwc_clip_alone", ("dwc", "combiner", "noise"), "DWC's CLIP stream alone")
_PL = Variant("pl", ("pl",), "PL, all parts (reconstruction)", combiner="progressive")


def all_variants(wrong_texts: Sequence[float] = (0.0, 0.1, 0.2, 0.4)) -> list[Variant]:
    """Every variant, DWC's first."""
    return [*_parts_of_dwc(), *_combiners(), *_parts_of_pl(), *_noise(wrong_texts)]


def _parts_of_dwc() -> list[Variant]:
    return [
        _FULL,
        replace(_FULL, name="dwc_no_editors", label="without the editors", edits=False),
        replace(_FULL, name="dwc_half", label="weight fixed at one half", weighs=False),
        replace(
            _FULL,
            name="dwc_half_no_editors",
            label="without editors, weight at one half",
            edits=False,
            weighs=False,
        ),
        replace(_FULL, name="dwc_no_ssg", label="without soft labels (SSG)", alpha=0.0),
        replace(_FULL, name="dwc_no_mutual", label="without mutual enhancement", mutual=False),
        replace(
            _FULL,
            name="dwc_taught_by_reference",
            label="taught by the other's reference, as released",
            teacher_side="reference",
        ),
        replace(
            _FULL,
            name="dwc_weight_taught",
            label="CNN stream's weight taught by the CLIP stream's (ours)",
            weight_teaching=0.5,
        ),
        replace(
            _FULL,
            name=OURS,
            label="that, and the CLIP stream's parts of unit length (ours)",
            combiner="dwc_unit",
            weight_teaching=0.5,
        ),
        _CLIP,
        replace(_FULL, name="dwc_cnn_alone", label="DWC's CNN stream alone", streams=("cnn",)),
        replace(
            _FULL,
            name="dwc_authors",
            label="the authors' settings",
            authors=True,
            teacher_side="reference",
        ),
    ]


def _combiners() -> list[Variant]:
    labels = {
        "image_only": "picture only",
        "text_only": "words only",
        "average": "plain average",
        "concat_mlp": "concatenation MLP",
        "tirg": "TIRG",
        "clip4cir": "CLIP4Cir's Combiner",
        "dwc_unit": "DWC's combiner, parts of unit length (ours)",
        "dwc_joint": "DWC's combiner with a joint part (ours)",
    }
    return [
        Variant(f"combiner_{name}", ("combiner",), label, combiner=name)
        for name, label in labels.items()
    ]


def _parts_of_pl() -> list[Variant]:
    def without(stage: Stage, label: str) -> Variant:
        left = tuple(name for name in STAGES if name != stage)
        return replace(_PL, name=f"pl_without_{stage}", label=label, stages=left)

    return [
        _PL,
        without("open_domain", "without stage one: CLIP's common space thrown away"),
        without("fashion", "without stage two: no fashion pre-training"),
        without("hybrid", "without stage three: half and half, no composed queries"),
        replace(
            _PL,
            name="pl_fixed",
            label="without the adaptive weight",
            combiner="progressive_fixed",
        ),
        replace(
            _PL,
            name="pl_unsupervised",
            label="weight learned from retrieval alone",
            self_supervised=False,
        ),
    ]


def _noise(wrong_texts: Sequence[float]) -> list[Variant]:
    """Every share with each kind of label; of soft ones on clean texts there is one already."""
    kinds = {
        "soft": (None, 0.0, "soft labels (SSG)"),
        "hard": (0.0, 0.0, "hard labels"),
        "doubted": (None, _DOUBT, "soft labels, doubted (ours)"),
    }
    return [
        Variant(
            name=f"noise_{round(100 * share)}_{kind}",
            families=("noise",),
            label=f"{round(100 * share)} % wrong texts, {label}",
            alpha=alpha,
            wrong_share=share,
            doubt=doubt,
        )
        for share in wrong_texts
        for kind, (alpha, doubt, label) in kinds.items()
        if share > 0 or kind != "soft"
    ]


def all_claims(wrong_texts: Sequence[float] = (0.0, 0.1, 0.2, 0.4)) -> list[Claim]:
    """What the numbers are asked."""
    alone = "streams.clip.recall@1"
    noisy = [round(100 * share) for share in wrong_texts if share > 0]
    return [
        Claim("The editors raise R@1", "dwc", "dwc_no_editors"),
        Claim("The learned weight raises R@1 over one half", "dwc", "dwc_half"),
        Claim(
            "DWC's learned weight does better than the best fixed one, parts as they are",
            "dwc_clip_alone",
            "dwc_clip_alone",
            "weights.learned.recall@1",
            "DWC",
            "weights.best_fixed.recall@1",
        ),
        Claim(
            "Without the editors, the learned weight raises R@1 over one half",
            "dwc_no_editors",
            "dwc_half_no_editors",
            whose="ours",
        ),
        Claim(
            "The CLIP stream's weight follows the share that only the picture tells",
            "dwc",
            None,
            "streams.clip.weight_truth_correlation",
            least=FOLLOWS,
        ),
        Claim(
            "The CNN stream's weight follows the share that only the picture tells",
            "dwc",
            None,
            "streams.cnn.weight_truth_correlation",
            least=FOLLOWS,
        ),
        Claim(
            "Taught by the CLIP stream's, the CNN stream's weight follows that share",
            "dwc_weight_taught",
            None,
            "streams.cnn.weight_truth_correlation",
            whose="ours",
            least=FOLLOWS,
        ),
        Claim(
            "With both changes of ours, the CLIP stream's weight follows that share",
            OURS,
            None,
            "streams.clip.weight_truth_correlation",
            whose="ours",
            least=FOLLOWS,
        ),
        Claim(
            "With both changes of ours, the CNN stream's weight follows that share",
            OURS,
            None,
            "streams.cnn.weight_truth_correlation",
            whose="ours",
            least=FOLLOWS,
        ),
        Claim("Both changes of ours together raise R@1", OURS, "dwc", whose="ours"),
        Claim(
            "Teaching the CNN stream its weight raises R@1",
            "dwc_weight_taught",
            "dwc",
            whose="ours",
        ),
        Claim("Soft labels (SSG) raise R@1 on clean texts", "dwc", "dwc_no_ssg"),
        *(
            Claim(
                f"With {share} % wrong texts, soft labels (SSG) raise the CLIP stream's R@1",
                f"noise_{share}_soft",
                f"noise_{share}_hard",
            )
            for share in noisy
        ),
        *(
            Claim(
                f"20 % wrong texts cost at most {100 * COST_OF_WRONG_TEXTS:.0f} points{how}",
                f"noise_20_{kind}",
                "dwc_clip_alone",
                whose="ours",
                least=-COST_OF_WRONG_TEXTS,
            )
            for kind, how in (("soft", ""), ("doubted", " where they are doubted"))
            if 20 in noisy
        ),
        Claim("Mutual enhancement raises R@1 of both streams together", "dwc", "dwc_no_mutual"),
        Claim("Mutual enhancement raises R@1 of its CLIP stream", "dwc", "dwc_no_mutual", alone),
        Claim(
            "A teacher's targets teach better than its references",
            "dwc",
            "dwc_taught_by_reference",
            whose="ours",
        ),
        Claim("Two streams find more than the CLIP stream alone", "dwc", "dwc_clip_alone"),
        Claim("Two streams find more than the CNN stream alone", "dwc", "dwc_cnn_alone"),
        Claim(
            "Our settings find more than the authors' at this budget",
            "dwc",
            "dwc_authors",
            whose="ours",
        ),
        *(
            Claim(f"DWC's combiner finds more than {label}", "dwc_clip_alone", f"combiner_{other}")
            for other, label in {
                "average": "the plain average",
                "concat_mlp": "a concatenation MLP",
                "tirg": "TIRG",
                "clip4cir": "CLIP4Cir's Combiner",
            }.items()
        ),
        Claim(
            "DWC with both streams finds more than CLIP4Cir's Combiner",
            "dwc",
            "combiner_clip4cir",
        ),
        Claim(
            "Parts of unit length raise R@1 of DWC's combiner",
            "combiner_dwc_unit",
            "dwc_clip_alone",
            whose="ours",
        ),
        Claim(
            "A joint part raises R@1 of DWC's combiner",
            "combiner_dwc_joint",
            "dwc_clip_alone",
            whose="ours",
        ),
        Claim(
            "DWC's combiner with a joint part finds more than CLIP4Cir's Combiner",
            "combiner_dwc_joint",
            "combiner_clip4cir",
            whose="ours",
        ),
        *(
            Claim(f"Stage {word} raises R@1", "pl", f"pl_without_{stage}", whose="PL")
            for word, stage in zip(("one", "two", "three"), STAGES, strict=True)
        ),
        Claim("The adaptive weight raises R@1 over one half", "pl", "pl_fixed", whose="PL"),
        Claim(
            "PL's learned weight does better than the best fixed one",
            "pl",
            "pl",
            "weights.learned.recall@1",
            "PL",
            "weights.best_fixed.recall@1",
        ),
        Claim(
            "PL's weight follows the share that only the picture tells",
            "pl",
            None,
            "streams.clip.weight_truth_correlation",
            "PL",
            least=FOLLOWS,
        ),
        Claim(
            "Self-supervision makes a better weight than retrieval alone",
            "pl",
            "pl_unsupervised",
            whose="PL",
        ),
    ]


@dataclass(frozen=True)
class Run:
    """A variant with a seed."""

    variant: Variant
    seed: int

    @property
    def name(self) -> str:
        """Its file's name, without the suffix."""
        return f"{self.variant.name}-{self.seed}"
