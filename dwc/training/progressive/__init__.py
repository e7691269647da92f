"""Progressive Learning (PL), which trains on captions, then fashion, then image-text queries.

Zhao et al. 2022, "Progressive Learning for Image Retrieval with Hybrid-Modality Queries" (SIGIR,
arXiv 2204.11212). **A reconstruction**: the abstract names the stages and the adaptive weight, and
the code was not released; every loss, number and batch here is this project's own choice.

    stages.py              losses of the three stages, and their shared training loop
    batches.py             batches of drawn garments for each stage
    recipe.py              all settings, and the CLIPs that stage two can start from
    train_progressive.py   training on drawn garments, from a recipe to an evaluated checkpoint
    ablation.py            comparison of the learned image weight with fixed and oracle weights
"""
