"""Gallery stores: folders with the vectors of a gallery's pictures, and search in these vectors.

`walker` and `sources` list a gallery's pictures. `builder` computes their vectors with a given
function, or takes the vectors that come with a checkpoint, and saves them through `store_writer`.
`store` reads the vectors, `search_index` compares them with a query's vector, and `projection`
arranges the pictures on a two-dimensional map. This package does not import torch.
"""
