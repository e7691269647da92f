"""The app: its web page, built with Gradio, and its HTTP API and MCP server for programs."""

from dwc import import_hooks

import_hooks.register_shortcuts()  # before a module of this package imports gradio
