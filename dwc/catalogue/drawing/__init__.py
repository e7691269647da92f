"""Draw garments as images: garment pieces as curves, then cloth, light and background.

garments/      from a garment's description to its pieces, lines and buttons (`parts.Shape`)
pose           the map from curve coordinates to image pixels
materials      colors and the fine structure of cloth, knit and leather
patterns       stripes, checks and prints
raster, render from pieces to a layer of color, coverage and light
scene          a calm background with a soft shadow (styles "gallery" and "plain")
photograph     the look of a hasty photograph taken at home (style "training")
draw           from a garment and a seed to an image
contact_sheet  a page of drawings
"""

DRAWING_VERSION = 2
"""Version of the drawing code; increase it whenever any image changes.

Cached gallery embeddings and image pools are stored under this number. Those of another version
are computed again.
"""
