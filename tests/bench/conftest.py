import os

import pytest
import torch
from transformers.utils import logging as transformers_logging

from dwc.catalogue.splits import gallery
from dwc.checkpoints import load
from dwc.checkpoints.save import save_checkpoint
from dwc.modeling.modeling_dwc import DWCModel
from dwc.training.catalogue.recipe import catalogue_config
from dwc.training.catalogue.train_catalogue import make_processor


@pytest.fixture(scope="session")
def checkpoint_folder(tmp_path_factory):
    """The bundled checkpoint; where there is none yet, random weights of the same shape."""
    if (load.BUNDLED_FOLDER / "config.json").is_file():
        return load.BUNDLED_FOLDER
    transformers_logging.set_verbosity_error()
    torch.manual_seed(0)
    processor = make_processor(gallery("train", 300), 0, 2_000)
    tokens = processor.clip_tokenizer
    config = catalogue_config(len(processor.word_tokenizer), len(tokens), tokens.eos_token_id)
    folder = tmp_path_factory.mktemp("bench") / "random"
    return save_checkpoint(DWCModel(config).eval(), processor, folder, dtype=torch.float16)


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A cache folder of its own, for stores built here."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["DWC_CACHE"] = str(folder)
    yield folder
    del os.environ["DWC_CACHE"]
