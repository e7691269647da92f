"""Ablation study of DWC and Progressive Learning (PL) with equal data, budget and seeds.

The image and text encoders ("towers") are frozen and their features cached, so that training a
variant takes well under a minute on one core. Variants are evaluated on the catalogue of drawn
garments, for which the correct results and image weights are known.

    variants.py   tables of the variants and of the claims to test
    features.py   settings and cached features
    models.py     DWC and PL models on cached features, with parts removed or added
    runs.py       training and evaluation of variants in several processes
    summary.py    means and deviations over seeds, and a verdict on each claim
    report.py     results as Markdown
    figures.py    results as SVG figures
"""
