"""The recipe that fetches the public Van Gogh training set: ``python -m data.vangogh
--output=DIR``.

In: nothing but an internet connection. Out: ``DIR/photos`` (content domain), ``DIR/paintings``
(style domain), ``DIR/manifest.json`` and ``DIR/ATTRIBUTION.md``.

Reading order: ``__main__`` (flags) -> ``fetch`` (the procedure) -> ``commons`` (what exists) ->
``selection`` and ``licences`` (what we take) -> ``download`` (one file) -> ``manifest`` (what we
have). ``http_client`` is the one place that talks HTTP; ``tfds_export`` is the other source, and
independent of all of that.
"""
