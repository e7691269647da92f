"""The commands of `python -m dwc`, one a module; see `dwc.cli`."""
