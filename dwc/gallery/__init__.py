"""Gallery stores: folders with the vectors of a gallery's pictures, and the search in them.

`walker` and `sources` list a gallery's pictures. `builder` computes their vectors with a given
function, and saves the vectors through `store_writer`; `precomputed` has the vectors that come with
a checkpoint. `store` reads the vectors, `search_index` compares them with a query's vector, and
`projection` arranges the pictures on a two-dimensional map. This package does not import torch.
"""
