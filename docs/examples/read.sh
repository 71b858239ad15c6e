#!/bin/sh
# What everybody can read, with curl. Usage: read.sh [SYMBOL]
set -eu
url=${CROSSPOINT_URL:-http://127.0.0.1:8080}
symbol=${1:-BTC-USDC}

for path in markets "orderbook/$symbol?depth=5" "trades/$symbol?limit=5" "candles/$symbol?interval=1h&limit=5" \
    "tickers/$symbol" status; do
    echo "# GET /v1/$path"
    curl --silent --show-error --fail-with-body "$url/v1/$path"
    echo
done
