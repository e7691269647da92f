"""The app: its web page, built with Gradio, and its HTTP API and MCP server for programs."""

from dwc import import_shortcuts

import_shortcuts.register()  # before a module of this package imports gradio
