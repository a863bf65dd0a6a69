// An independent model of what stele must hold: protocol.md section 7 in plain code, written
// from its text and from nothing else. It is slow and simple on purpose.

import { Num, canon, parse, print } from './json.js';

const isObject = (value) => value instanceof Map;

/** Every array in the value cut to its last `max` elements, at every depth. */
export function cut(value, max) {
  if (Array.isArray(value)) return (max ? value.slice(-max) : value).map((v) => cut(v, max));
  if (isObject(value)) return new Map([...value].map(([k, v]) => [k, cut(v, max)]));
  return value;
}

/** Merge `patch` into `target`; arrays at dotted paths in `appends` are extended. */
export function merge(target, patch, appends, max, path = '') {
  const result = new Map(target);
  for (const [name, value] of patch) {
    const here = path === '' ? name : `${path}.${name}`;
    const old = result.get(name);
    if (Array.isArray(value) && Array.isArray(old)) {
      const whole = appends.includes(here) ? [...old, ...cut(value, max)] : cut(value, max);
      result.set(name, max ? whole.slice(-max) : whole);
    } else if (isObject(value) && isObject(old)) {
      result.set(name, merge(old, value, appends, max, here));
    } else {
      result.set(name, cut(value, max));
    }
  }
  return result;
}

/** What a view shows of a value on the way to a field: objects and arrays down to it, else null. */
const onTheWay = (value, fields, path) =>
  isObject(value) ? project(value, fields, path) : Array.isArray(value) ? value.map((element) => onTheWay(element, fields, path)) : null;

/**
 * What a view with `fields` shows of an entity: the members that the dotted fields name, each with
 * all below it; of what stands on the way to a field only what leads there; and `_seq`.
 */
export function project(entity, fields, path = '') {
  if (!fields || fields.length === 0) return entity;
  const result = new Map();
  for (const [name, value] of entity) {
    const here = path === '' ? name : `${path}.${name}`;
    if (fields.includes(here) || (path === '' && name === '_seq')) result.set(name, value);
    else if (fields.some((field) => field.startsWith(`${here}.`))) result.set(name, onTheWay(value, fields, here));
  }
  return result;
}

export const printSeq = ({ slot, index }) => `${slot}:${String(index).padStart(12, '0')}`;

/** Numeric order of two cursors "slot:index". */
export function compareSeq(a, b) {
  const [as, ai] = a.split(':').map(BigInt);
  const [bs, bi] = b.split(':').map(BigInt);
  return as < bs ? -1 : as > bs ? 1 : ai < bi ? -1 : ai > bi ? 1 : 0;
}

/** How a key of any JSON kind is written. */
export function keyText(key) {
  if (typeof key === 'string') return key; /* wide integers are strings already */
  if (key instanceof Num) return key.raw;
  if (Array.isArray(key)) {
    const bytes = key.map((b) => (b instanceof Num && /^[0-9]+$/.test(b.raw) ? Number(b.raw) : -1));
    if (bytes.length > 0 && bytes.every((b) => b >= 0 && b <= 255)) {
      return bytes.map((b) => b.toString(16).padStart(2, '0')).join('');
    }
  }
  return print(key);
}

export class Model {
  /** exports: {name: {max_entities}} when only these exist, or null when they appear as fed. */
  constructor({ maxArray = 100, exports = null } = {}) {
    this.maxArray = maxArray;
    this.limits = exports;
    this.exports = new Map(); /* name → Map(key → entity), least recently changed first */
    this.producers = new Map();
    this.head = { slot: 0n, index: 0n };
    this.any = false;
    this.log = []; /* {export, key, op, seq} */
  }

  rows(name) {
    return this.exports.get(name) ?? new Map();
  }

  /** One NDJSON line or ingest message: a mutation, a batch, or {"mutations":[…]}. */
  feed(text) {
    const request = typeof text === 'string' ? parse(text) : text;
    const counts = { applied: 0, ignored: 0, duplicate: 0 };
    if (!request.has('mutations')) {
      this.#one(request, null, counts);
      return counts;
    }
    const producer = request.get('producer');
    if (producer !== undefined) {
      const number = BigInt(integerText(request.get('batch')));
      if (number <= (this.producers.get(producer) ?? -1n)) {
        counts.duplicate += request.get('mutations').length;
        return counts;
      }
      this.producers.set(producer, number);
    }
    for (const mutation of request.get('mutations')) this.#one(mutation, request, counts);
    return counts;
  }

  #seq(mutation, batch) {
    const from = mutation.has('slot') ? mutation : batch?.has('slot') ? batch : null;
    let seq;
    if (from) {
      seq = { slot: BigInt(integerText(from.get('slot'))), index: BigInt(integerText(from.get('index'))) };
    } else {
      seq = { slot: this.head.slot, index: this.head.index + 1n };
    }
    if (seq.slot > this.head.slot || (seq.slot === this.head.slot && seq.index > this.head.index)) {
      this.head = seq;
    }
    return printSeq(seq);
  }

  #one(mutation, batch, counts) {
    const name = mutation.get('export');
    if (this.limits && !Object.hasOwn(this.limits, name)) {
      counts.ignored++;
      return;
    }
    const rows = this.exports.get(name) ?? new Map();
    const key = keyText(mutation.get('key'));
    const op = mutation.get('op') ?? 'patch';
    const old = rows.get(key);
    if (op === 'delete' && !old) {
      counts.ignored++;
      return;
    }
    this.exports.set(name, rows);
    const seq = this.#seq(mutation, batch);
    counts.applied++;
    this.log.push({ export: name, key, op, seq });
    rows.delete(key);
    if (op === 'delete') return;
    const patch = mutation.get('patch');
    const entity =
      op === 'upsert' || !old
        ? cut(patch, this.maxArray)
        : merge(old, patch, mutation.get('append') ?? [], this.maxArray);
    entity.set('_seq', seq);
    rows.set(key, entity);
    const most = this.limits?.[name]?.max_entities ?? 0;
    if (most && rows.size > most) {
      const [oldest] = rows.keys();
      rows.delete(oldest);
      this.log.push({ export: name, key: oldest, op: 'evict', seq });
    }
  }
}

function integerText(value) {
  return value instanceof Num ? value.raw : value;
}

/** key → sorted exact text, for comparing with SQL. */
export function expectRows(model, name, { fields, keys } = {}) {
  const result = new Map();
  for (const [key, entity] of model.rows(name)) {
    if (!keys || keys.includes(key)) result.set(key, canon(project(entity, fields)));
  }
  return result;
}
