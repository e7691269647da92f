"""Shoes: modelled in space on a last and drawn as seen from a side, the front or above."""

from dwc.catalogue.drawing.garments.footwear.closed import flats, heels
from dwc.catalogue.drawing.garments.footwear.laced import boots, trainers
from dwc.catalogue.drawing.garments.footwear.sandals import sandals

__all__ = ["boots", "flats", "heels", "sandals", "trainers"]
