#!/bin/sh
# Makes .venv with Rostra in it: environment.sh PYTHON WHAT. Run by make when pyproject.toml changed.
set -eu
python=$1
what=$2

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "Rostra needs Python 3.11 or newer; '$python' is not. Install it, or name one: make PYTHON=/path/to/python3.11 …" >&2
    exit 1
fi
if [ ! -x .venv/bin/python ]; then
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        # Debian keeps this part of Python in a package of its own.
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            echo "Installing python3-venv …" >&2
            apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
        else
            echo "Python's venv module is missing. Install it (Debian: apt install python3-venv) and try again." >&2
            exit 1
        fi
    fi
    "$python" -m venv .venv
fi
echo "Installing Rostra into .venv (once; again only when pyproject.toml changes) …" >&2
.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable "$what"
