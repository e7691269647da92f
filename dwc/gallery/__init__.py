"""Build and search a store of image vectors; this package does not import torch.

sources (walker) -> builder (given an embedding function) -> store_writer -> store -> exact_search
"""
