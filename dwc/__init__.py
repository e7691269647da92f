"""DWC: composed image retrieval that shows the learned weights of image and text.

Imports point one way, which a test enforces:

    ui -> explain -> search -> gallery, modeling
    training, evaluation -> datasets, modeling
    catalogue -> datasets

    modeling/     configuration, model and processor (the Hub's convention), both streams, combiners
    checkpoints/  checkpoint files: load, validate, save, the Hub, the model card
    convert/      the authors' weights and OpenAI's CLIP to a checkpoint, and back
    datasets/     benchmark files to triplets and galleries; image loading, prefetching
    catalogue/    the drawn garments: schema, drawing, language, splits, export
    training/     loop, losses, feature cache; dwc/, catalogue/, progressive/, study/
    evaluation/   metrics, retrieval, benchmarks
    gallery/      image sources, the embedding store, exact search, the projection
    search/       Searcher, its queries, results and weight sweep
    explain/      score split, word ablation, attention maps, paraphrases, weight statistics
    ui/           the page: blocks, handlers, state; panels/, static/
    commands/     one module a subcommand of `python -m dwc`
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dwc.modeling.configuration_dwc import DWCConfig
    from dwc.modeling.modeling_dwc import DWCModel
    from dwc.modeling.processing_dwc import DWCProcessor
    from dwc.search.searcher import Searcher

__version__ = "0.1.0"
__all__ = ["DWCConfig", "DWCModel", "DWCProcessor", "Searcher"]

# Modules of public names, imported on first access, so that `import dwc` does not import torch.
_HOMES = {
    "DWCConfig": "dwc.modeling.configuration_dwc",
    "DWCModel": "dwc.modeling.modeling_dwc",
    "DWCProcessor": "dwc.modeling.processing_dwc",
    "Searcher": "dwc.search.searcher",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'dwc' has no attribute {name!r}")
