"""The exported model behind HTTP, in TensorFlow Serving's REST protocol and with a plain `POST /translate`.

extras    the optional dependencies
limits    what a request may ask for; a picture's size from its header
protocol  JSON bodies <-> pictures
model     the SavedModel's signatures that take image bytes
batcher   the queue and the one thread that computes
metrics   what Prometheus reads
web       routes: request -> limits -> protocol -> batcher -> reply
server    the socket, the signals, the end
warmup    records with which TensorFlow Serving warms up

Needs the SavedModel's folder, nothing of the code that trained it.
"""
