"""PL in three stages: images and captions, then fashion, then queries of image and text.

Zhao et al. 2022, "Progressive Learning for Image Retrieval with Hybrid-Modality Queries" (SIGIR,
arXiv 2204.11212). **A reconstruction**: the abstract names the stages and the adaptive weight, and
the code was not released; every loss, number and batch here is this project's own choice.

    stages.py              the three stages' losses, and the loop that they share
    batches.py             drawn garments for each stage
    recipe.py              all sizes and numbers, and the CLIPs that stage two can start from
    train_progressive.py   all stages on drawn garments, to an evaluated checkpoint
    ablation.py            the learned weight beside fixed and perfect ones
"""
