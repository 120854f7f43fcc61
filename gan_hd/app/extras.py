"""The optional dependencies of the web page, imported here only: `pip install 'gan-hd[app]'`.

Gradio and what it brings read their telemetry switches when they are imported, so these are set before.
"""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

try:
    import fastapi
    import gradio
    import uvicorn
except ImportError as error:
    raise ImportError(f"the web page needs more packages ({error}): run pip install 'gan-hd[app]'") from error

__all__ = ["fastapi", "gradio", "uvicorn"]
