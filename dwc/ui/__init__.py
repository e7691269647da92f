"""The web page: its blocks, handlers and state."""

from dwc import import_shortcuts

import_shortcuts.register()  # before a module of this package imports gradio
