#!/usr/bin/env bash
# Builds preact.js from the packages of package-lock.json, or compares it with the build:
#   update.sh          writes preact.js and its checksum
#   update.sh --check  fails if preact.js differs from what the packages build
# CI runs the check, as the bundle could otherwise differ from its sources unnoticed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here"/{package.json,package-lock.json,entry.js} "$work"
cd "$work"
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
banner='/*! Preact, Preact hooks and Preact signals. MIT License, Copyright (c) Jason Miller and the Preact'
banner+=' authors. Versions, licences and how to make this file again: vendor/README.md */'
node_modules/.bin/esbuild entry.js --bundle --minify --format=esm --target=es2022 --legal-comments=none \
    --banner:js="$banner" --outfile=preact.js --log-level=warning
sum=$(sha256sum preact.js | cut -d ' ' -f 1)
if [[ ${1:-} == --check ]]; then
    cmp preact.js "$here/preact.js"
    grep -q "$sum" "$here/README.md" || { printf 'README.md does not name the checksum %s\n' "$sum"; exit 1; }
    printf 'preact.js is what its packages make\n'
else
    cp preact.js "$here/preact.js"
    sed -i "s/[0-9a-f]\{64\}/$sum/" "$here/README.md"
    printf 'preact.js: %s\n' "$sum"
fi
