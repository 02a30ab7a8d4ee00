# make book   builds the book        make test   runs every check
# The environment is .venv, made from requirements.lock.txt on first use.
PYTHON ?= python3
VENV ?= .venv
PORT ?= 8000
UV_VERSION = 0.13.9
BIN = $(VENV)/bin
HTML = _build/html

export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: setup book test test-all test-html notebooks serve lint lock clean

setup: $(VENV)/.stamp

$(VENV)/.stamp: requirements.lock.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 10) <= v <= (3, 13) or sys.exit("dropkit needs Python 3.10 to 3.13; $(PYTHON) is %d.%d. Use: make PYTHON=python3.12 ..." % v)'
	@echo "[1/3] Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@echo "[2/3] Installing the locked packages (about 2 GB on disk; the first time takes minutes)"
	@$(BIN)/uv pip sync --python $(BIN)/python --require-hashes requirements.lock.txt
	@echo "[3/3] Installing dropkit"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# The old pages and their cache go first: a stale page would stay, and a warning
# about a cached page is not repeated.
book: setup
	rm -rf $(HTML) _build/.doctrees
	$(BIN)/jupyter-book build . -W -n --keep-going
	$(BIN)/python tools/check_html.py $(HTML)
	@echo
	@echo "The book is in $(HTML). Open it with 'make serve', or open $(CURDIR)/$(HTML)/index.html"

test: setup
	$(BIN)/python -m pytest

# The full product of the contract tests: slower, for releases. Four workers
# share these tests: XLA keeps what it compiled, a hundred memory maps a loop,
# and Linux gives a process 65530. Notebooks can't be shared: cells need order.
LARGE = tests/test_contract.py tests/test_recurrent.py
test-all: setup
	DROPKIT_TEST_ALL=1 $(BIN)/python -m pytest -n 4 --dist worksteal $(LARGE)
	DROPKIT_TEST_ALL=1 $(BIN)/python -m pytest $(LARGE:%=--ignore=%)

# The built book in a real browser: needs Chromium, and `make book` first.
test-html: setup
	DROPKIT_BOOK=$(HTML) $(BIN)/python -m pytest tests/test_html.py -n 0

notebooks: setup
	$(BIN)/python tools/execute.py

serve: setup
	@test -f $(HTML)/index.html || $(MAKE) book
	@echo "Open http://127.0.0.1:$(PORT)/ (Ctrl+C stops)"
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory $(HTML) $(PORT)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

LOCK = $(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.10 --quiet --upgrade --no-emit-index-url --no-header --no-annotate
lock: setup
	$(LOCK) --generate-hashes -o requirements.lock.txt
	sed -e '/^ *--hash=/d' -e 's/ *\\$$//' requirements.lock.txt > constraints.txt
	$(MAKE) setup

clean:
	rm -rf _build build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
