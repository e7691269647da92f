"""Answers as the page has them, for tests."""

from dwc.search.model_pool import ModelPool
from dwc.ui.handlers import answer_request
from dwc.ui.state import SearchRequest


def pool_of(searcher, name="tiny"):
    """A pool of one model."""
    return ModelPool([name], lambda _: searcher)


def search(models, images, reference_id=None, words="", **changes):
    """The page's answer to a search, by a pool of models or by one searcher."""
    if not isinstance(models, ModelPool):
        models = pool_of(models)
    return answer_request(models, images, SearchRequest(words, reference_id, **changes))
