"""Combiners: modules that combine image features and text features into a query.

    combiner(image_features, text_features) -> Composition

`combiner_class("dwc")` returns the combiner class of a name, `combiner_names()` lists all names,
and the decorator `register("name")` adds a class.
"""

from dwc.modeling.combiners.base import Combiner, combiner_class, combiner_names, register
from dwc.modeling.combiners.baselines import (
    Average,
    Clip4CirCombiner,
    ConcatenationMLP,
    ImageOnly,
    TextOnly,
    Tirg,
)
from dwc.modeling.combiners.dwc import (
    DynamicWeightedCombiner,
    JointDynamicCombiner,
    UnitDynamicCombiner,
)
from dwc.modeling.combiners.progressive import FixedWeightCombiner, ProgressiveCombiner

__all__ = [
    "Average",
    "Clip4CirCombiner",
    "Combiner",
    "ConcatenationMLP",
    "DynamicWeightedCombiner",
    "FixedWeightCombiner",
    "ImageOnly",
    "JointDynamicCombiner",
    "ProgressiveCombiner",
    "TextOnly",
    "Tirg",
    "UnitDynamicCombiner",
    "combiner_class",
    "combiner_names",
    "register",
]
