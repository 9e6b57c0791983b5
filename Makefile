# make run: the whole flow on the digits network.  make test: the tests.  make help: everything else.
PYTHON  ?= python3
VENV    ?= .venv
CONFIG  ?= examples/digits/run.yaml
OUT     ?= out
HLS     ?= open
ARGS    ?=
BIN     := $(VENV)/bin
PSCONV  := $(BIN)/psconv
PIP     := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint requirements.lock
PYTEST  := $(BIN)/python -m pytest

.PHONY: run golden csim synth cosim resources compare report pnr test test-all test-wheel coverage bench hunt lint docs wheel \
  train-digits lock clean help

run: $(VENV)/run.stamp            ## golden model -> HLS -> RTL -> co-simulation -> comparison -> report
	$(PSCONV) run $(CONFIG) --out $(OUT) --hls $(HLS)

golden csim synth cosim resources report: $(VENV)/run.stamp   ## one step of the flow; CONFIG=, OUT=, HLS=, ARGS=
	$(PSCONV) $@ $(CONFIG) --out $(OUT) $(if $(filter synth,$@),--hls $(HLS)) $(ARGS)

compare: $(VENV)/run.stamp        ## RTL outputs against the golden model, element for element
	$(PSCONV) compare $(OUT)/golden $(OUT)/cosim

pnr: $(VENV)/run.stamp            ## the flow with ECP5 place and route of every layer (slow)
	$(PSCONV) run $(CONFIG) --out $(OUT) --hls $(HLS) --target ulx3s_85f --pnr

test: $(VENV)/test.stamp          ## the tests, without those marked slow
	$(PYTEST) -n 2 --dist worksteal -m "not slow"

test-all: $(VENV)/test.stamp      ## every test, slow ones too
	$(PYTEST) -n 2 --dist worksteal

test-wheel: $(VENV)/test.stamp    ## the wheel, installed in an empty environment away from this checkout
	$(PYTEST) tests/packaging

coverage: $(VENV)/test.stamp      ## lines that the quick tests run: OUT/coverage/table.md and html
	$(PYTEST) -n 2 --dist worksteal -m "not slow" --cov --cov-report= \
	  --cov-report=html:$(OUT)/coverage/html --cov-report=json:$(OUT)/coverage/lines.json
	$(BIN)/python -m scripts.coverage_table $(OUT)/coverage/lines.json | tee $(OUT)/coverage/table.md

bench: $(VENV)/bench.stamp        ## every measurement of docs/measurements: tables, and JSON in OUT/bench (slow)
	$(BIN)/python -m scripts bench all --out $(OUT)/bench

hunt: $(VENV)/test.stamp          ## random inputs against independent answers, as many as its document says (hours); ARGS=
	$(BIN)/python -m scripts hunt all --out $(OUT)/hunt $(ARGS)

CPP     := $(wildcard pymodel/nn/native/*.?pp hls/engine/*.?pp hls/engine/example/*.?pp hls/csim/*.cpp hls/bambu/*.h hls/bambu/*.hpp tests/engine/*.?pp)

lint: $(VENV)/test.stamp          ## formatting, of C++ too, ruff, types, ends of files
	$(BIN)/clang-format --dry-run --Werror $(CPP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m scripts.end_of_file

docs: $(VENV)/docs.stamp          ## the documentation as a site, in OUT/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir $(abspath $(OUT))/site

wheel: $(VENV)/test.stamp         ## the wheel, in OUT/wheel
	$(BIN)/python -m hatchling build --target wheel --directory $(OUT)/wheel

train-digits: $(VENV)/test.stamp  ## train, quantise and export the digits bundle from nothing
	$(PSCONV) train examples/digits/train.yaml --out $(OUT)/train
	$(PSCONV) quantize $(OUT)/train --out $(OUT)/digits_PSD1_P16.yaml

lock: $(VENV)/test.stamp          ## write requirements.lock from what is installed, all extras
	$(PIP) --editable '.[train,dask,peer,test,docs]'
	( head -1 requirements.lock; $(BIN)/python -m pip freeze --exclude hls4ml --exclude-editable --all \
	  | grep -v '^pip==' | sed 's/+cpu//' ) > requirements.lock.tmp && mv requirements.lock.tmp requirements.lock

clean:                            ## remove what the flow wrote; the virtual environment stays
	rm -rf $(OUT) build

help:                             ## this list
	@grep -hE '^[a-z -]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 42

# Said before anything is installed: pip would say ResolutionImpossible, for pins that older Pythons have not.
NEEDED := 3, 11
define check_python
@command -v $(1) > /dev/null || { echo "error: PYTHON=$(1): no such command; Python $(subst $(comma) ,.,$(NEEDED)) or later is needed"; exit 2; }
@$(1) -c 'import sys; v = sys.version_info; old = v < ($(NEEDED)); \
  old and sys.stderr.write("error: PYTHON=$(1) is Python %d.%d; %d.%d or later is needed: make PYTHON=python3.11\n" \
                           % (v[0], v[1], $(NEEDED))); sys.exit(2 * old)'
endef
comma := ,

$(VENV)/bin/python:
	$(call check_python,$(PYTHON))
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "error: $(PYTHON) -m venv failed: is its package venv installed?"; exit 2; }

# Stamps, so that a second `make run` installs nothing.
$(VENV)/run.stamp: pyproject.toml requirements.lock | $(VENV)/bin/python
	$(call check_python,$(BIN)/python)
	@echo "Installing the flow's packages (once; a few minutes of downloads)"
	$(PIP) --editable .
	@touch $@

# AMD's ap_types headers come inside the hls4ml wheel; its dependencies (TensorFlow) are not wanted.
$(VENV)/test.stamp: pyproject.toml requirements.lock | $(VENV)/bin/python
	$(call check_python,$(BIN)/python)
	@echo "Installing the tests' packages (once)"
	$(PIP) --editable '.[test,train]'
	$(PIP) --no-deps hls4ml==1.3.0
	@touch $@ $(VENV)/run.stamp

$(VENV)/docs.stamp: $(VENV)/test.stamp
	$(PIP) --editable '.[docs]'
	@touch $@

# NNgen, which only `python -m scripts bench peer` compares with.
$(VENV)/bench.stamp: $(VENV)/test.stamp
	$(PIP) --editable '.[peer]'
	@touch $@
