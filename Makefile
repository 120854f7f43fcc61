# Four commands: setup, demo, test, check. Each makes the environment first where it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo_out

.PHONY: setup demo test check format clean

setup: $(VENV)/.installed

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "gan-hd needs Python 3.10 or newer; name one with make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,dev,serve,app,onnx]'
	touch $@

# Draws the sample set, trains for some minutes, translates a 12-megapixel picture, shows before and after.
# Stopped in the middle, it carries on where it stood.
demo: setup
	$(BIN)/python -m data.samples --output=$(DEMO)/samples
	$(BIN)/python train.py --flagfile=demo.flags
	$(BIN)/python translate.py --model=$(DEMO)/run --input=$(DEMO)/samples/hd/photo.jpg --output=$(DEMO)/photo_painted.jpg --overwrite
	$(BIN)/python -m gan_hd.cli.compare --before=$(DEMO)/samples/hd/photo.jpg --after=$(DEMO)/photo_painted.jpg --output=$(DEMO)/before_after.jpg
	@echo
	@echo "Before and after, whole and at 100 %:  $(DEMO)/before_after.jpg"
	@echo "The 12-megapixel painting:             $(DEMO)/photo_painted.jpg"
	@echo "How the training went:                 $(DEMO)/run/samples/"

# In two processes, file by file: most tests wait for TensorFlow to trace, on one core.
test: setup
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info
