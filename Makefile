# The only interface that people and CI need. Everything lives in .venv and ./rostra-data.
PYTHON ?= python3
DATA ?= ./rostra-data
PORT ?= 8000
HOST ?= 127.0.0.1
BIN := .venv/bin

.PHONY: serve demo test bench bench-edge check clean
.DELETE_ON_ERROR:

serve: .venv/ready          ## run everything on this machine
	@exec $(BIN)/rostra serve --data "$(DATA)" --host "$(HOST)" --port "$(PORT)"

demo: .venv/ready           ## the same, with a demonstration Space on the air
	@exec $(BIN)/python tools/demo.py --data "$(DATA)" --host "$(HOST)" --port "$(PORT)"

test: .venv/ready-dev       ## every test; T="tests/unit -k playlist" for some
	@sh tools/test_tools.sh
	@sh tools/test.sh $(T)

bench: .venv/ready-dev      ## the figures that we publish, measured here
	@sh tools/test_tools.sh bench
	$(BIN)/python -m bench

bench-edge: .venv/ready-dev ## the edge beside its rivals, on a quiet machine: half an hour, and docs/figures-edge.md
	@sh tools/test_tools.sh bench
	$(BIN)/python -m bench edge_stream edge_parts edge_objects edge_flash edge_three edge_growth origin_flat
	$(BIN)/python bench/figures.py

check: .venv/ready-dev      ## style, types and the laws of the layers
	@sh tools/test_tools.sh check
	$(BIN)/ruff check src tests tools bench
	$(BIN)/ruff format --check src tests tools bench
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/integration/test_web_types.py

clean:                      ## forget the environment and the caches, never the data
	rm -rf .venv build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/ready: pyproject.toml tools/environment.sh
	@sh tools/environment.sh "$(PYTHON)" .
	@touch $@

.venv/ready-dev: pyproject.toml tools/environment.sh
	@sh tools/environment.sh "$(PYTHON)" ".[dev]"
	@touch .venv/ready $@
