// An independent model of views and windows: docs/views.md in plain code, written from its text and
// from nothing else. Values are those of json.js (Map, Array, string, Num, boolean, null), so that
// numbers are compared by their exact decimals. It is slow and simple on purpose.

import { Num, print } from './json.js';
import { compareSeq } from './model.js';

const LARGEST = 2n ** 53n - 1n;
const isObject = (value) => value instanceof Map;

/** The value at a path, a list of member names or a text with dots; undefined when it is not there. */
export function valueAt(entity, path) {
  if (!Array.isArray(path)) return valueAtDotted(entity, path);
  let value = entity;
  for (const name of path) {
    if (!isObject(value) || !value.has(name)) return undefined;
    value = value.get(name);
  }
  return value;
}

/** Of the members whose names joined with dots are this text, the one with the shortest names, from the left. */
export function valueAtDotted(value, text) {
  if (!isObject(value)) return undefined;
  const steps = [...value.keys()].filter((name) => name !== '' && (text === name || text.startsWith(`${name}.`))).sort((a, b) => a.length - b.length);
  for (const name of steps) {
    const found = text === name ? value.get(name) : valueAtDotted(value.get(name), text.slice(name.length + 1));
    if (found !== undefined) return found;
  }
  return undefined;
}

/* ---- values ---- */

const isWide = (value) => typeof value === 'string' && /^-?(0|[1-9][0-9]*)$/.test(value) && (BigInt(value) > LARGEST || BigInt(value) < -LARGEST);

function kind(value) {
  if (value === undefined || value === null) return 'nothing';
  if (value === true || value === false) return 'boolean';
  if (value instanceof Num || isWide(value)) return 'number';
  if (typeof value === 'string') return 'string';
  return Array.isArray(value) ? 'array' : 'object';
}

/** What it counts as in the order of values: an integer in a text, as JSON writes it, is a number. */
const orderKind = (value) => (typeof value === 'string' && /^(0|-?[1-9][0-9]*)$/.test(value) ? 'number' : kind(value));

/** digits × 10^exponent, exactly. */
function decimal(value) {
  const [, sign, whole, fraction = '', exponent = '0'] = /^(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/.exec(value instanceof Num ? value.raw : value);
  const digits = BigInt(whole + fraction);
  return { digits: sign ? -digits : digits, exponent: BigInt(exponent) - BigInt(fraction.length) };
}

function compareNumbers(a, b) {
  const [x, y] = [decimal(a), decimal(b)];
  const least = x.exponent < y.exponent ? x.exponent : y.exponent;
  const [p, q] = [x, y].map(({ digits, exponent }) => digits * 10n ** (exponent - least));
  return p < q ? -1 : p > q ? 1 : 0;
}

export const compareBytes = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));

const RANK = { boolean: 0, number: 1, string: 2, array: 3, object: 3 };

/** The order of two values, neither null nor missing. */
export function compareValues(a, b) {
  const [x, y] = [orderKind(a), orderKind(b)];
  if (RANK[x] !== RANK[y]) return RANK[x] - RANK[y];
  if (x === 'boolean') return Number(a) - Number(b);
  if (x === 'number') return compareNumbers(a, b);
  if (x === 'string') return compareBytes(a, b);
  return compareBytes(print(a), print(b));
}

/** The same type and value. */
export function equal(a, b) {
  const x = kind(a);
  if (x !== kind(b)) return false;
  if (x === 'nothing') return true;
  if (x === 'number') return compareNumbers(a, b) === 0;
  if (x === 'array') return a.length === b.length && a.every((element, i) => equal(element, b[i]));
  if (x === 'object') return a.size === b.size && [...a].every(([name, member]) => b.has(name) && equal(member, b.get(name)));
  return a === b;
}

/* ---- predicates, as the configuration spells them, parsed by json.js ---- */

const RELATIONS = {
  gt: (order) => order > 0,
  gte: (order) => order >= 0,
  lt: (order) => order < 0,
  lte: (order) => order <= 0,
};

function operand(value, entity, now) {
  if (!isObject(value)) return value;
  if (value.has('field')) return valueAt(entity, value.get('field')) ?? null;
  if (value.has('now')) return new Num(String(now));
  return value.get('literal');
}

/** An array has an equal element; an object has a member of that name. */
function contains(value, part) {
  if (isObject(value)) return typeof part === 'string' && value.has(part);
  return Array.isArray(value) && value.some((element) => equal(element, part));
}

export function holds(predicate, entity, now) {
  if (predicate.has('all')) return predicate.get('all').every((one) => holds(one, entity, now));
  if (predicate.has('any')) return predicate.get('any').some((one) => holds(one, entity, now));
  if (predicate.has('not')) return !holds(predicate.get('not'), entity, now);
  if (predicate.has('exists')) return valueAt(entity, predicate.get('exists')) !== undefined;
  const left = valueAt(entity, predicate.get('field')) ?? null;
  const [relation] = [...predicate.keys()].filter((name) => name !== 'field');
  const right = operand(predicate.get(relation), entity, now);
  if (relation === 'eq') return equal(left, right);
  if (relation === 'ne') return !equal(left, right);
  if (relation === 'in') return Array.isArray(right) && right.some((value) => equal(value, left));
  if (relation === 'prefix') return typeof left === 'string' && typeof right === 'string' && left.startsWith(right);
  if (relation === 'contains') return contains(left, right);
  const comparable = orderKind(left) === orderKind(right) && ['boolean', 'number', 'string'].includes(orderKind(left));
  return comparable && RELATIONS[relation](compareValues(left, right));
}

/* ---- orders and steps: rows are {key, entity} ---- */

/** By seq, the newest first. */
export function byAge(a, b) {
  return compareSeq(b.entity.get('_seq'), a.entity.get('_seq')) || compareBytes(a.key, b.key);
}

function compareAt(a, b, path, descending) {
  const [x, y] = [a, b].map((row) => valueAt(row.entity, path) ?? null);
  if (x === null || y === null) return Number(x === null) - Number(y === null);
  const order = compareValues(x, y);
  return descending ? -order : order;
}

const byValue = (path, descending) => (a, b) => compareAt(a, b, path, descending) || compareBytes(a.key, b.key);

/** By several keys, one after the other: as a subscription gives them, parsed by json.js. */
function byKeys(keys) {
  const orders = keys.map((key) => (isObject(key) ? [key.get('by'), key.get('order') === 'desc'] : [key, false]));
  return (a, b) => orders.reduce((order, [path, descending]) => order || compareAt(a, b, path, descending), 0) || compareBytes(a.key, b.key);
}

const number = (value) => Number(value.raw);

/** One step of a pipeline: "first", "last" or a Map with one member. */
function step(rows, one, now) {
  if (one === 'first') return rows.slice(0, 1);
  if (one === 'last') return rows.slice(-1);
  const [[name, value]] = [...one];
  switch (name) {
    case 'filter':
      return rows.filter((row) => holds(value, row.entity, now));
    case 'sort': {
      const whole = isObject(value) ? value : new Map([['by', value]]);
      return [...rows].sort(byValue(whole.get('by'), whole.get('order') === 'desc'));
    }
    case 'skip':
      return rows.slice(number(value));
    case 'take':
      return rows.slice(0, number(value));
    case 'max_by':
      return [...rows].sort(byValue(value, true)).slice(0, 1);
    case 'min_by':
      return [...rows].sort(byValue(value, false)).slice(0, 1);
    default:
      throw new Error(`unknown step ${name}`);
  }
}

/** The rows of a pipeline (an array of steps, parsed by json.js) over rows in their order. */
export const pipeline = (rows, steps, now) => steps.reduce((left, one) => step(left, one, now), rows);

/* ---- windows ---- */

/** key → entity, in any order, as the ordered rows of an export's list. */
export const list = (entities) => [...entities].map(([key, entity]) => ({ key, entity })).sort(byAge);

/** Whether every value of the filters (Map of dotted path → value) stands in the entity. */
export const passes = (filters, entity) => [...filters].every(([path, value]) => {
  const has = valueAt(entity, path);
  return has !== undefined && equal(has, value);
});

/** What a subscriber with these parameters sees of a view's ordered rows. */
export function windowOf(rows, { filters, where, sort, key, keyField, skip = 0, take = Infinity }, now) {
  let left = rows;
  if (filters) left = left.filter((row) => passes(filters, row.entity));
  if (where) left = left.filter((row) => holds(where, row.entity, now));
  if (sort) left = [...left].sort(byKeys(sort));
  if (key !== undefined && keyField) {
    left = left.filter((row) => keyedBy(valueAt(row.entity, keyField)) === key).slice(0, 1).map((row) => ({ ...row, key }));
  } else if (key !== undefined) {
    left = left.filter((row) => row.key === key);
  }
  return left.slice(skip, skip + take);
}

/* How subscribers of a view that is keyed by a field write the field's value. */
const keyedBy = (value) => (value === undefined ? undefined : typeof value === 'string' ? value : print(value));
