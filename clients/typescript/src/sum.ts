// The sums of rows (docs/drift.md of stele): what anybody computes who has the rows.

export const PARTS = 256;

/** A number of 256 bits, in words, the most significant first. */
export type Sum = Uint32Array;

// ---- SHA-256 ----

const primes: number[] = [];
for (let n = 2; primes.length < 64; n++) if (primes.every((prime) => n % prime)) primes.push(n);
/** The first 32 bits behind the point. */
const fraction = (x: number): number => (x - Math.floor(x)) * 2 ** 32;
const ROUND = Uint32Array.from(primes, (prime) => fraction(Math.cbrt(prime)));
const START = Uint32Array.from(primes.slice(0, 8), (prime) => fraction(Math.sqrt(prime)));

const BLOCK = 64;
const words = new Int32Array(BLOCK);
const turn = (word: number, by: number): number => (word >>> by) | (word << (32 - by));

function mix(state: Uint32Array, block: DataView, from: number): void {
  for (let i = 0; i < BLOCK; i++) {
    if (i < 16) {
      words[i] = block.getInt32(from + 4 * i);
      continue;
    }
    const a = words[i - 15]!;
    const b = words[i - 2]!;
    words[i] = words[i - 16]! + (turn(a, 7) ^ turn(a, 18) ^ (a >>> 3)) + words[i - 7]! + (turn(b, 17) ^ turn(b, 19) ^ (b >>> 10));
  }
  let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number];
  for (let i = 0; i < BLOCK; i++) {
    const one = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + ROUND[i]! + words[i]!) | 0;
    const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => (state[i]! += word));
}

export function sha256(bytes: Uint8Array): Sum {
  const padded = new Uint8Array(BLOCK * Math.ceil((bytes.length + 9) / BLOCK));
  const view = new DataView(padded.buffer);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(padded.length - 4, bytes.length * 8);
  const state = START.slice();
  for (let at = 0; at < padded.length; at += BLOCK) mix(state, view, at);
  return state;
}

// ---- rows ----

const encoder = new TextEncoder();

/** As RFC 8785 has it. JSON.stringify writes strings and numbers so. */
function textOf(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(textOf).join()}]`;
  if (Object(value) !== value) return JSON.stringify(value);
  const names = Object.keys(value as object).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${textOf((value as Record<string, unknown>)[name])}`).join()}}`;
}

/** The text of a row. Its marks say when it changed, and do not count. */
export function rowText(key: string, data: object): string {
  const plain = Object.fromEntries(Object.entries(data).filter(([name]) => name !== '_seq' && name !== '_version'));
  return `[${JSON.stringify(key)},${textOf(plain)}]`;
}

export const rowSum = (key: string, data: object): Sum => sha256(encoder.encode(rowText(key, data)));
export const keySum = (key: string): Sum => sha256(encoder.encode(key));
export const partOf = (sum: Sum): number => sum[0]! >>> 24;

export function add(sum: Sum, other: Sum): void {
  for (let i = 7, carry = 0; i >= 0; i--) {
    const word = sum[i]! + other[i]! + carry;
    sum[i] = word;
    carry = +(word >= 2 ** 32);
  }
}

/** The next link of the chain that stands for the order. */
export function link(chain: Sum, key: Sum): Sum {
  const bytes = new DataView(new ArrayBuffer(64));
  [...chain, ...key].forEach((word, i) => bytes.setUint32(4 * i, word));
  return sha256(new Uint8Array(bytes.buffer));
}

export const hex = (sum: Sum): string => Array.from(sum, (word) => word.toString(16).padStart(8, '0')).join('');
