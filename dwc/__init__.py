"""DWC: composed image retrieval, with the learned weight of picture and words made visible.

The map of the package; arrows point one way, and a test holds them:

    ui        -> search -> gallery, modeling
    training, evaluation -> datasets, modeling
    datasets  <- catalogue

    modeling/      tensors in, tensors out
    weight_files.py  safetensors files -> tensors, mapped
    processing.py  pictures and words -> tensors
    hub/           models of the Hub: one commit fetched and checked, or published
    recognition.py whether a folder or repository is a checkpoint of ours
    agreement.py   whether a model and a processor belong together
    checkpoint.py  file names, key sets
    card.py        a checkpoint's model card
    publishing.py  a checkpoint and its card, to the Hub
    convert/       the authors' names, and OpenAI's
    datasets/      benchmark files on disk -> triplets and galleries
    catalogue/     the drawn garments: schema, drawing, language, export
    training/      losses and loops
    evaluation/    protocols, metrics, reports
    gallery/       picture sources, safe decoding, the embedding store, its index
    search/        Searcher and what it answers
    ui/            the page
    commands/      one file a subcommand of `python -m dwc`
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dwc.modeling.configuration import DWCConfig
    from dwc.modeling.model import DWCModel
    from dwc.processing import DWCProcessor
    from dwc.search.searcher import Searcher

__version__ = "0.1.0"
__all__ = ["DWCConfig", "DWCModel", "DWCProcessor", "Searcher"]

# Looked up when first asked for: `import dwc` alone costs no torch.
_HOMES = {
    "DWCConfig": "dwc.modeling.configuration",
    "DWCModel": "dwc.modeling.model",
    "DWCProcessor": "dwc.processing",
    "Searcher": "dwc.search.searcher",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'dwc' has no attribute {name!r}")
