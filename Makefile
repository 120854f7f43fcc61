# Four commands: setup, demo, test, check. Each makes the environment first where it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo_out
# For bench: an interpreter that has PyTorch, and a run folder or SavedModel to translate with.
TORCH_PYTHON ?= $(BIN)/python
MODEL ?=

.PHONY: setup demo test check bench format clean

setup: $(VENV)/.installed

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "gan-hd needs Python 3.10 or newer; name one with make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,dev,serve,app,onnx]'
	touch $@

# Draws the sample set, trains for some minutes, translates a 12-megapixel picture, shows before and after;
# then paints it with the generator that ships too.
# Stopped in the middle, it carries on where it stood.
demo: setup
	$(BIN)/python -m data.samples --output=$(DEMO)/samples
	$(BIN)/python train.py --flagfile=demo.flags
	$(BIN)/python translate.py --model=$(DEMO)/run --input=$(DEMO)/samples/hd/photo.jpg --output=$(DEMO)/photo_painted.jpg --overwrite
	$(BIN)/python -m gan_hd.cli.compare --before=$(DEMO)/samples/hd/photo.jpg --after=$(DEMO)/photo_painted.jpg --output=$(DEMO)/before_after.jpg
	$(BIN)/python translate.py --input=$(DEMO)/samples/hd/photo.jpg --output=$(DEMO)/photo_vangogh.jpg --overwrite
	@echo
	@echo "Before and after, whole and at 100 %:  $(DEMO)/before_after.jpg"
	@echo "The 12-megapixel painting:             $(DEMO)/photo_painted.jpg"
	@echo "The same by the Van Gogh that ships:   $(DEMO)/photo_vangogh.jpg"
	@echo "How the training went:                 $(DEMO)/run/samples/"

# In two processes, file by file: most tests wait for TensorFlow to trace, on one core.
test: setup
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The benchmarks' short forms: minutes, ratios of one noisy round or three. benchmarks/README.md has the long ones.
bench: setup
	$(BIN)/python benchmarks/roofline.py --rounds=3 --matmuls=2048 --convolutions=16x32x32x128,4x64x64x256
	$(BIN)/python benchmarks/bench_train_step.py --rounds=3 --steps=3
	$(BIN)/python benchmarks/bench_pipeline.py --size_mp=3 --rounds=2 --batches=20
	$(BIN)/python benchmarks/bench_peer.py --torch_python=$(TORCH_PYTHON) --batches=1 --windows_px=512 --rounds=1
ifeq ($(MODEL),)
	@echo "bench_translate.py is left out: name a run folder or SavedModel with make bench MODEL=..."
else
	$(BIN)/python benchmarks/bench_translate.py --model=$(MODEL) --sizes_mp=3
endif

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info
