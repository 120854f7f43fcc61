"""Serves a model over HTTP: TensorFlow Serving's REST protocol, and a plain POST of a picture.

  python -m gan_hd.cli.serve --model=runs/vangogh --port=8501
  curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' -o painted.jpg http://127.0.0.1:8501/translate

    POST /translate                        a picture in, a picture out; Accept: image/png or image/jpeg
    POST /v1/models/NAME:predict           {"instances": [{"b64": "..."}]}, as TensorFlow Serving takes it
    GET  /v1/models/NAME[/metadata]        status, signatures
    GET  /healthz, /metrics                for supervisors and Prometheus

Only this machine can connect unless --host says otherwise; there is no authentication. SIGTERM and Ctrl-C finish
what was accepted. Nothing of a request is written to disk.

Needs pip install 'gan-hd[serve]'. Exit status: 0 stopped, 2 bad command line.
"""

from absl import flags

from gan_hd import listening
from gan_hd.cli import entry

_MODEL = flags.DEFINE_string("model", None, "Run folder or SavedModel (default: the Van Gogh that ships).")
_PORT = flags.DEFINE_integer(
    "port", 8501, "Port; 0 takes a free one and prints it.", lower_bound=0, upper_bound=65535
)
_HOST = flags.DEFINE_string("host", "127.0.0.1", "Address to listen on; 0.0.0.0 is every network's.")
_NAME = flags.DEFINE_string("model_name", "gan_hd", "NAME in the paths.")
_MAX_MB = flags.DEFINE_float("max_mb", 32, "Most megabytes of a request's body.", lower_bound=0.001)
_MAX_MP = flags.DEFINE_float("max_mp", 25, "Most megapixels of a picture.", lower_bound=0.000001)
_TIMEOUT = flags.DEFINE_float("timeout_sec", 120, "Most seconds for a request.", lower_bound=0.001)
_QUEUE = flags.DEFINE_integer(
    "queue", 32, "Most pictures accepted and not answered; more get 503 and Retry-After.", lower_bound=1
)
_BATCH = flags.DEFINE_integer("batch", 8, "Most pictures in one call of the model.", lower_bound=1)
_BATCH_WAIT = flags.DEFINE_float(
    "batch_wait_ms", 5, "How long a picture waits for others to join its call.", lower_bound=0
)


def main(argv: list[str]) -> int:
    del argv
    entry.log_to_stderr()
    try:
        from gan_hd.serving import server, web
    except ImportError as error:
        return entry.fail(error)
    from gan_hd.serving.limits import Limits

    try:
        port = listening.bind(_HOST.value, _PORT.value)
    except listening.AddressError as error:
        return entry.fail(error)
    entry.import_tensorflow()
    from gan_hd.serving.model import ServedModel

    limits = Limits(
        body_bytes=int(_MAX_MB.value * 1e6),
        picture_px=int(_MAX_MP.value * 1e6),
        request_sec=_TIMEOUT.value,
        queue=_QUEUE.value,
        batch=_BATCH.value,
        batch_wait_sec=_BATCH_WAIT.value / 1000,
    )
    with port:
        try:
            model = ServedModel(_MODEL.value)
        except (ValueError, OSError) as error:
            return entry.fail(error)
        model.warm_up()
        print(f"serving {model.folder} as {_NAME.value} on {listening.url(port)}", flush=True)
        if listening.is_public(port):
            print("other machines can connect, without a password", flush=True)
        server.serve(web.create_app(model, name=_NAME.value, limits=limits), port, request_sec=_TIMEOUT.value)
    print("stopped", flush=True)
    return entry.OK


if __name__ == "__main__":
    entry.run(main)
