PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test lint bench lock

# The virtual environment and a .env with fresh secrets.
setup: .venv/.installed .env

.venv/.installed: requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	@$(PYTHON) -m venv .venv || { echo "On Debian: apt install python3-venv"; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.env: | .venv/.installed
	@$(BIN)/python -m attendance_site.new_env

# The whole main job: a demo school, the server, a virtual kiosk. Ctrl-C ends it.
demo: setup
	@$(BIN)/python manage.py demo

test: setup
	@tests/support/install_chromium
	@tests/support/install_services
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python manage.py makemigrations --check --dry-run

# Side by side with face_recognition and DeepFace. face_recognition asks for the source package
# of dlib, which dlib-bin already provides, so it comes without its dependencies.
bench: setup
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps face_recognition==1.3.0
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks kiosks --kiosks 8 20 40
	$(BIN)/python -m benchmarks kiosks --kiosks 20 --nobody

# Pin what requirements*.in ask for, for every platform and Python version.
lock: setup
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header requirements-dev.in -o requirements-dev.txt
