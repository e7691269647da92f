"""Composed image retrieval with DWC (Dynamic Weighted Combiner), and explanations of its results.

A query is a reference image and a text that says what should be different. For each query, the
model predicts an image weight and a text weight, which sum to 1. They are called the learned
weights, to distinguish them from weights that a user sets.

Imports between the packages go in one direction only. The main imports are listed here ("a -> b"
means that a imports b); `tests/test_architecture.py` has the complete list and enforces it:

    ui -> explain -> search -> gallery, modeling
    training, evaluation -> datasets, modeling
    catalogue -> datasets

    modeling/     the model: configuration, processor, CLIP and CNN streams, combiners
    checkpoints/  checkpoint files: loading, validation, saving, the Hub, the model card
    convert/      conversion of the authors' weights and OpenAI's CLIP to a checkpoint, and back
    datasets/     readers of benchmark files and images
    catalogue/    a data set of drawn garments: schema, drawings, texts, splits, export
    training/     training loop, losses and feature cache; a subpackage for each kind of training
    evaluation/   metrics, retrieval, benchmarks
    gallery/      image sources, the gallery store (a folder of image vectors), exact search, map
    search/       Searcher, its queries and results, scores at any image weight
    explain/      score parts, effect of each word, attention maps, paraphrases, weight statistics
    ui/           the web page: blocks, handlers and state; panels/ and static/
    space/        the files of a Hugging Face Space, and a test run of its app
    commands/     the subcommands of `python -m dwc`, one module each
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dwc import auto_classes

if TYPE_CHECKING:
    from dwc.modeling.configuration_dwc import DWCConfig
    from dwc.modeling.modeling_dwc import DWCModel
    from dwc.modeling.processing_dwc import DWCProcessor
    from dwc.search.searcher import Searcher

__version__ = "0.1.0"
__all__ = ["DWCConfig", "DWCModel", "DWCProcessor", "Searcher"]

# Maps each public name to the module that defines it. The module is imported when the name is first
# accessed, so that `import dwc` does not import torch.
_HOMES = {
    "DWCConfig": "dwc.modeling.configuration_dwc",
    "DWCModel": "dwc.modeling.modeling_dwc",
    "DWCProcessor": "dwc.modeling.processing_dwc",
    "Searcher": "dwc.search.searcher",
}

auto_classes.register()


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'dwc' has no attribute {name!r}")
