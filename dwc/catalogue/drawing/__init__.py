"""Garments drawn as pictures: cut pieces as curves, then cloth, light and background.

garments/   a garment -> its pieces, lines and buttons
draw        a garment and a seed -> a picture
"""
