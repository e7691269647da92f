"""PL's three stages: from pictures and captions, over fashion, to pictures and words together.

Zhao et al. 2022, "Progressive Learning for Image Retrieval with Hybrid-Modality Queries" (SIGIR,
arXiv 2204.11212). **A reconstruction**: the abstract names the stages and the adaptive weight, and
the code was not released; every loss, number and batch here is this project's own choice.

    open_domain.py  one: the common space of pictures and captions of any kind
    fashion.py      two: descriptions, second views of a product, attribute tags as text
    hybrid.py       three: composed queries, and the weight that teaches itself
    losses.py       pure functions of embeddings
    towers.py       the step that the stages share
    batches.py      drawn garments for each stage
    recipe.py       every number on one screen
    kept.py         pictures looked at once, the image tower as it is but for its last layer
    starting.py     the CLIPs that stage two may start from
    catalogue.py    all stages on drawn garments, to a model
    publish.py      a checkpoint, measured; card.py writes its card
    ablation.py     what the learned weight is worth beside fixed and perfect ones
"""
