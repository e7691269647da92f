"""Bags and hats."""

from dwc.catalogue.drawing.garments.bags import bag
from dwc.catalogue.drawing.garments.hats import hat

__all__ = ["bag", "hat"]
