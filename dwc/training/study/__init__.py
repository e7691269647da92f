"""What each part of DWC and of PL is worth: every variant on the same data, budget and seeds.

Towers are frozen: what they make of pictures and texts is computed once and kept, so that a variant
takes well under a minute on a core. All is measured on the catalogue, of which the truth is known.

    settings.py   every number of the study on one screen
    features.py   what is kept of pictures, texts and questions
    keeping.py    computing it once
    variants.py   what is compared, declared
    models.py     DWC's and PL's models over what is kept, a part taken out or put in
    running.py    one variant and seed, trained and measured
    measuring.py  recalls, and retrieval and weight by what only the picture tells
    conducting.py all runs, over several processes, each kept when it is done
    summary.py    means and spreads over seeds, and sentences that the numbers allow
    table.py      the summary as Markdown; figures.py as SVG
    writing.py    all of it into a folder
"""
