// The sums of docs/drift.md, made without stele: by Node's crypto and BigInt.

import { createHash } from 'node:crypto';

const WHOLE = 1n << 256n;
const digest = (bytes) => createHash('sha256').update(bytes).digest();

function textOf(value) {
  if (Array.isArray(value)) return `[${value.map(textOf).join()}]`;
  if (Object(value) !== value) return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${textOf(value[name])}`).join()}}`;
}

export function rowSum(key, data) {
  const { _seq, _version, ...plain } = data;
  return digest(`[${JSON.stringify(key)},${textOf(plain)}]`).toString('hex');
}
export const partOf = (key) => digest(key).toString('hex', 0, 1);
export const hex = (number) => number.toString(16).padStart(64, '0');
/** Rows in and out of a sum. */
export const plus = (sum, row) => (sum + BigInt(`0x${row}`)) % WHOLE;
export const minus = (sum, row) => (sum - BigInt(`0x${row}`) + WHOLE) % WHOLE;

/** Of [[key, data]…] in their order: {rows, sum, order, parts, keys}, as an answer has them. */
export function sumsOf(list) {
  const parts = new Map();
  let sum = 0n, chain = Buffer.alloc(32);
  const keys = list.map(([key, data]) => {
    const row = rowSum(key, data), part = partOf(key);
    const [count, of] = parts.get(part) ?? [0, 0n];
    parts.set(part, [count + 1, plus(of, row)]);
    sum = plus(sum, row);
    chain = digest(Buffer.concat([chain, digest(key)]));
    return [key, row];
  });
  return {
    rows: list.length, sum: hex(sum), order: chain.toString('hex'), keys,
    parts: [...parts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([part, [count, of]]) => [part, count, hex(of)]),
  };
}
