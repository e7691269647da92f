"""Drawing of garments as images.

A garment is first modeled as pieces that are bounded by curves. Then the pieces are painted as lit
cloth on a background. The modules are:

garments/      builds the pieces, lines and buttons (`parts.Shape`) of a garment
pose           position, rotation and perspective of a garment in the image
materials      colors and the fine structure of cloth, knit and leather
patterns       stripes, checks and prints
render         paints the pieces onto a layer of color, opacity and brightness
scene          calm backgrounds with a soft shadow (style "gallery"), and backgrounds, light and
               flaws of a hasty photograph (style "training")
draw           draws the image of a garment for a random seed
contact_sheet  draws a grid of random garments
"""

DRAWING_VERSION = 2
"""Version of the drawing code; increase it whenever any image changes.

Cached gallery embeddings and drawn training images are stored together with this number and are
computed again if the number has changed.
"""
