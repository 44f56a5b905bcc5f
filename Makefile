# Every command starts here; `make` alone lists them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
PYTHON ?= python3
BIN := .venv/bin
T ?= tests

.PHONY: help setup web demo demo-reset test check vectors bench shell why docs clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.venv/.ready: pyproject.toml uv.lock tools/setup.py
	@$(PYTHON) tools/setup.py

setup: .venv/.ready ## make .venv with every Python package, exactly as locked

web: .venv/.ready ## build the people's client into web/dist (skipped when nothing changed)
	@$(BIN)/kith web build

demo: .venv/.ready ## a small town of synthetic people on http://localhost:8000 (PORT=8100 for another)
	@$(BIN)/kith demo $(if $(PORT),--port $(PORT))

demo-reset: .venv/.ready ## forget the demo's data
	@rm -rf var/demo

# On a busy CI machine what failed is run once more, alone and loudly; a second failure is final, and so is a run that
# broke off (exit codes above 1): tests that never ran would be taken for good. Python 3.11's parser can end a worker
# while pytest draws a long traceback, so workers draw plain ones.
AGAIN = { [ "$$CI" = true ] && echo "!! FAILED ONCE, running that again alone; look at it even if it passes now:"; }

test: .venv/.ready web ## everything, browser journeys included (T=path for a part)
	@$(BIN)/python tools/chromium.py
	@$(BIN)/python tools/faults.py
	@$(BIN)/python -m kith.app.web test || { $(AGAIN) && $(BIN)/python -m kith.app.web test; }
	@$(BIN)/pytest -q -n 2 --dist loadfile --tb=native -m "not browser" $(T) || { [ $$? -eq 1 ] && $(AGAIN) && $(BIN)/pytest -q --last-failed --last-failed-no-failures none -m "not browser" $(T); }
	@$(BIN)/pytest -q -m browser $(T) || { code=$$?; [ $$code -eq 5 ] || { [ $$code -eq 1 ] && $(AGAIN) && $(BIN)/pytest -q --last-failed --last-failed-no-failures none -m browser $(T); }; }

check: .venv/.ready web ## ruff, mypy --strict, import contracts, web types and a11y lint, generated pages unchanged
	@$(BIN)/ruff format --check -q src tests tools benches
	@$(BIN)/ruff check -q src tests tools benches
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/kith docs --check
	@$(BIN)/python -m kith.app.web check

vectors: .venv/.ready web ## re-verify frozen bytes in both languages
	@$(BIN)/python -m kith.app.web vectors
	@$(BIN)/python tests/vectors/run.py

bench: .venv/.ready ## the delivery path beside its yardsticks, and ratios (QUICK=1: a minute; see benches/README.md)
	@$(BIN)/python benches/run.py $(if $(QUICK),--quick)

shell: .venv/.ready ## a Python prompt with the demo's world loaded
	@$(BIN)/kith shell

why: .venv/.ready ## make why ID=…: the rule, the facts and the outcome of a stored decision
	@$(BIN)/kith why "$(ID)"

docs: .venv/.ready ## regenerate docs/data.md, docs/rules.md, docs/limits.md
	@$(BIN)/kith docs

clean: ## remove what was built (not the demo's data)
	@rm -rf web/dist web/.node .mypy_cache .ruff_cache .pytest_cache .hypothesis
