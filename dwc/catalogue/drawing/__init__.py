"""Drawing of garments as images.

A garment is first modeled as pieces bounded by curves; then cloth, light and background are
painted. The modules are:

garments/      builds the pieces, lines and buttons (`parts.Shape`) of a described garment
pose           maps curve coordinates to image pixels
materials      colors and the fine structure of cloth, knit and leather
patterns       stripes, checks and prints
raster, render paint the pieces onto a layer of color, opacity and brightness
scene          calm backgrounds with a soft shadow (style "gallery")
photograph     the look of a hasty photograph taken at home (style "training")
draw           draws a garment with a seed as an image
contact_sheet  draws a page of garments
"""

DRAWING_VERSION = 2
"""Version of the drawing code; increase it whenever any image changes.

Cached gallery embeddings and image pools are stored together with this number and are recomputed
if it has changed.
"""
