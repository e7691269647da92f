"""Progressive Learning (PL): training in three stages, from captions to image-text queries.

Zhao et al. 2022, "Progressive Learning for Image Retrieval with Hybrid-Modality Queries" (SIGIR,
arXiv 2204.11212). **A reconstruction**: the paper's abstract names the stages and the adaptive
image weight, and its code was not released. Every loss, hyperparameter and batch composition here
is this project's own choice.

    stages.py              losses of the three stages, and their shared training loop
    recipe.py              all settings, and the CLIP models that stage two can start from
    train_progressive.py   batches of drawn garments, and training from a recipe to a checkpoint
    joint_progressive.py   training from a checkpoint for drawings and photographs, on both
    ablation.py            comparison of the learned image weight with fixed and oracle weights
"""
