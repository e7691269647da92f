"""Search of a gallery with the model of a checkpoint.

`searcher` has the class `Searcher`, which encodes a query (`query`), scores the gallery's images
(`weight_sweep`) and returns the hits (`results`). `model_pool` loads the searchers of several
checkpoints. `reference_weights` compares the image weights of a query with those of other queries.
`contact_sheet` draws the results of a table of queries.
"""
