// Signs a limit order through its EIP-712 typed data, places it and cancels it again.
// Usage: node sign_order.mjs SYMBOL [PRICE] [QUANTITY]
import { parseUnits } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const url = process.env.CROSSPOINT_URL ?? "http://127.0.0.1:8080";
const account = privateKeyToAccount(process.env.CROSSPOINT_KEY);
const [symbol, price = "1000", quantity = "0.01"] = process.argv.slice(2);

const ORDER = [
  ["account", "address"], ["market", "uint32"], ["side", "uint8"], ["timeInForce", "uint8"], ["reduceOnly", "bool"],
  ["price", "uint64"], ["quantity", "uint64"], ["nonce", "uint64"], ["epoch", "uint32"], ["expiry", "uint64"],
  ["maxFeeBps", "uint16"], ["conversionLimit", "uint64"],
].map(([name, type]) => ({ name, type }));
const CANCEL = [{ name: "account", type: "address" }, { name: "orderHash", type: "bytes32" }];
const NEVER = 2n ** 64n - 1n;

async function request(method, path, body, token) {
  const headers = {
    ...(body && { "Content-Type": "application/json" }),
    ...(token && { Authorization: `Bearer ${token}` }),
  };
  const response = await fetch(url + path, { method, headers, body: body && JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${answer.code} (${answer.param}): ${answer.detail}`);
  return answer;
}

const { domain, feeBps, markets } = await request("GET", "/v1/markets");
const market = markets.find((each) => each.symbol === symbol);
if (!market) throw new Error(`there is no market ${symbol}`);

// To read the account, sign in: the service gives the text, and the wallet shows it before it signs.
const { message: text } = await request("POST", "/v1/auth/challenge", { account: account.address });
if (!text.startsWith(`${new URL(url).host} wants you to sign in`)) throw new Error(`not ours: ${text}`);
const { token } = await request("POST", "/v1/auth/sessions", {
  message: text, signature: await account.signMessage({ message: text }),
});
const { epoch } = await request("GET", "/v1/account", undefined, token);

// What is signed are integers: micro-USDC per lot, and lots.
const lot = parseUnits(market.lotSize, market.decimals);
const key = 77n, sequence = BigInt(Math.floor(Date.now() / 1000));
const nonce = (key << 32n) | sequence;
const message = {
  account: account.address, market: market.id, side: 0, timeInForce: 0, reduceOnly: false,
  price: (parseUnits(price, 6) * lot) / 10n ** BigInt(market.decimals),
  quantity: parseUnits(quantity, market.decimals) / lot,
  nonce, epoch, expiry: NEVER, maxFeeBps: feeBps, conversionLimit: 0n,
};
const signature = await account.signTypedData({ domain, types: { Order: ORDER }, primaryType: "Order", message });
const placed = await request("POST", "/v1/orders", {
  account: account.address, market: symbol, side: "buy", type: "limit", timeInForce: "GTC",
  price, quantity, nonce: nonce.toString(), epoch, maxFeeBps: feeBps, signature,
});
console.log(placed.orderId, placed.status);

const cancel = await account.signTypedData({
  domain, types: { Cancel: CANCEL }, primaryType: "Cancel",
  message: { account: account.address, orderHash: placed.orderId },
});
const canceled = await request("DELETE", `/v1/orders/${placed.orderId}`, { account: account.address, signature: cancel });
console.log(canceled.orderId, canceled.status);
