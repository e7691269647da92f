"""Tables of the study's system variants and of the claims that it tests.

A system variant is a complete retrieval system. Most variants differ in one part from full DWC or
from full PL (Progressive Learning).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from dwc.training.progressive.recipe import STAGES, Stage

Family = Literal["dwc", "combiner", "noise", "pl"]
Source = Literal["DWC", "PL", "ours"]


@dataclass(frozen=True)
class Variant:
    """Configuration of a retrieval system to train and evaluate.

    Attributes:
        name: Unique name, which is part of the names of the variant's result files.
        families: Names of the result tables that include the variant.
        label: Name shown in tables and figures.
        streams: Streams of the DWC model, "clip" and/or "cnn".
        combiner: Name of the CLIP stream's combiner.
        edits: Whether DWC's editors adapt the features of each modality to the other; if False, the
            image part and the text part of a query are the unedited features.
        weighs: Whether image weights are learned; if False, each is fixed at one half.
        alpha: Share of the similarity distribution in the soft labels; None uses the study's
            setting.
        mutual: Whether the streams are trained with the mutual loss, with which each stream learns
            from the other.
        teacher_side: Images that the teaching stream's queries are compared with in the mutual
            loss; see `MutualSettings`.
        authors: Whether to use the DWC authors' settings, with the same number of triplets.
        wrong_share: Share of training texts that belong to another triplet.
        gce_q: Exponent q of the generalized cross entropy (GCE), for data with wrong texts; see
            `MutualSettings`.
        weight_distillation: Factor of the loss that trains the CNN stream's image weights towards
            those of the CLIP stream; see `MutualSettings`.
        stages: Training stages of Progressive Learning (PL); unused for DWC.
        self_supervised: Whether PL's image weight is trained with the self-supervised loss.
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
    gce_q: float = 0.0
    weight_distillation: float = 0.0
    stages: tuple[Stage, ...] = STAGES
    self_supervised: bool = True

    @property
    def cost(self) -> float:
        """Estimated run time in seconds on one core; the longest runs are started first."""
        seconds = 60.0 if "cnn" in self.streams else 15.0
        if self.combiner == "clip4cir":
            seconds *= 4
        return seconds * 2 if self.authors else seconds


@dataclass(frozen=True)
class Run:
    """Training and evaluation of a system variant with a random seed."""

    variant: Variant
    seed: int

    @property
    def name(self) -> str:
        """Name of the run's file, without suffix."""
        return f"{self.variant.name}-{self.seed}"


@dataclass(frozen=True)
class Claim:
    """Statement that a metric of a system variant exceeds that of another variant, or a number.

    The claim holds if `metric` of the variant `better`, minus the metric of the variant `worse` (if
    given) and minus `least`, is larger than two standard errors.

    Attributes:
        text: The statement, as a sentence.
        better: Name of the variant that should have the higher metric.
        worse: Name of the other variant; None to compare the metric of `better` with `least`.
        metric: Dotted path of the metric in a run's numbers, such as "streams.clip.recall@1".
        source: Source of the claim: "DWC" (the paper on DWC), "PL" (the paper on Progressive
            Learning) or "ours" (this project).
        worse_metric: Dotted path of the metric of `worse`; None if it is the same as `metric`.
        least: The difference that the claim requires.
    """

    text: str
    better: str
    worse: str | None
    metric: str = "recall@1"
    source: Source = "DWC"
    worse_metric: str | None = None
    least: float = 0.0


CORRELATED = 0.3
"""Smallest Spearman correlation at which image weights count as correlated with the true ones.

The true image weight of a query is the fraction of the target's attributes that come from the
reference image and not from the text.
"""

COST_OF_WRONG_TEXTS = 0.05
"""Largest acceptable loss of R@1 (recall at 1, 0 to 1) if a fifth of the texts are wrong."""

_GCE_Q = 0.4

BOTH = ("clip", "cnn")
OURS = "dwc_ours"
"""Name of the DWC variant with this project's two changes that keep image weights informative."""

_FULL = Variant("dwc", ("dwc",), "DWC, all parts", BOTH)
# Also the baseline for comparisons of combiners and of wrong texts.
_CLIP = Variant("dwc_clip_alone", ("dwc", "combiner", "noise"), "DWC's CLIP stream alone")
_PL = Variant("pl", ("pl",), "PL, all parts (reconstruction)", combiner="progressive")

# Name, label and changes of each variant of DWC with both streams.
_DWC_VARIANTS: Sequence[tuple[str, str, Mapping[str, Any]]] = (
    ("dwc_no_editors", "without the editors", {"edits": False}),
    ("dwc_half", "weight fixed at one half", {"weighs": False}),
    (
        "dwc_half_no_editors",
        "without editors, weight at one half",
        {"edits": False, "weighs": False},
    ),
    ("dwc_no_ssg", "without soft labels (SSG)", {"alpha": 0.0}),
    ("dwc_no_mutual", "without mutual enhancement", {"mutual": False}),
    (
        "dwc_taught_by_reference",
        "taught by the other's reference, as released",
        {"teacher_side": "reference"},
    ),
    (
        "dwc_weight_taught",
        "CNN stream's weight taught by the CLIP stream's (ours)",
        {"weight_distillation": 0.5},
    ),
    (
        OURS,
        "that, and the CLIP stream's parts of unit length (ours)",
        {"combiner": "dwc_unit", "weight_distillation": 0.5},
    ),
)
_MORE_DWC_VARIANTS: Sequence[tuple[str, str, Mapping[str, Any]]] = (
    ("dwc_cnn_alone", "DWC's CNN stream alone", {"streams": ("cnn",)}),
    ("dwc_authors", "the authors' settings", {"authors": True, "teacher_side": "reference"}),
)

_COMBINERS: Mapping[str, str] = {
    "image_only": "picture only",
    "text_only": "words only",
    "average": "plain average",
    "concat_mlp": "concatenation MLP",
    "tirg": "TIRG",
    "clip4cir": "CLIP4Cir's Combiner",
    "dwc_unit": "DWC's combiner, parts of unit length (ours)",
    "dwc_joint": "DWC's combiner with a joint part (ours)",
}

_PL_VARIANTS: Sequence[tuple[str, str, Mapping[str, Any]]] = (
    (
        "pl_without_open_domain",
        "without stage one: CLIP's common space thrown away",
        {"stages": ("fashion", "hybrid")},
    ),
    (
        "pl_without_fashion",
        "without stage two: no fashion pre-training",
        {"stages": ("open_domain", "hybrid")},
    ),
    (
        "pl_without_hybrid",
        "without stage three: half and half, no composed queries",
        {"stages": ("open_domain", "fashion")},
    ),
    ("pl_fixed", "without the adaptive weight", {"combiner": "progressive_fixed"}),
    ("pl_unsupervised", "weight learned from retrieval alone", {"self_supervised": False}),
)

# Kind of loss for training on wrong texts -> `alpha`, `gce_q`, and label in the tables.
_NOISE: Mapping[str, tuple[float | None, float, str]] = {
    "soft": (None, 0.0, "soft labels (SSG)"),
    "hard": (0.0, 0.0, "hard labels"),
    "doubted": (None, _GCE_Q, "soft labels, doubted (ours)"),
}


def all_variants(wrong_texts: Sequence[float] = (0.0, 0.1, 0.2, 0.4)) -> list[Variant]:
    """Return all system variants of the study, with the variants of DWC first.

    Args:
        wrong_texts: Shares of the training triplets that get the text of another triplet, each in
            [0, 1]. There are variants for each share.
    """
    return [
        _FULL,
        *_changed(_FULL, _DWC_VARIANTS),
        _CLIP,
        *_changed(_FULL, _MORE_DWC_VARIANTS),
        *(
            Variant(f"combiner_{name}", ("combiner",), label, combiner=name)
            for name, label in _COMBINERS.items()
        ),
        _PL,
        *_changed(_PL, _PL_VARIANTS),
        *_noise(wrong_texts),
    ]


def _changed(
    full: Variant, rows: Sequence[tuple[str, str, Mapping[str, Any]]]
) -> Iterator[Variant]:
    for name, label, changes in rows:
        yield replace(full, name=name, label=label, **changes)


def _noise(wrong_texts: Sequence[float]) -> Iterator[Variant]:
    """Yield a system variant for each share of wrong texts and each of three kinds of loss.

    The losses are the cross entropy with soft labels, the cross entropy with hard labels, and the
    generalized cross entropy. The variant with soft labels and no wrong texts is left out, because
    it equals another variant, DWC's CLIP stream alone.
    """
    for share in wrong_texts:
        for kind, (alpha, gce_q, label) in _NOISE.items():
            if share > 0 or kind != "soft":
                yield Variant(
                    name=f"noise_{round(100 * share)}_{kind}",
                    families=("noise",),
                    label=f"{round(100 * share)} % wrong texts, {label}",
                    alpha=alpha,
                    wrong_share=share,
                    gce_q=gce_q,
                )


_CLIP_RECALL = "streams.clip.recall@1"
_CLIP_TRUTH = "streams.clip.weight_truth_correlation"
_CNN_TRUTH = "streams.cnn.weight_truth_correlation"
_LEARNED, _BEST_FIXED = "weights.learned.recall@1", "weights.best_fixed.recall@1"


def _follows(text: str, variant: str, metric: str, source: Source = "DWC") -> Claim:
    """Return the claim that a variant's image weights correlate with the true image weights.

    The true image weight of a query is the fraction of the target's attributes that come from the
    reference image and not from the text.

    Args:
        text: The claim, as a sentence.
        variant: Name of the system variant.
        metric: Dotted path of the correlation in the metrics of a run, such as
            "streams.clip.weight_truth_correlation".
        source: Source of the claim, such as "DWC" for the paper on DWC.
    """
    return Claim(text, variant, None, metric, source, least=CORRELATED)


def _beats_fixed(text: str, variant: str, source: Source) -> Claim:
    """Return the claim that learned image weights give a better R@1 than the best fixed weight.

    R@1 is the recall at 1.

    Args:
        text: The claim, as a sentence.
        variant: Name of the system variant, evaluated with both kinds of weights.
        source: Source of the claim.
    """
    return Claim(text, variant, variant, _LEARNED, source, _BEST_FIXED)


_CLAIMS_ON_WEIGHTS = (
    Claim("The editors raise R@1", "dwc", "dwc_no_editors"),
    Claim("The learned weight raises R@1 over one half", "dwc", "dwc_half"),
    _beats_fixed(
        "DWC's learned weight does better than the best fixed one, parts as they are",
        "dwc_clip_alone",
        "DWC",
    ),
    Claim(
        "Without the editors, the learned weight raises R@1 over one half",
        "dwc_no_editors",
        "dwc_half_no_editors",
        source="ours",
    ),
    _follows(
        "The CLIP stream's weight follows the share that only the picture tells", "dwc", _CLIP_TRUTH
    ),
    _follows(
        "The CNN stream's weight follows the share that only the picture tells", "dwc", _CNN_TRUTH
    ),
    _follows(
        "Taught by the CLIP stream's, the CNN stream's weight follows that share",
        "dwc_weight_taught",
        _CNN_TRUTH,
        "ours",
    ),
    _follows(
        "With both changes of ours, the CLIP stream's weight follows that share",
        OURS,
        _CLIP_TRUTH,
        "ours",
    ),
    _follows(
        "With both changes of ours, the CNN stream's weight follows that share",
        OURS,
        _CNN_TRUTH,
        "ours",
    ),
    Claim("Both changes of ours together raise R@1", OURS, "dwc", source="ours"),
    Claim(
        "Teaching the CNN stream its weight raises R@1", "dwc_weight_taught", "dwc", source="ours"
    ),
    Claim("Soft labels (SSG) raise R@1 on clean texts", "dwc", "dwc_no_ssg"),
)

_CLAIMS_ON_STREAMS = (
    Claim("Mutual enhancement raises R@1 of both streams together", "dwc", "dwc_no_mutual"),
    Claim("Mutual enhancement raises R@1 of its CLIP stream", "dwc", "dwc_no_mutual", _CLIP_RECALL),
    Claim(
        "A teacher's targets teach better than its references",
        "dwc",
        "dwc_taught_by_reference",
        source="ours",
    ),
    Claim("Two streams find more than the CLIP stream alone", "dwc", "dwc_clip_alone"),
    Claim("Two streams find more than the CNN stream alone", "dwc", "dwc_cnn_alone"),
    Claim(
        "Our settings find more than the authors' at this budget",
        "dwc",
        "dwc_authors",
        source="ours",
    ),
)

_COMPARED_COMBINERS = {
    "average": "the plain average",
    "concat_mlp": "a concatenation MLP",
    "tirg": "TIRG",
    "clip4cir": "CLIP4Cir's Combiner",
}

_CLAIMS_ON_COMBINERS = (
    *(
        Claim(f"DWC's combiner finds more than {label}", "dwc_clip_alone", f"combiner_{name}")
        for name, label in _COMPARED_COMBINERS.items()
    ),
    Claim("DWC with both streams finds more than CLIP4Cir's Combiner", "dwc", "combiner_clip4cir"),
    Claim(
        "Parts of unit length raise R@1 of DWC's combiner",
        "combiner_dwc_unit",
        "dwc_clip_alone",
        source="ours",
    ),
    Claim(
        "A joint part raises R@1 of DWC's combiner",
        "combiner_dwc_joint",
        "dwc_clip_alone",
        source="ours",
    ),
    Claim(
        "DWC's combiner with a joint part finds more than CLIP4Cir's Combiner",
        "combiner_dwc_joint",
        "combiner_clip4cir",
        source="ours",
    ),
)

_CLAIMS_ON_PL = (
    *(
        Claim(f"Stage {number} raises R@1", "pl", f"pl_without_{stage}", source="PL")
        for number, stage in zip(("one", "two", "three"), STAGES, strict=True)
    ),
    Claim("The adaptive weight raises R@1 over one half", "pl", "pl_fixed", source="PL"),
    _beats_fixed("PL's learned weight does better than the best fixed one", "pl", "PL"),
    _follows("PL's weight follows the share that only the picture tells", "pl", _CLIP_TRUTH, "PL"),
    Claim(
        "Self-supervision makes a better weight than retrieval alone",
        "pl",
        "pl_unsupervised",
        source="PL",
    ),
)


def all_claims(wrong_texts: Sequence[float] = (0.0, 0.1, 0.2, 0.4)) -> list[Claim]:
    """Return all claims that the study evaluates.

    Args:
        wrong_texts: Shares of wrong training texts for which there are system variants, each in
            [0, 1].
    """
    percents = [round(100 * share) for share in wrong_texts if share > 0]
    return [
        *_CLAIMS_ON_WEIGHTS,
        *_claims_on_noise(percents),
        *_CLAIMS_ON_STREAMS,
        *_CLAIMS_ON_COMBINERS,
        *_CLAIMS_ON_PL,
    ]


def _claims_on_noise(percents: Sequence[int]) -> Iterator[Claim]:
    for percent in percents:
        yield Claim(
            f"With {percent} % wrong texts, soft labels (SSG) raise the CLIP stream's R@1",
            f"noise_{percent}_soft",
            f"noise_{percent}_hard",
        )
    if 20 in percents:
        for kind, condition in (("soft", ""), ("doubted", " where they are doubted")):
            yield Claim(
                f"20 % wrong texts cost at most {100 * COST_OF_WRONG_TEXTS:.0f} points{condition}",
                f"noise_20_{kind}",
                "dwc_clip_alone",
                source="ours",
                least=-COST_OF_WRONG_TEXTS,
            )
