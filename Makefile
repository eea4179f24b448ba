# materialize · resume · dev · test · prove · lint · bench: each makes the environment first, if it isn't there.
# lock: writes requirements*.lock anew, after a change of pyproject.toml or constraints.txt. pin-images: see below.
PYTHON ?= python3
# For a CPU-only torch on Linux: make materialize PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PIP_FLAGS ?=
# Python compiles what it imports, at the first import; compiling all of it takes longer than the first run.
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile $(PIP_FLAGS)
# With CUDA, its hash checked too: make dev TORCH="--no-deps --require-hashes -r requirements-torch.lock"
TORCH ?= $$(grep '^torch==' constraints.txt)
# Question pairs of your own: make materialize PAIRS=my_pairs.csv
PAIRS ?=
CONFIG ?= configs/$(if $(PAIRS),few_pairs,quickstart).yaml
# Extra arguments of `python -m pipeline materialize`, such as ARGS="--set fine_tuned_model.epochs=2"
ARGS ?=

BIN := .venv/bin
# Many tests wait for servers, so four at a time on two cores; threads of several processes on few cores spend their time
# waiting for each other. Files are started in the order of collection, which puts the slow ones first.
WORKERS := 4
PYTEST = OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 10
DAGSTER_HOME ?= $(CURDIR)/.dagster

# Tests and benchmarks don't touch the history of the user's runs.
materialize resume dev: export DAGSTER_HOME := $(DAGSTER_HOME)

.PHONY: materialize resume dev test test-fast prove lint bench clean lock pin-images

materialize: .venv/.installed $(DAGSTER_HOME)/dagster.yaml
	$(BIN)/python -m pipeline materialize --config $(CONFIG) $(if $(PAIRS),--pairs "$(PAIRS)") $(ARGS)

# Goes on with the newest run of `make materialize`, or with the one that ARGS=<its id> names.
resume: .venv/.installed $(DAGSTER_HOME)/dagster.yaml
	$(BIN)/python -m pipeline materialize --resume $(ARGS)

dev: .venv/.installed $(DAGSTER_HOME)/dagster.yaml
	$(BIN)/python -m pipeline prepare
	$(BIN)/dagster dev

test: lint
	$(PYTEST)

# Quick tests wait for nothing, and every worker imports torch.
test-fast: WORKERS := 2
test-fast: lint
	$(PYTEST) -m "not slow"

# Tests that `make test` does by a sample: ten times as much of it, or all.
prove: .venv/.installed-dev
	PROVE=1 $(PYTEST) -m prove

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.installed-dev
	$(BIN)/python benchmarks/definitions_load.py
	$(BIN)/python benchmarks/dataset_load.py

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -m venv .venv

# torch first, in the build of whichever index is asked: CUDA's from PyPI, or a CPU's. Then all else by its hash, and the
# project itself without its dependencies: nothing is installed that the lock doesn't name.
.venv/.installed: .venv/bin/python pyproject.toml constraints.txt requirements.lock
	$(PIP) $(TORCH)
	$(PIP) --no-deps --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.lock
	$(PIP) --no-deps --require-hashes -r requirements-dev.lock
	touch $@

# Four files, each of exact versions with the hashes of all their wheels: what the project needs, torch of PyPI with CUDA,
# what its developers need besides, and what the service needs by itself.
UV_COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-annotate -c constraints.txt
lock: .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	$(UV_COMPILE) pyproject.toml deploy/build-requirements.txt --extra team -o requirements.lock
	$(UV_COMPILE) pyproject.toml deploy/build-requirements.txt --extra team --extra index \
		--extra export --extra serve --extra dev -o requirements-dev.lock
	$(UV_COMPILE) deploy/serve/requirements.in -o requirements-serve.lock
	$(BIN)/python deploy/split_locks.py

# Writes the digests of the images into deploy/, where a registry can be asked.
pin-images:
	$(PYTHON) deploy/pin_images.py

$(DAGSTER_HOME)/dagster.yaml: deploy/dagster.yaml
	mkdir -p $(@D)
	# Whole at once: another make may start Dagster in it.
	cp $< $@.$$$$ && mv $@.$$$$ $@
