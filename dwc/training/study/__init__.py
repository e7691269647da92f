"""Study of each part of DWC and PL: all variants on the same data, budget and seeds.

Towers are frozen and their features of images and texts cached, so that a variant takes well under
a minute on a core. Everything is evaluated on the catalogue, whose truth is known.

    variants.py   the variants and the claims, as tables
    features.py   all settings, and the cached features
    models.py     DWC's and PL's models on cached features, with a part removed or added
    runs.py       training and evaluation of variants, in several processes
    summary.py    means and deviations over seeds, and a verdict on each claim
    report.py     the summary as Markdown; figures.py as SVG
"""
