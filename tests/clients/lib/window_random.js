// Random data, views and windows for windows.test.js: every JSON type, ties, wide integers, and the
// same values in several spellings.

import { parse } from './json.js';
import { keyText } from './model.js';
import { Seqs } from './random_seq.js';
import { list, pipeline, windowOf } from './window_model.js';

const KEYS = ['"a"', '"b"', '"c"', '"d"', '"e"', '"f"', '"g"', '"h"', '"i"', '"é/:*"', '"\\uffee"', '"😀"', '7', '70', '[1,2]'];
const PLAIN = {
  A: {
    slim: { fields: ['n', 'o.x', 'o.deep'] },
    few: { keys: ['b', 'd', '7', '😀', 'f'], coalesce_ms: 2 },
    one: { mode: 'state', fields: ['o.deep', 's'] },
  },
  B: {},
};
const PATHS = ['n', 's', 'b', 'o.x', 'o.y', 'o.deep.y', 'o', 'l', 'missing', 'o.a.b'];

/* ---- values ---- */

/* Few of each, so that there are ties; the same value in several spellings. */
const NUMBERS = [
  '0', '-0', '0.0', '1', '1.0', '10e-1', '2', '-1', '0.1', '1e-1', '0.10000000000000001', '1.5', '-1.5e-7', '2e3', '2000', '1e300', '-1e300',
  '9007199254740991', '9007199254740992', '9007199254740993', '-9007199254740993', '18446744073709551615', '18446744073709551614', '1e19', '123456789012345678901234567890',
];
const STRINGS = ['""', '"a"', '"A"', '"ab"', '"é"', '"\\u00e9"', '"\\uffee"', '"😀"', '"a\\"b\\\\c\\/"', '"\\u0000\\n"', '"\\u007f"', '"1"', '"2"', '"10"', '"-1"', '"0"', '"1000"', '"01"', '"1.0"', '"18446744073709551615"', '"-0"', '"009007199254740993"', '"true"'];
const OTHERS = ['null', 'null', 'true', 'false', '[]', '[1]', '[1.0,"a"]', '["a"]', '{}', '{"x":1}', '{"x":1.0}', '{"y":[2],"x":null}', '{"x":null,"y":[2]}'];

const anyValue = (r) => r.pick(r.pick([NUMBERS, NUMBERS, STRINGS, OTHERS]));

const canonKey = (key) => keyText(parse(key));

/* ---- what is fed ---- */

export class Feed extends Seqs {
  /** `now` gives the seconds since 1970. */
  constructor(random, model, timed, now) {
    super(random);
    Object.assign(this, { model, timed, now });
    this.counter = 0;
  }

  object(depth) {
    const r = this.random;
    const parts = [];
    for (const name of ['x', 'y', 'a.b']) if (r.chance(0.4)) parts.push(`"${name}":${anyValue(r)}`);
    if (depth > 0 && r.chance(0.4)) parts.push(`"deep":${this.object(depth - 1)}`);
    return `{${parts.join(',')}}`;
  }

  /* The counter makes each mutation change something, also where it shares a seq. */
  patch() {
    const r = this.random;
    const parts = [`"c":${++this.counter}`];
    if (r.chance(0.5)) parts.push(`"n":${r.chance(0.8) ? r.pick(NUMBERS) : anyValue(r)}`);
    if (r.chance(0.4)) parts.push(`"s":${r.chance(0.7) ? r.pick(STRINGS) : anyValue(r)}`);
    if (r.chance(0.4)) parts.push(`"b":${r.pick(['true', 'false', 'null'])}`);
    if (r.chance(0.4)) parts.push(`"o":${r.chance(0.85) ? this.object(1) : anyValue(r)}`);
    if (r.chance(0.2)) parts.push(`"l":[${Array.from({ length: r.below(3) }, () => r.pick(NUMBERS)).join(',')}]`);
    if (this.timed && r.chance(0.6)) parts.push(`"t":${r.chance(0.9) ? this.now() + r.pick([-50, -2, -1, 0, 1, 2, 50, 90]) : anyValue(r)}`);
    if (r.chance(0.02)) parts.push(`"pad":"${'x'.repeat(r.between(500, 9000))}"`);
    return `{${parts.join(',')}}`;
  }

  mutation(seq = '') {
    const r = this.random;
    const name = r.pick(['A', 'A', 'A', 'A', 'B', 'Nobody']);
    const head = `"export":"${name}","key":${r.pick(KEYS)}`;
    const kind = r.next();
    /* No deletes in B: whether one is ignored would depend on what was evicted before. */
    if (kind < 0.15 && name !== 'B') return `{${head},"op":"delete"${seq}}`;
    if (kind < 0.3) return `{${head},"op":"upsert","patch":${this.patch()}${seq}}`;
    return `{${head},"patch":${this.patch()}${r.chance(0.1) ? ',"append":["l"]' : ''}${seq}}`;
  }

  /** A batch for the producer, applied to the model: [mutations, extra]. */
  batch(most = 12) {
    const r = this.random;
    const shared = r.chance(0.3);
    const n = Math.min(most, r.pick([1, 1, 2, 3, 5, 12]));
    const extra = shared ? `${this.seq().slice(1)},`.replace(/^,$/, '') : '';
    const mutations = Array.from({ length: n }, () => this.mutation(shared ? '' : this.seq()));
    this.model.feed(`{${extra}"mutations":[${mutations.join(',')}]}`);
    return [mutations, extra];
  }
}

/* ---- predicates ---- */

/* In a configuration an integer beyond 64 bits is written as text, as it is told to clients, and a
 * fraction has at most the digits of a double. */
function plainLiteral(r) {
  const value = anyValue(r);
  if (value === '0.10000000000000001') return '0.1';
  return /^-?[0-9]{19,}$/.test(value) ? `"${value}"` : value;
}

function literal(r) {
  const value = plainLiteral(r);
  return value.startsWith('{') ? `{"literal":${value}}` : value;
}

function predicateOf(r, depth, paths, timed) {
  if (timed && r.chance(0.5)) return `{"field":"t","${r.pick(['gt', 'gte', 'lt', 'lte'])}":{"now":true}}`;
  const many = () => Array.from({ length: r.below(4) }, () => predicateOf(r, depth - 1, paths, timed)).join(',');
  const path = r.pick(paths);
  const field = JSON.stringify(path.includes('.') && r.chance(0.3) ? path.split('.') : path);
  switch (r.below(depth > 0 ? 11 : 8)) {
    case 0:
      return `{"exists":${field}}`;
    case 1:
      return `{"field":${field},"${r.pick(['eq', 'ne', 'gt', 'lte', 'in', 'prefix', 'contains'])}":{"field":"${r.pick(paths)}"}}`;
    case 2:
      return `{"field":${field},"in":[${Array.from({ length: r.below(5) }, () => plainLiteral(r)).join(',')}]}`;
    case 3:
      return r.chance(0.5)
        ? `{"field":"${r.pick(paths)}","contains":${r.chance(0.5) ? r.pick(['"x"', '"y"', '"deep"', '1', '2']) : literal(r)}}`
        : `{"field":"${r.pick(paths)}","prefix":${r.pick(['""', '"a"', '"1"', '"\\u0000"', '"0"', '"a\\"b"', '"-"', '"1844"'])}}`;
    case 8:
      return `{"all":[${many()}]}`;
    case 9:
      return `{"any":[${many()}]}`;
    case 10:
      return `{"not":${predicateOf(r, depth - 1, paths, timed)}}`;
    default:
      return `{"field":${field},"${r.pick(['eq', 'ne', 'ne', 'gt', 'gte', 'lt', 'lte'])}":${literal(r)}}`;
  }
}

/* ---- views ---- */

/** Random views of two exports, and what the model says that they show. */
export class Definitions {
  constructor(random, timed) {
    this.random = random;
    this.timed = timed;
    this.derived = new Map(); /* id → {source, steps (parsed), output, fields, definition (text)} */
    for (let i = 0; i < random.between(4, 8); i++) this.add(i);
    this.indexes = Array.from({ length: random.below(3) }, () => `{"by":"${random.pick(['n', 's', 'o.x'])}","order":"${random.pick(['asc', 'desc'])}"}`);
    this.indexes.forEach((sort, i) => this.addIndex(i, sort));
  }

  /** A view that serves as an index for the lists of its export. */
  addIndex(i, sort) {
    const pipeline = `[{"sort":${sort}}]`;
    this.derived.set(`A/index${i}`, { source: 'A', output: 'collection', steps: parse(pipeline), definition: `{"pipeline":${pipeline}}`, mode: 'list' });
  }

  predicate(depth) {
    return predicateOf(this.random, depth, PATHS, this.timed);
  }

  step() {
    const r = this.random;
    const path = () => JSON.stringify(r.pick(['n', 'n', 's', 'c', 'b', 'o', 'o.x', 'o.deep.y']));
    switch (r.below(12)) {
      case 0: case 1: case 2:
        return `{"filter":${this.predicate(2)}}`;
      case 3: case 4: case 5: case 6:
        return `{"sort":${r.chance(0.2) ? path() : `{"by":${path()},"order":"${r.pick(['asc', 'desc'])}"}`}}`;
      case 7:
        return `{"skip":${r.below(4)}}`;
      case 8:
        return `{"take":${r.pick([0, 1, 3, 5, 8])}}`;
      case 9:
        return r.chance(0.7) ? `{"sort":${path()}}` : '"first"';
      case 10:
        return r.chance(0.7) ? `{"filter":${this.predicate(1)}}` : '"last"';
      default:
        return r.chance(0.3) ? `{"${r.pick(['max_by', 'min_by'])}":${path()}}` : `{"filter":${this.predicate(0)}}`;
    }
  }

  add(i) {
    const r = this.random;
    const exportName = r.pick(['A', 'A', 'A', 'B']);
    const above = [...this.derived.keys()].filter((id) => id.startsWith(`${exportName}/`) && this.derived.get(id).output === 'collection');
    const source = above.length && r.chance(0.5) ? r.pick(above) : exportName;
    const steps = Array.from({ length: r.pick([0, 1, 1, 2, 2, 3, 4]) }, () => this.step());
    const output = r.pick(['collection', 'collection', 'collection', 'single', 'keyed']);
    const keyField = output === 'keyed' ? r.pick(['n', 's', 'o.x']) : undefined;
    const fields = r.chance(0.2) ? ['n', 'c', 'o.x'] : undefined;
    const members = [`"source":"${source}"`, `"pipeline":[${steps.join(',')}]`];
    if (output === 'single') members.push('"output":"single"');
    if (keyField) members.push(`"output":{"keyed_by":"${keyField}"}`);
    if (fields) members.push(`"fields":${JSON.stringify(fields)}`);
    if (r.chance(0.2)) members.push(`"coalesce_ms":${r.pick([1, 5, 20])}`);
    const whole = output === 'single' ? [...steps, '"first"'] : steps;
    this.derived.set(`${exportName}/v${i}`, {
      source, output, fields, keyField, steps: parse(`[${whole.join(',')}]`), definition: `{${members.join(',')}}`,
      mode: output === 'collection' ? 'list' : 'state',
    });
  }

  config() {
    const views = (name) => [
      ...Object.entries(PLAIN[name]).map(([view, definition]) => `${JSON.stringify(view)}:${JSON.stringify(definition)}`),
      ...[...this.derived].filter(([id]) => id.startsWith(`${name}/`)).map(([id, { definition }]) => `${JSON.stringify(id.split('/')[1])}:${definition}`),
    ].join(',');
    return { A: `{"views":{${views('A')}}}`, B: views('B') };
  }

  of(id) {
    const [name, view] = id.split('/');
    return this.derived.get(id) ?? PLAIN[name][view] ?? { mode: view };
  }

  /** A view's definition and those of its sources, for a failure. */
  describe(id) {
    const view = this.derived.get(id);
    return view ? `${id}: ${view.definition}\n${this.describe(view.source)}` : '';
  }

  timedView(id) {
    const view = this.derived.get(id);
    return view !== undefined && (view.definition.includes('"now"') || this.timedView(view.source));
  }

  /** Whether time alone changes what a subscriber with this spec sees. */
  timedWindow(spec) {
    return this.timedView(spec.view) || Boolean(spec.where?.includes('"now"'));
  }

  /** Whether a subscription may put the view in an order: it has none, and no end. */
  sortable(id) {
    const view = this.derived.get(id);
    if (!view) return true;
    const does = (...words) => words.some((word) => view.definition.includes(`"${word}"`));
    const filters = does('filter');
    if (does('sort', 'max_by', 'min_by', 'skip', 'take', 'first', 'last')) return false;
    return filters ? this.unsorted(view.source) : this.sortable(view.source);
  }

  unsorted(id) {
    const view = this.derived.get(id);
    return !view || (!/"(sort|max_by|min_by)"/.test(view.definition) && this.unsorted(view.source));
  }

  /** All rows of a view in its order. bases: export → entities by key. */
  rows(id, bases, now) {
    const view = this.derived.get(id);
    if (view) return pipeline(this.rows(view.source, bases, now), view.steps, now);
    const [name] = id.split('/');
    const { keys } = this.of(id);
    return list(bases.get(name)).filter(({ key }) => !keys || keys.includes(key));
  }

  /** What a subscriber with this spec sees: [{key, entity}] in order. */
  window(spec, bases, now) {
    const view = this.derived.get(spec.view);
    const limit = view && spec.key === undefined ? 100 : Infinity; /* more than these tests have rows, so a view's own limit counts */
    const [filters, where, sort] = [spec.filters, spec.where, spec.sort].map((text) => text && parse(text));
    return windowOf(this.rows(spec.view, bases, now), { ...spec, filters, where, sort, keyField: view?.keyField, take: spec.take ?? limit }, now);
  }
}

/* ---- windows ---- */

/** A subscription's parameters as JSON members. */
export function members({ view, key, take, skip, filters, where, sort, snapshotLimit, withSnapshot }) {
  const parts = [`"view":${JSON.stringify(view)}`];
  if (key !== undefined) parts.push(`"key":${JSON.stringify(key)}`);
  if (take !== undefined) parts.push(`"take":${take}`);
  if (skip !== undefined) parts.push(`"skip":${skip}`);
  if (filters !== undefined) parts.push(`"filters":${filters}`);
  if (where !== undefined) parts.push(`"where":${where}`);
  if (sort !== undefined) parts.push(`"sort":${sort}`);
  if (snapshotLimit !== undefined) parts.push(`"snapshotLimit":${snapshotLimit}`);
  if (withSnapshot === false) parts.push('"withSnapshot":false');
  return parts.join(',');
}

/** Of these paths those that a view with these fields shows: it refuses to be asked about any other. */
const shownOf = (paths, fields) => paths.filter((path) => !fields || fields.some((field) => path === field || path.startsWith(`${field}.`)));

/** A predicate over a view. */
function whereOf(r, fields, timed) {
  return predicateOf(r, r.below(3), shownOf(PATHS, fields), timed && !fields);
}

function sortOf(r, fields, indexes) {
  if (!fields && indexes.length && r.chance(0.5)) return `[${r.pick(indexes)}]`;
  const paths = shownOf(['n', 'n', 's', 'c', 'b', 'o', 'o.x', 'o.deep.y'], fields);
  const key = () => {
    const path = JSON.stringify(r.pick(paths));
    return r.chance(0.2) ? path : `{"by":${path},"order":"${r.pick(['asc', 'desc'])}"}`;
  };
  return `[${Array.from({ length: r.between(1, 3) }, key).join(',')}]`;
}

function filtersOf(r, fields) {
  const paths = shownOf(['n', 's', 'b', 'b', 'b', 'o.x', 'o.y', 'o.deep.y', 'o', 'l', 'missing'], fields);
  const parts = new Map();
  for (let i = 0; i < r.pick([1, 1, 1, 2]); i++) {
    const path = r.pick(paths);
    parts.set(path, path === 'b' ? r.pick(['true', 'false', 'null']) : anyValue(r));
  }
  return `{${[...parts].map(([path, value]) => `${JSON.stringify(path)}:${value}`).join(',')}}`;
}

/** Random parameters of a window. */
export function specOf(r, definitions) {
  const ids = ['A/list', 'A/list', 'A/list', 'A/slim', 'A/few', 'B/list', 'A/state', 'A/one', ...definitions.derived.keys(), ...definitions.derived.keys()];
  const view = r.pick(ids);
  const derived = definitions.derived.get(view);
  const { mode, fields } = definitions.of(view);
  const spec = { view };
  const key = () => canonKey(r.pick(KEYS));
  const cut = () => {
    if (r.chance(0.7)) spec.take = r.pick([1, 1, 2, 3, 5, 9]);
    if (r.chance(0.5)) spec.skip = r.pick([0, 1, 2, 4]);
  };
  if (derived?.output === 'keyed') {
    const value = parse(r.pick([...NUMBERS, ...STRINGS]));
    spec.key = typeof value === 'string' ? value : value.raw;
    if (r.chance(0.3)) spec.filters = filtersOf(r, fields);
  } else if (derived) {
    cut();
    if (r.chance(0.4)) spec.filters = filtersOf(r, fields);
    if (r.chance(0.15)) spec.key = key();
  } else if (mode === 'state') {
    spec.key = key();
    spec.filters = filtersOf(r, fields);
  } else {
    cut();
    if (r.chance(0.5) || (spec.take === undefined && spec.skip === undefined)) spec.filters = filtersOf(r, fields);
    if (r.chance(0.15)) spec.key = key();
  }
  if (r.chance(0.35)) spec.where = whereOf(r, fields, definitions.timed);
  if (r.chance(0.3) && (mode ?? 'list') === 'list' && definitions.sortable(view)) spec.sort = sortOf(r, fields, definitions.indexes);
  /* Such keys cannot be asked for. */
  if (spec.key === '' || spec.key?.includes('\0')) delete spec.key;
  return derived?.output === 'keyed' && spec.key === undefined ? specOf(r, definitions) : spec;
}
