"""From pictures to a searchable store, without torch.

sources (walker) -> builder (given an embedding function) -> store_writer -> store -> exact_search
"""
