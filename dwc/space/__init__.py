"""Hugging Face Spaces: the files of a Space that serves the web app, their checks, and a trial."""
