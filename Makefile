# What a user types; .ci/run calls the same.
PYTHON ?= python3
BIN := .venv/bin
# How many processes run the tests.
WORKERS ?= 3
# Where PyTorch comes from; https://download.pytorch.org/whl/cpu has builds without CUDA.
TORCH_INDEX ?=

.PHONY: demo test slow check figures

# Installs what segmenting needs (no torch) and segments an example.
demo: .venv/segment
	$(BIN)/python segment.py --url examples/pexels-2416933.jpg

# Installs everything, then lint, types and tests.
test: check .venv-labelstudio/venv/installed
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

# The long trials: benchmarks, large photos.
slow: .venv/develop
	$(BIN)/python -m pytest -m slow

check: .venv/develop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documents' generated tables and figures, from docs/results.
figures: .venv/develop
	$(BIN)/python -m docs.made

.venv/segment: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .
	touch $@

.venv/develop: pyproject.toml
	@echo 'Installing for development: 7.3 GB into .venv, and Label Studio, 1.0 GB, into .venv-labelstudio.'
	@echo 'On Linux 4.1 GB of it are for CUDA; make test TORCH_INDEX=https://download.pytorch.org/whl/cpu leaves them out.'
	$(PYTHON) -m venv .venv
	$(if $(TORCH_INDEX),$(BIN)/pip install --quiet torch torchvision --index-url $(TORCH_INDEX))
	$(BIN)/pip install --quiet --editable '.[dev]'
	# Apart: s3fs and moto agree on few releases of botocore, which pip does not find when it has all else to settle too.
	$(BIN)/pip install --quiet --editable '.[dev-storage]'
	# The detector's original code, to compare with. It pins versions of 2023, hence without what it asks for.
	$(BIN)/pip install --quiet --no-deps groundingdino-py==0.4.0
	touch $@ .venv/segment

.venv-labelstudio/venv/installed: labelstudio/installation.py | .venv/develop
	mkdir -p .venv-labelstudio
	$(BIN)/python -c 'import pathlib, labelstudio.installation as i; i.find_executable(None, pathlib.Path(".venv-labelstudio"))' \
		2>.venv-labelstudio/install.log || (tail -5 .venv-labelstudio/install.log; exit 1)
	touch $@
