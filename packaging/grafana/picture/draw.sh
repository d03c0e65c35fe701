#!/bin/bash
# Draws packaging/grafana/rewrite.json into docs/dashboard.png, with Grafana's components and the data of lab.sh. It
# needs root, node, npm, and Debian's chromium, curl, fonts-inter, pngquant and the packages of lab.sh.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
if [[ ${1:-} != --from-lab ]]; then
    exec "$here/lab.sh" "$here/draw.sh" --from-lab
fi
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cp "$here"/{package.json,page.html,page.tsx,query.mjs,schema.ts} "$build"
cp "$here/../rewrite.json" "$build/dashboard.json"
cd "$build"
npm install --silent --no-audit --no-fund --ignore-scripts

(
    echo 'import type { DashboardJson } from "./schema";'
    echo "export const dashboard: DashboardJson = $(< dashboard.json);"
) > dashboard.ts
npx tsc --noEmit --strict --skipLibCheck --module esnext --moduleResolution bundler dashboard.ts
node query.mjs dashboard.json data.json
npx esbuild page.tsx --bundle --jsx=automatic --alias:picture-data=./data.json --loader:.ttf=dataurl \
    --define:process.env.NODE_ENV='"production"' --define:global=window --outfile=page.js --log-level=error
# A row of Grafana's grid is 30 pixels high.
rows=$(node -p 'Math.max(...require("./dashboard.json").panels.map(({ gridPos: { y, h } }) => y + h))')
chromium --headless --no-sandbox --disable-gpu --disable-quic --disable-sync --no-first-run \
    --disable-background-networking --disable-component-update --allow-file-access-from-files \
    --user-data-dir=profile --hide-scrollbars --window-size="1400,$((rows * 30))" --virtual-time-budget=20000 \
    --enable-logging=stderr --screenshot=page.png "file://$build/page.html" 2> chromium.log
# Chromium draws an empty page after an error of the page's code.
if [[ ! -s page.png ]] || grep 'CONSOLE.*Uncaught' chromium.log; then
    echo "draw.sh: chromium drew no picture; its log:" >&2
    tail -n 20 chromium.log >&2
    exit 1
fi
pngquant --force --output "$here/../../../docs/dashboard.png" 256 page.png
