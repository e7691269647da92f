"""The commands of the command line `dwc`, one per module; `dwc.cli` runs them."""
