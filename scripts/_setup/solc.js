#!/usr/bin/env node
// Answers like a native solc, from the npm package: `--version` and `--standard-json` on stdin, the two calls that
// py-solc-x makes. The package's own `solcjs --standard-json` mixes notices into its JSON and cannot be used instead.
"use strict";

const fs = require("fs");
const path = require("path");

const root = path.resolve(__dirname, "..", "..");
const solc = require(path.join(root, "node_modules", "solc"));

function option(name) {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
}

function main() {
  if (process.argv.includes("--version")) {
    const version = solc.version().replace(".Emscripten.clang", "");
    process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${version}.Emscripten.clang\n`);
    return;
  }
  if (!process.argv.includes("--standard-json")) {
    process.stderr.write("solc.js: only --version and --standard-json are supported\n");
    process.exit(1);
  }
  const base = path.resolve(option("--base-path") || ".");
  const readImport = (name) => {
    const file = path.resolve(base, name);
    if (!file.startsWith(base + path.sep)) return { error: `${name} is outside ${base}` };
    try {
      return { contents: fs.readFileSync(file, "utf8") };
    } catch (error) {
      return { error: `${name}: ${error.message}` };
    }
  };
  const input = fs.readFileSync(0, "utf8");
  // Writing to a pipe may be asynchronous: the process ends by itself when the pipe is drained.
  process.stdout.write(solc.compile(input, { import: readImport }));
}

main();
