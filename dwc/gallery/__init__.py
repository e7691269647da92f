"""Build and search a store of image vectors; this package does not import torch.

`walker` and `sources` list a gallery's pictures. `builder` embeds them with a given function and
saves the vectors through `store_writer`. `store` reads them, `exact_search` searches them, and
`projection` computes the map of the gallery.
"""
