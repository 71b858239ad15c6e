#!/bin/sh
# What everybody can read, with curl; with an API key in CROSSPOINT_API_KEY also what its account has.
# Usage: read.sh [SYMBOL]
set -eu
url=${CROSSPOINT_URL:-http://127.0.0.1:8080}
symbol=${1:-BTC-USDC}

for path in markets "orderbook/$symbol?depth=5" "trades/$symbol?limit=5" "candles/$symbol?interval=1h&limit=5" \
    "tickers/$symbol" status; do
    echo "# GET /v1/$path"
    curl --silent --show-error --fail-with-body "$url/v1/$path"
    echo
done

if [ -n "${CROSSPOINT_API_KEY:-}" ]; then
    for path in balances positions "orders?status=open,partiallyFilled" "fills?limit=5"; do
        echo "# GET /v1/$path"
        # From standard input, so that the secret is in no list of processes.
        echo "header = \"Authorization: Bearer $CROSSPOINT_API_KEY\"" |
            curl --silent --show-error --fail-with-body --config - "$url/v1/$path"
        echo
    done
fi
