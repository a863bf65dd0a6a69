#!/bin/sh
# Runs the tests of the package for Python and the conformance kit with it, against build/release/stele
# or STELE_BINARY. STELE_SEEDS: how many random runs of the kit (3; against a real server a third of them).
set -eu
cd "$(dirname "$0")"
export PYTHONDONTWRITEBYTECODE=1
: "${STELE_BINARY:=$(cd ../.. && pwd)/build/release/stele}"
export STELE_BINARY

# One from elsewhere may stand before Debian's, and lack its websockets.
python=
for each in python3 /usr/bin/python3; do
  if "$each" -c 'import websockets' 2>/dev/null; then python=$each && break; fi
done
if [ -z "$python" ]; then
  echo "skipped: there is no python3 with websockets (apt-get install python3-websockets)"
  echo "# skipped 1"
  exit 0
fi

result=0
"$python" -m unittest discover -v -s tests 2>&1 | awk '
  { print; fflush() }
  / \.\.\. ok$/ || /^ok$/ { passed++ }
  / \.\.\. skipped / { skipped++ }
  /^(FAIL|ERROR): / { failed++ }
  /^Ran / { ran = 1 }
  END {
    if (!ran) failed++
    printf "# pass %d\n# fail %d\n# skipped %d\n", passed, failed, skipped
    exit failed > 0
  }' || result=1

# kit OPTION…
kit() {
  ../conformance/counted "$python" ../conformance/conform --driver "$python tests/driver.py" "$@" || result=1
}

seeds=${STELE_SEEDS:-3}
kit ../conformance/scenarios/*.json
kit --seeds "$seeds"
kit --stele "$STELE_BINARY" --seeds $(((seeds + 2) / 3))
if [ "$seeds" -ge 100 ]; then
  ../conformance/counted "$python" ../conformance/faults || result=1
fi
exit $result
