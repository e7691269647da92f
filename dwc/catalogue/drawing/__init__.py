"""Garments drawn as pictures: cut pieces as curves, then cloth, light and background.

garments/     a garment -> its pieces, lines and buttons (parts.py: Shape)
pose          where they lie in the picture, in pixels
palette, fabric, patterns, emblems, hanger     what they are made of and wear
raster, render     pieces -> a layer of color, cover and light
scene              shown well: a calm background, a soft shadow
surroundings, photograph     shown as in a hasty photograph, for training
draw          a garment and a seed -> a picture
contact_sheet a page of them
"""

DRAWING_VERSION = 2
"""Raise it whenever any picture changes.

Embedded galleries and drawn pools are kept under it; those of another version are drawn again.
"""
