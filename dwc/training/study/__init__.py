"""Ablation study of DWC and Progressive Learning (PL), all with the same data, budget and seeds.

The study trains many system variants: retrieval systems that differ in one part. The image and text
encoders ("towers") are frozen and their features cached, so that a run takes only seconds or a few
minutes on one core. Variants are evaluated on the catalogue of drawn garments, for which the
correct results and the true image weights are known.

    variants.py   tables of the variants and of the claims to test
    models.py     settings, cached features, and DWC and PL models that take them
    runs.py       training and evaluation of variants in several processes
    report.py     means and deviations over seeds, a verdict on each claim, results as Markdown
    figures.py    results as SVG figures
"""
