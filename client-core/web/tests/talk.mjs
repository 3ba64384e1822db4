// The script's two ways to whoever started it: one JSON object a line, out by standard output, in by standard input.

import { createInterface } from "node:readline";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/// Tells something; numbers of 64 bits go as text.
export function tell(object) {
  const text = JSON.stringify(object, (_, value) => (typeof value === "bigint" ? value.toString() : value));
  process.stdout.write(`${text}\n`);
}

/// The next answer.
export async function answer() {
  const { value, done } = await lines.next();
  if (done) throw new Error("whoever started this script is gone");
  return JSON.parse(value);
}

/// Asks for something that only the other side can do, and waits until it is done.
export async function ask(what, more = {}) {
  tell({ ask: what, ...more });
  return answer();
}

/// Ends listening, so that the script can end.
export function hangUp() {
  process.stdin.destroy();
}
