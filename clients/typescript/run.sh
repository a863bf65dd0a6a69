#!/bin/sh
# Builds the package and runs its tests against build/release/stele (or STELE_BINARY), in a copy: run.sh FOLDER [FILE…].
# STELE_PATIENCE makes all time-outs longer. Without files: all of test/, and the conformance kit.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "$(node --version | cut -d . -f 1 | tr -d v)" -lt 20 ]; then
  echo "the package for JavaScript takes node 20 or newer, and there is $(node --version)"
  echo '# skipped 1'
  exit 0
fi
[ $# -gt 0 ] || { echo "usage: $0 FOLDER [FILE…]" >&2; exit 2; }
mkdir -p "$1"
copy=$(cd "$1" && pwd)
shift
rm -rf "$copy/src" "$copy/test" "$copy/dist"
cp -Rp "$here/src" "$here/test" "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$here/tsconfig.json" "$here/README.md" "$copy"/
cd "$copy"
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  touch node_modules/.package-lock.json
fi
node_modules/.bin/tsc
export STELE_ROOT="${STELE_ROOT:-$(cd "$here/../.." && pwd)}"
result=0
if [ $# -gt 0 ]; then
  node --test --test-reporter=tap "$@" || result=1
  exit $result
fi
node --test --test-reporter=tap test/*.test.js || result=1

# The conformance kit; STELE_SEEDS: how many random runs.
"$here/../conformance/counted" "${PYTHON:-python3}" "$here/../conformance/conform" --driver "node test/conformance-driver.js" \
  --seeds "${STELE_SEEDS:-2}" "$here"/../conformance/scenarios/*.json || result=1
exit $result
