# The two commands: `make train` and `make test`; each makes the virtual environment it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ENV ?= gymnax/Breakout-MinAtar
ARGS ?=
ifndef RUN_DIR
RUN_DIR := runs/train-$(shell date +%Y%m%d-%H%M%S)
endif
SUITE ?= minatar

.PHONY: train test test-slow lint format bench bench-full bench-check bench-gpu reproduce docs dist test-dist clean

train: $(VENV)/.train
	$(BIN)/python experiments/discrete/pqn.py --env $(ENV) --total-steps 2500000 --epsilon-steps 250000 \
	  --num-evaluations 5 --run-dir "$(RUN_DIR)" $(ARGS)
	@printf 'film   ' && $(BIN)/jaxq video "$(RUN_DIR)"
	@echo "next   $(BIN)/python experiments/discrete/pqn.py --env gymnax/Asterix-MinAtar, or --help; $(BIN)/jaxq agents lists the others"

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadfile

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Speeds beside the baselines, each in an environment that is made for it, as a table. Stopped, it goes on.
bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.throughput --quick

# All speeds, growth, costs, and the pieces; CHECKOUTS="purejaxql=DIR" adds baselines that no registry has.
bench-full: $(VENV)/.dev
	$(BIN)/python -m benchmarks.throughput $(foreach each,$(CHECKOUTS),--checkout $(each))
	$(BIN)/python -m benchmarks.growth
	$(BIN)/python -m benchmarks.costs
	$(BIN)/python -m benchmarks.backups
	$(BIN)/python -m benchmarks.time_to_return
	$(BIN)/python -m benchmarks.front_page
	$(BIN)/python -m benchmarks.report

# Fails where a ratio to this repository's own yardsticks has lost more than 15% against the committed one.
bench-check: $(VENV)/.dev
	$(BIN)/python -m benchmarks.check

# Every figure that wants a GPU, in slices of under nine minutes; SLICES="pqn-pong overhead" does only those.
bench-gpu: $(VENV)/.gpu
	$(BIN)/python -m benchmarks.gpu $(if $(SLICES),--only $(SLICES))
	$(BIN)/python -m benchmarks.report

# The learning results of a suite (minatar, control, atari, ...) that are not there: stopped, it goes on where it was.
# AGENT="dqn c51" does only those, AGAIN=1 also what there is; LEAVE=1 leaves what they ran in under .bench/left.
reproduce: $(VENV)/.dev
	$(BIN)/python -m benchmarks.reproduce $(SUITE) $(if $(AGENT),--agent $(AGENT)) $(if $(AGAIN),--again) $(if $(LEAVE),--leave)
	$(BIN)/python -m benchmarks.curves
	$(BIN)/python -m benchmarks.report

# The documentation site, for any web server: python -m http.server -d build/site
docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# A wheel and an sdist, with the scripts in them.
dist: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

# The wheel in environments of its own: the oldest and the newest Python, and what goes with them, that are here.
test-dist: dist
	.ci/try-wheels

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# An environment with every CPU back end and the tools also serves to train.
$(VENV)/.train: pyproject.toml setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -e $(VENV)/.dev || $(BIN)/python -m pip install -q --no-compile -e ".[gymnax]"
	touch $@

$(VENV)/.dev: pyproject.toml setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --no-compile -e ".[all,dev]"
	touch $@

# The same with JAX for CUDA; flashbax is what the replay is measured beside.
$(VENV)/.gpu: $(VENV)/.dev
	$(BIN)/python -m pip install -q --no-compile -e ".[all,dev,cuda]" flashbax==0.1.3
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
