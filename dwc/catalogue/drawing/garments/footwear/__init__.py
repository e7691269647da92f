"""Shoes: modelled in space on a last and drawn as seen from a side, the front or above."""

from dwc.catalogue.drawing.garments.footwear.shoes import boots, flats, heels, sandals, trainers

__all__ = ["boots", "flats", "heels", "sandals", "trainers"]
