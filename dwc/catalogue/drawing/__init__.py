"""Draw garments as images: cut pieces as curves, then cloth, light and background.

garments/      a garment -> its pieces, lines and buttons (`parts.Shape`)
pose           the shape in pixels of the image
materials      colors and the fine structure of cloth, knit and leather
patterns       stripes, checks, prints
raster, render pieces -> a layer of color, coverage and light
scene          a calm background with a soft shadow (styles "gallery" and "plain")
photograph     a hasty photograph at home (style "training")
draw           a garment and a seed -> an image
contact_sheet  a page of drawings
"""

DRAWING_VERSION = 2
"""Raise it whenever any picture changes.

Embedded galleries and drawn pools are kept under it; those of another version are drawn again.
"""
