# What a user types; .ci/run calls the same.
PYTHON ?= python3
BIN := .venv/bin
# How many processes run the tests.
WORKERS ?= 3
# Where PyTorch comes from; https://download.pytorch.org/whl/cpu has builds without CUDA.
TORCH_INDEX ?=

.PHONY: demo test test-minimum slow check figures site lock audit

# Installs what segmenting needs (no torch) and segments an example.
demo: .venv/segment
	$(BIN)/python segment.py --url examples/pexels-2416933.jpg

# Installs everything, then lint, types and tests.
test: check .venv-labelstudio/venv/installed
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

# The security tests with the oldest versions that pyproject.toml allows.
test-minimum: .venv-minimum/installed
	.venv-minimum/bin/python -m pytest -m 'security and not slow' --numprocesses $(WORKERS) --dist loadfile

# The long trials: benchmarks, large photos.
slow: .venv/develop
	$(BIN)/python -m pytest -m slow

check: .venv/develop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documents' generated tables and figures, from docs/results.
figures: .venv/develop
	$(BIN)/python -m tools.build_docs

# The documents as a site, in build/site; every link is checked.
site: .venv/develop
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Writes the locked versions, with hashes, anew: UPGRADE=--upgrade for newer ones.
lock: .venv/develop
	$(LOCK) --extra dev --extra dev-storage pyproject.toml --output-file requirements/develop.txt
	$(LOCK) requirements/labelstudio.in --output-file requirements/labelstudio.txt
	$(LOCK) requirements/uv.in --output-file requirements/uv.txt
	$(LOCK) --no-deps requirements/groundingdino.in --output-file requirements/groundingdino.txt

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' $(UPGRADE)

# Known vulnerabilities of the locked versions, from PyPI's advisory database.
audit: .venv/develop
	for file in develop labelstudio; do $(BIN)/uvx pip-audit --strict --disable-pip --require-hashes --requirement requirements/$$file.txt || exit 1; done

.venv/segment: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .
	touch $@

.venv/develop: pyproject.toml $(wildcard requirements/*.txt)
	@echo 'Installing for development: 7.3 GB into .venv, and Label Studio, 1.0 GB, into .venv-labelstudio.'
	@echo 'On Linux 4.1 GB of it are for CUDA; make test TORCH_INDEX=https://download.pytorch.org/whl/cpu leaves them out.'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes --requirement requirements/uv.txt
ifdef TORCH_INDEX
	# The locked hashes are of PyPI's builds.
	$(UV_INSTALL) torch torchvision --index-url $(TORCH_INDEX)
	$(UV_INSTALL) --editable '.[dev,dev-storage]'
else
	$(UV_INSTALL) --require-hashes --requirement requirements/develop.txt
	$(UV_INSTALL) --no-deps --editable .
endif
	# Grounding DINO of its authors, an implementation of the detector. It pins versions of 2023, hence without what it asks for.
	$(UV_INSTALL) --no-deps --require-hashes --requirement requirements/groundingdino.txt
	touch $@ .venv/segment

UV_INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python

.venv-minimum/installed: pyproject.toml | .venv/develop
	# From nothing: what an older environment has newer would be kept.
	$(PYTHON) -m venv --clear --without-pip .venv-minimum
	$(BIN)/uv pip install --quiet --python .venv-minimum/bin/python --resolution lowest-direct --editable '.[dev]'
	touch $@

.venv-labelstudio/venv/installed: labelstudio/server/installation.py requirements/labelstudio.txt | .venv/develop
	$(PYTHON) -m venv .venv-labelstudio/venv
	$(BIN)/uv pip install --quiet --python .venv-labelstudio/venv/bin/python --require-hashes --requirement requirements/labelstudio.txt
	# As `labelstudio up` marks an installation that it has finished.
	$(BIN)/python -c 'from labelstudio.server.installation import REQUIREMENT; print(REQUIREMENT, end="")' >$@
