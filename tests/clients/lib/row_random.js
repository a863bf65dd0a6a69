// Random scopes and tokens for rows.test.js, and the rules of row scoping (docs/views.md) in plain
// code: who may see a row, and who may ever have seen it.

import { parse } from './json.js';
import { keyText } from './model.js';
import { Feed, members, specOf } from './window_random.js';
import { valueAt } from './window_model.js';

/* What tokens may list, and what else may stand in the field. */
const SCOPES = ['"a"', '"b"', '"c"', '"é\\"\\\\/"', '"9007199254740993"', '"*"', '"!"'];
const VALUES = [...SCOPES, ...SCOPES, '"A"', '""', 'null', '7', '1.5', 'true', '{}', '{"a":"a"}', '["a"]', '[]', '9007199254740993', '"nobody\\u0000"'];

export const PATHS = ['w', 'p.w', 's', 'o.x'];

export const tokenText = (i) => `token-${i}-0123456789abcdef`;

/** Lists of row scopes, one for each token; the first sees public rows alone. */
export function tokensOf(r) {
  const all = SCOPES.map((text) => JSON.parse(text));
  const some = () => all.filter(() => r.chance(0.4));
  return [[], ['a'], ['a', 'b'], some(), some(), [...all, '']];
}

/** Whether somebody with these row scopes may see an entity (parsed by json.js). */
export function sees(scopes, path, entity) {
  const value = valueAt(entity, path);
  if (value === undefined || value === null || value === '') return true;
  return typeof value === 'string' && scopes.includes(value);
}

/** The same of a row as clients have it (JSON.parse). */
export function seesPlain(scopes, path, row) {
  let value = row;
  for (const name of path.split('.')) {
    if (value === null || typeof value !== 'object' || Array.isArray(value) || !Object.hasOwn(value, name)) return true;
    value = value[name];
  }
  return value === null || value === '' || (typeof value === 'string' && scopes.includes(value));
}

/** Feeds rows whose scope changes; remembers every state that there ever was. */
export class ScopedFeed extends Feed {
  /** `evicts`: entities of A go by themselves, so each mutation tells all of one. */
  constructor(random, model, path, keys, evicts = false) {
    super(random, model, false);
    this.path = path;
    this.evicts = evicts;
    this.pools = new Map(); /* of each key a few values, so that some are never seen by some */
    this.states = new Map(); /* of A: key → entities, in order */
    this.seqs = new Map(); /* of A: seq → [key, entity] */
    for (const key of keys) this.pools.set(key, Array.from({ length: random.pick([1, 2, 2, 4]) }, () => random.pick(VALUES)));
  }

  patch(key) {
    const r = this.random;
    const text = super.patch();
    if (!r.chance(0.35)) return text;
    const value = r.pick(this.pools.get(key));
    const part = this.path === 'p.w' ? (r.chance(0.05) ? '"p":7' : `"p":{"w":${value}}`) : this.path === 'o.x' ? `"o":{"x":${value}}` : `"${this.path}":${value}`;
    /* A member that is there twice is refused. */
    const [name] = part.split(':');
    return text.includes(`${name}:`) ? text : `{${part},${text.slice(1)}`;
  }

  mutation(seq = '') {
    const r = this.random;
    const name = r.pick(['A', 'A', 'A', 'A', 'B']);
    const key = r.pick([...this.pools.keys()]);
    const head = `"export":"${name}","key":${key}`;
    const kind = r.next();
    if (kind < 0.15 && name !== 'B' && !this.evicts) return `{${head},"op":"delete"${seq}}`;
    if (kind < 0.3 || (name === 'A' && this.evicts)) return `{${head},"op":"upsert","patch":${this.patch(key)}${seq}}`;
    return `{${head},"patch":${this.patch(key)}${r.chance(0.2) ? ',"append":["l"]' : ''}${seq}}`;
  }

  /** As Feed's, but mutation by mutation, so that no state is missed. */
  batch(most = 12) {
    const r = this.random;
    const shared = r.chance(0.3);
    const n = Math.min(most, r.pick([1, 1, 2, 3, 5, 12]));
    const extra = shared ? `${this.seq().slice(1)},`.replace(/^,$/, '') : '';
    const mutations = Array.from({ length: n }, () => this.mutation(shared ? '' : this.seq()));
    for (const mutation of mutations) {
      this.model.feed(`{${extra}"mutations":[${mutation}]}`);
      this.#note(mutation);
    }
    return [mutations, extra];
  }

  #note(text) {
    const mutation = parse(text);
    const key = keyText(mutation.get('key'));
    const entity = mutation.get('export') === 'A' ? this.model.rows('A').get(key) : undefined;
    if (!entity) return;
    const copy = parse(JSON.stringify({})); /* a Map of its own: the model merges into new ones, but sets the seq in place */
    for (const [name, value] of entity) copy.set(name, value);
    for (const [map, at] of [[this.states, key], [this.seqs, copy.get('_seq')]]) {
      if (!map.has(at)) map.set(at, []);
      map.get(at).push(copy);
    }
  }

  /** Whether the key ever was one that these scopes may see. */
  everSeen(scopes, key) {
    return (this.states.get(key) ?? []).some((entity) => sees(scopes, this.path, entity));
  }

  /** Whether some state with this seq was. */
  seqSeen(scopes, seq) {
    return (this.seqs.get(seq) ?? []).some((entity) => sees(scopes, this.path, entity));
  }
}

export { members };

/** Random parameters: windows as in windows.test.js, and subscriptions without any. */
export function anySpec(r, definitions, keys) {
  const kind = r.next();
  if (kind < 0.5) return { ...specOf(r, definitions), isWindow: true };
  const key = () => keyText(parse(r.pick(keys)));
  if (kind < 0.65) return { view: 'A/list' };
  if (kind < 0.72) return { view: r.pick(['A/list', 'A/append', 'A/slim']), key: key() };
  if (kind < 0.78) return { view: r.pick(['A/state', 'A/one']), key: key() };
  if (kind < 0.9) return { view: 'A/append' };
  if (kind < 0.95) return { view: 'A/append', filters: `{"b":${r.pick(['true', 'false'])}}` };
  return { view: r.pick(['A/slim', 'B/list']) };
}
