"""Pictures on their way into a searchable store; no torch here.

sources -> decoding -> building (an embedding function is handed in) -> store -> exact_index
"""
