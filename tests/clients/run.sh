#!/bin/sh
# Runs the black-box tests against build/release/stele (or STELE_BINARY). Arguments: test files to
# run instead of all; --install only installs what they need. STELE_SEEDS, STELE_KILLS and
# STELE_STALLED set the size of the long ones, STELE_AT_ONCE how many files run at a time (4: they
# wait more than they work), STELE_REPORTER how node tells of them (tap, spec).
set -eu
cd "$(dirname "$0")"
command -v node >/dev/null || { echo "tests/clients: node 18 or newer is needed (apt-get install nodejs npm)" >&2; exit 1; }
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --no-audit --no-fund --loglevel=error >&2
  touch node_modules/.package-lock.json
fi
# The client for Python, where there is Python with venv; else its tests say that they did not run.
if [ ! -f node_modules/.python/.installed ] || [ requirements.txt -nt node_modules/.python/.installed ]; then
  if python3 -m venv node_modules/.python >/dev/null 2>&1 && node_modules/.python/bin/pip install -q --disable-pip-version-check -r requirements.txt >&2; then
    touch node_modules/.python/.installed
  else
    echo "tests/clients: arete-sdk cannot be installed here (apt-get install python3-venv); its tests are skipped" >&2
  fi
fi
[ "${1-}" != --install ] || exit 0
[ $# -gt 0 ] || set -- *.test.js
exec node lib/run_files.js "${STELE_AT_ONCE:-4}" "${STELE_REPORTER:-tap}" "$@"
