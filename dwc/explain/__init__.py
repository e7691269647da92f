"""Explanations of a search.

`score_split` splits the score of a result into parts. `comparison` compares the rankings of several
queries or models. `text_perturbations` measures the effect of words and of paraphrases.
`attention_maps` relates words to regions of the image. `map_positions` places a query on the map of
the gallery. `weight_statistics` summarizes the image weights of a checkpoint for many queries.
"""
