import os

import pytest
import torch
from transformers.utils import logging as transformers_logging

from dwc import checkpoint
from dwc.catalogue.splits import gallery
from dwc.modeling.model import DWCModel
from dwc.training.catalogue import make_processor
from dwc.training.recipe import catalogue_config


@pytest.fixture(scope="session")
def checkpoint_folder(tmp_path_factory):
    """The bundled checkpoint; where there is none yet, random weights of the same shape."""
    if (checkpoint.BUNDLED_FOLDER / "config.json").is_file():
        return checkpoint.BUNDLED_FOLDER
    transformers_logging.set_verbosity_error()
    torch.manual_seed(0)
    processor = make_processor(gallery("train", 300), 0, 2_000)
    tokens = processor.clip_tokenizer
    config = catalogue_config(len(processor.word_tokenizer), len(tokens), tokens.eos_token_id)
    folder = tmp_path_factory.mktemp("bench") / "random"
    return checkpoint.save(DWCModel(config).eval(), processor, folder, dtype=torch.float16)


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A cache folder of its own, for stores built here."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["DWC_CACHE"] = str(folder)
    yield folder
    del os.environ["DWC_CACHE"]
