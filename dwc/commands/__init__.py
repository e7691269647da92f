"""The commands of `python -m dwc`, one per module; see `dwc.cli`."""
