// The order of rows, as the server has it (docs/views.md, "Order of values").

import { isObject } from './merge.js';

export interface Sort {
  field: string[];
  order: 'asc' | 'desc';
}

/** The value at a path; of members whose names hold dots the one with the shortest names, from the left. */
export function valueAt(data: unknown, path: readonly string[], from = 0): unknown {
  if (from === path.length) return data;
  if (!isObject(data)) return undefined;
  for (let to = from + 1; to <= path.length; to++) {
    const name = path.slice(from, to).join('.');
    const found = Object.hasOwn(data, name) ? valueAt(data[name], path, to) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** As the bytes of their UTF-8 compare: surrogates stand for what lies behind all other characters. */
export function compareText(a: string, b: string): number {
  const unit = (text: string, i: number): number => {
    const code = text.charCodeAt(i);
    return code < 0xd800 ? code : code > 0xdfff ? code - 0x2000 : code + 0x2000;
  };
  for (let i = 0; i < a.length && i < b.length; i++) {
    if (a[i] !== b[i]) return unit(a, i) - unit(b, i);
  }
  return a.length - b.length;
}

/** [kind, value]: an integer in a text is a number. */
function rank(value: any): [number, any] {
  if (typeof value === 'boolean') return [0, value];
  if (typeof value === 'number') return [1, value];
  if (typeof value !== 'string') return [3, JSON.stringify(value)];
  return /^(0|-?[1-9]\d*)$/.test(value) ? [1, BigInt(value)] : [2, value];
}

const compare = (a: any, b: any): number => (a < b ? -1 : +(a > b));

function compareValues(a: unknown, b: unknown): number {
  const [kind, x] = rank(a);
  const [other, y] = rank(b);
  if (kind !== other) return kind - other;
  return (kind > 1 ? compareText : compare)(x, y);
}

/** "<slot>:<index>": two numbers, of which one with more digits is greater. */
function comparePlaces(a: string, b: string): number {
  const at = a.indexOf(':');
  return at - b.indexOf(':') || compare(a.slice(0, at), b.slice(0, at)) || a.length - b.length || compare(a, b);
}

export interface Placed {
  key: string;
  data: unknown;
}

export function comparator(sorts: readonly Sort[]): (a: Placed, b: Placed) => number {
  return (a, b) => {
    for (const { field, order } of sorts) {
      const x = valueAt(a.data, field) ?? null;
      const y = valueAt(b.data, field) ?? null;
      if (x === y) continue;
      if (x === null || y === null) return x === null ? 1 : -1; /* last in both directions */
      const sign = (`${field}` === '_seq' ? comparePlaces : compareValues)(x as string, y as string);
      if (sign) return order === 'desc' ? -sign : sign;
    }
    return compareText(a.key, b.key);
  };
}
