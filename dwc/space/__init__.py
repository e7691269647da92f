"""Preparation of a Hugging Face Space that serves the web app: its files, checks and a test run."""
