"""The optional dependencies of the server, imported here only: `pip install 'gan-hd[serve]'`."""

try:
    import prometheus_client
    import starlette.applications
    import starlette.exceptions
    import starlette.requests
    import starlette.responses
    import starlette.routing
    import uvicorn
except ImportError as error:
    raise ImportError(f"serving needs more packages ({error}): run pip install 'gan-hd[serve]'") from error

__all__ = ["prometheus_client", "starlette", "uvicorn"]
