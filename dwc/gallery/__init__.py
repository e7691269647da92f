"""Build and search a store of image vectors; this package does not import torch.

`walker` and `sources` list a gallery's pictures. `builder` computes their vectors with a function
that it is given, and saves the vectors through `store_writer`. `store` reads the vectors,
`exact_search` searches them, and `projection` arranges the pictures on a two-dimensional map.
"""
