# Two commands matter: `make book` and `make test`. They need git, make and Python 3.11 to 3.13, nothing else.
PYTHON ?= python3
UV_VERSION = 0.13.8
UV = .tools/bin/uv
STAMP = .venv/.synced
PORT ?= 8000
COURSE ?= build/classroom
SEED ?= 0
# TORCH=cpu: PyTorch's build for processors, from its own index, without the packages that only graphics cards need
TORCH ?=
TORCH_VERSION = $(shell sed -n 's/^torch==\([0-9.]*\).*/\1/p' requirements.lock)
TORCHVISION_VERSION = $(shell sed -n 's/^torchvision==\([0-9.]*\).*/\1/p' requirements.lock)

.PHONY: help setup test browser lint book serve bench classroom audit release clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

.tools/.python-checked:
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] < (3, 14); \
	sys.exit(0 if ok else "uapkit needs Python 3.11 to 3.13, $(PYTHON) is %d.%d; set one with: make PYTHON=/path/to/python3.12" % sys.version_info[:2])'
	@mkdir -p .tools && touch $@

$(UV): .tools/.python-checked
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet "uv==$(UV_VERSION)"

# uv sits in its own folder because a sync removes what is not locked; compiled once, torch starts in a third of the time
$(STAMP): $(UV) pyproject.toml requirements.lock
	@echo "installing the locked packages into .venv (several GB the first time)"
	$(UV) venv --quiet --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv
ifeq ($(TORCH),cpu)
	awk '/^[a-z]/ { kept = !/^(nvidia-|cuda-|triton=|torch=|torchvision=)/ } kept' requirements.lock > .tools/without_cards.lock
	$(UV) pip sync --quiet --compile-bytecode --python .venv/bin/python .tools/without_cards.lock
	$(UV) pip install --quiet --compile-bytecode --python .venv/bin/python --torch-backend cpu \
		"torch==$(TORCH_VERSION)" "torchvision==$(TORCHVISION_VERSION)"
else
	$(UV) pip sync --quiet --compile-bytecode --python .venv/bin/python requirements.lock
endif
	$(UV) pip install --quiet --python .venv/bin/python --no-deps -e .
	@touch $@

setup: $(STAMP)  ## make .venv with every package of the lock

test: setup  ## run the tests
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 --dist worksteal

browser: setup  ## look at the built book in a real Chromium (part of `test`, too)
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest tests/browser

lint: setup  ## check style, types and import rules
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

book: setup  ## run every item's small run and build the book
	.venv/bin/uapkit book

serve: book  ## show the book on a local port (PORT=8000)
	.venv/bin/python -m http.server --directory build/staging/_build/html --bind 127.0.0.1 $(PORT)

bench: setup  ## measure speed as ratios within one run
	.venv/bin/uapkit bench

classroom: setup  ## build the assignments for students (COURSE=folder SEED=number)
	.venv/bin/python -m uapkit.classroom build --course "$(COURSE)" --seed $(SEED)

lock: $(UV)  # compile the lock anew, hashes but no addresses
	$(UV) pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o requirements.lock

audit: setup  ## licences, known weaknesses and bill of materials of every package
	.venv/bin/python -m release.audit

release: setup  ## make the files of a release in build/release; publishes nothing
	.venv/bin/python -m release.files

clean:  ## remove what was built (.venv and the caches of runs stay)
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .snakemake
