"""The web page that paints pictures: `python -m gan_hd.cli.app`.

    extras.py     Gradio and its web server, imported there only
    models.py     the models to choose from, loaded when first used
    previews.py   any picture as a JPEG that browsers show
    progress.py   jobs.Progress as a fraction and a line of text
    work.py       visitors, their files, one painting at a time
    page.py       what the page looks like, and which event calls what
    looks.py      CSS, and a faster wheel
    server.py     the socket, the signals, the end

Only page.py knows Gradio.
"""
