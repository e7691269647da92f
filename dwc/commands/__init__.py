"""The commands of the command-line program `dwc`, one per module; `dwc.cli` runs them."""
