// What `fields` show (views.md): of every JSON shape the same to subscribers, over HTTP and in SQL, live
// and in snapshots, and nothing of it can be asked about by what they hide.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { Applier } from './lib/applier.js';
import { Client, clientFor } from './lib/client.js';
import { http, post } from './lib/feed.js';
import { canon, canonDouble, canonPlain, parse, print } from './lib/json.js';
import { Model, project } from './lib/model.js';
import { NamedClient } from './lib/named.js';
import { Random } from './lib/random.js';
import { playSeeds, seedsOf } from './lib/seeds.js';
import { run as command, Server, sql } from './lib/server.js';
import { valueAtDotted as valueAt } from './lib/window_model.js';

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const serverFor = (t, views, more = {}) => Server.forTest(t, { config: { exports: { E: { views } }, ...more } });

/* ---- one view in all three ways: [key, text of the row], in order ---- */

const pairs = (rows) => rows.map((row) => [row.get('key'), print(row.get('data'))]);

async function byWire(server, view, parameters) {
  const client = await Client.open(server);
  try {
    client.subscribe(view, parameters);
    await client.until((frame) => frame.complete || frame.type === 'error', 'the whole snapshot');
    return client.messages.filter(({ json }) => json.op === 'snapshot').flatMap(({ text }) => pairs(parse(text).get('data')));
  } finally {
    client.destroy();
  }
}

async function byHttp(server, view, filters = {}) {
  const query = Object.entries(filters).map(([path, value]) => `filter=${encodeURIComponent(`${path}:${value}`)}`).join('&');
  const answer = await http(`${server.http}/v1/views/${view}?${query}`);
  assert.equal(answer.status, 200, answer.text);
  return pairs(parse(answer.text).get('rows'));
}

const bySql = async (server, view) => (await sql(server, `SELECT key, data FROM "${view}"`)).map(({ key, data }) => [key, data]);

/** All three, which must be one; given as they are. */
async function shown(server, view) {
  const wire = await byWire(server, view);
  assert.deepEqual(await byHttp(server, view), wire, `${view} over HTTP and by WebSocket`);
  assert.deepEqual(await bySql(server, view), wire, `${view} in SQL and by WebSocket`);
  return wire;
}

const textOf = async (server, view) => (await shown(server, view))[0][1].replace(/,?"_seq":"[^"]*"/, '');

/* ---- single rules ---- */

test('fields show nothing else, whatever stands on the way', async (t) => {
  const server = await serverFor(t, { slim: { fields: ['users.name'] } });
  const cases = [
    ['{"users":[{"name":"ann","password":"hunter2"}]}', '{"users":[{"name":"ann"}]}'],
    ['{"users":[[{"name":"ann","password":"x"}],[[]],5,"x",null,{}]}', '{"users":[[{"name":"ann"}],[[]],null,null,null,{}]}'],
    ['{"users":"hunter2"}', '{"users":null}'],
    ['{"users":7}', '{"users":null}'],
    ['{"users":true}', '{"users":null}'],
    ['{"users":null}', '{"users":null}'],
    ['{"users":[]}', '{"users":[]}'],
    ['{"users":{"password":"x"}}', '{"users":{}}'],
    ['{"users":{"name":[{"password":1.50}]}}', '{"users":{"name":[{"password":1.50}]}}'],
    ['{"users.name":1,"users.password":2,"users":{"name":3}}', '{"users.name":1,"users":{"name":3}}'],
    ['{"":{"users":{"name":1}},"other":1}', '{}'],
  ];
  const live = await clientFor(t, server);
  await live.open('E/slim');
  for (const [row, want] of cases) {
    await post(server, `{"export":"E","key":"k","op":"upsert","patch":${row}}\n`);
    const { text } = await live.record();
    assert.ok(text.includes(`"data":${want === '{}' ? '{' : want.slice(0, -1)}`), `${row} came as ${text}`);
    assert.ok(!/hunter2|password":[^1]/.test(text), text);
    assert.equal(await textOf(server, 'E/slim'), want, row);
  }
});

test('an array that is extended and cut stays what a fresh snapshot shows', async (t) => {
  const server = await serverFor(t, { slim: { fields: ['l.a', 'o.m.b'] } }, { max_array_length: 3 });
  const live = await clientFor(t, server);
  const applier = new Applier();
  await live.open('E/slim');
  for (let i = 0; i < 8; i++) {
    const element = i % 3 === 2 ? i : { a: i, hidden: i };
    await post(server, m('k', { l: [element], o: { m: [{ b: i, c: i }, [{ b: i, c: 1 }]] } }, { append: ['l', 'o.m'] }));
    const frame = await live.next();
    assert.ok(!JSON.stringify(frame).includes('hidden'), JSON.stringify(frame));
    applier.apply(frame);
    const fresh = await clientFor(t, server);
    assert.deepEqual(applier.rows.get('k'), (await fresh.open('E/slim')).rows.get('k'), `after ${i}`);
    fresh.destroy();
    await shown(server, 'E/slim');
  }
});

test('filters ask only about what the fields show', async (t) => {
  const views = {
    slim: { fields: ['users.name', 'a.b'] }, tape: { mode: 'append', fields: ['a.b'] }, one: { mode: 'state', fields: ['a.b'] },
    top: { pipeline: [{ sort: 'a.b' }, { take: 5 }], fields: ['a.b'] }, by: { pipeline: [], output: { keyed_by: 'a.b' }, fields: ['a.b'] },
  };
  const server = await serverFor(t, views);
  await post(server, m('k', { users: [{ name: 'ann', password: 'x' }], a: { b: { c: 1 }, d: 2 }, secret: 's', 'a.d': 3 }));
  const client = await clientFor(t, server);
  for (const path of ['secret', 'users', 'users.password', 'a', 'a.d', 'a.bc', 'users.name2', 'users.0.password', '_seq.x']) {
    for (const [view, more] of [['E/slim'], ['E/tape'], ['E/one', { key: 'k' }], ['E/top'], ['E/by', { key: '1' }]]) {
      client.subscribe(view, { filters: { [path]: 's' }, ...more });
      const { code, message } = await client.expect('error');
      assert.equal(code, 'invalid-parameter', `${view} ${path}`);
      assert.ok(message.includes(path) && message.includes(view), message);
      const answer = await http(`${server.http}/v1/views/${view}?filter=${path}:s${more ? `&key=${more.key}` : ''}`);
      assert.equal(answer.status, 400, answer.text);
      assert.equal(answer.json.code, 'invalid-parameter');
    }
    /* Where nothing is hidden, anything may be asked. */
    assert.equal((await http(`${server.http}/v1/views/E/list?filter=${path}:s`)).status, 200, path);
  }
  for (const [path, value, rows] of [['a.b.c', 1, 1], ['a.b.c', 2, 0], ['a.b.x', 1, 0], ['a.b', 1, 0]]) {
    assert.equal((await byWire(server, 'E/slim', { filters: { [path]: value } })).length, rows, path);
    assert.equal((await byHttp(server, 'E/slim', { [path]: value })).length, rows, path);
  }
});

/* Every way in which a query can name a member, of a path that is hidden: by itself, below and beside others. */
const asksAbout = (path) => [
  { filters: { [path]: 1 } }, { filters: { n: 1, [path]: null } },
  ...[{ field: path, eq: 1 }, { field: path, ne: 1 }, { field: path, gt: 1 }, { field: path, lte: 'x' }, { field: path, in: [1, 2] }, { field: path, prefix: 's' }, { field: path, contains: 1 },
    { exists: path }, { field: path.split('.'), eq: 1 }, { exists: path.split('.') },
    { field: 'n', eq: { field: path } }, { field: 'n', gte: { field: path.split('.') } }, { field: 'n', in: { field: path } }, { field: 'n', contains: { field: path } }, { field: 'n', prefix: { field: path } }]
    .flatMap((where) => [{ where }, { where: { not: where } }, { where: { any: [{ exists: 'n' }, { all: [{ not: { not: where } }] }] } }]),
  { sort: [path] }, { sort: [{ by: path, order: 'desc' }] }, { sort: ['n', { by: path.split('.') }] },
];

test('no door lets a query name what the fields hide', async (t) => {
  const server = await serverFor(t, { slim: { fields: ['n', 'o.x', 'users.name'] }, tape: { mode: 'append', fields: ['n', 'o.x', 'users.name'] }, big: { pipeline: [{ filter: { field: 'secret', eq: 1 } }], fields: ['n', 'o.x', 'users.name'] }, index: { pipeline: [{ sort: 'secret' }] } });
  await post(server, m('k', { n: 1, secret: 1, o: { x: 1, y: 1 }, users: { name: 'ann', token: 1 }, _partition: 'p' }));
  const client = await clientFor(t, server);
  const named = await NamedClient.connect(t, server.port);
  const urlOf = (view, query, more = {}) => {
    const text = (value) => (value === undefined ? undefined : JSON.stringify(value));
    const parts = { where: text(query.where), sort: text(query.sort), ...more };
    const filters = Object.entries(query.filters ?? {}).map(([path, value]) => ['filter', `${path}:${JSON.stringify(value)}`]);
    return `${server.http}/v1/views/${view}?${new URLSearchParams([...filters, ...Object.entries(parts).filter(([, value]) => value !== undefined)])}`;
  };
  let n = 0;
  const overHttp = async (url, headers) => {
    const { status, json, text } = await http(url, { headers });
    assert.ok(json, text);
    return status === 400 && json;
  };
  const doors = {
    'version 1': async (view, query) => {
      client.subscribe(view, query);
      return client.next();
    },
    'version 2': (view, query) => named.refused(`q${n++}`, { view, ...query }),
    GET: (view, query) => overHttp(urlOf(view, query)),
    wait: (view, query) => overHttp(urlOf(view, query, { wait: 1, after: '0:000000000001' })),
    live: (view, query) => overHttp(urlOf(view, query), { accept: 'text/event-stream' }),
    events: (view, query) => overHttp(urlOf(view, query, { events: 1 })),
    explain: (view, query) => overHttp(urlOf(view, query, { view, key: 'k' }).replace(`/v1/views/${view}`, '/v1/explain')),
  };
  const hasDoor = (door, view, query) => door !== 'events' || (view === 'E/tape' && !query.sort);
  for (const view of ['E/slim', 'E/big', 'E/tape']) {
    for (const path of ['secret', 'o.y', 'o', 'users.token', '_partition', 'nothing']) {
      for (const query of asksAbout(path)) {
        for (const [door, ask] of Object.entries(doors)) {
          if (!hasDoor(door, view, query) || (query.sort && view === 'E/tape')) continue;
          const answer = await ask(view, query);
          const what = `${door} ${view} ${JSON.stringify(query)}: ${JSON.stringify(answer)}`;
          assert.ok(['invalid-parameter', 'invalid-subscription'].includes(answer?.code), what);
          assert.match(answer.message, /does not show/, what);
        }
      }
    }
  }
  const partition = await named.refused('partition', { view: 'E/slim', partition: 'p' });
  assert.match(partition.message, /does not show '_partition'/);

  /* The same questions about what is shown have answers, so it was the path that was refused. */
  for (const view of ['E/slim', 'E/tape']) {
    for (const query of asksAbout('o.x')) {
      if (query.sort && view === 'E/tape') continue;
      const opened = await (await clientFor(t, server)).open(view, query);
      assert.ok(opened, view);
      const { status, text } = await http(urlOf(view, query));
      assert.equal(status, 200, `${JSON.stringify(query)}: ${text}`);
    }
  }
  for (const more of [['--filter', 'secret=1'], ['--where', '{"not":{"exists":"secret"}}'], ['--sort', '-secret']]) {
    const subscribed = await command(['subscribe', 'E/slim', '--url', server.ws, '--count', '1', ...more]);
    assert.match(subscribed.stderr, /does not show 'secret'/, more.join(' '));
    assert.equal(subscribed.stdout, '');
    if (more[0] === '--sort') continue;
    const events = await command(['events', 'E/tape', '--url', server.http, ...more]);
    assert.match(events.stderr, /does not show 'secret'/, more.join(' '));
    assert.equal(events.stdout, '');
  }
});

test('an order or a key by what fields hide is warned of', async (t) => {
  const views = {
    top: { pipeline: [{ sort: 'secret' }], fields: ['n'] }, best: { pipeline: [{ max_by: 'o.s' }, { sort: 'n' }], fields: ['n', 'o.t'] },
    by: { pipeline: [], output: { keyed_by: 'o.token' }, fields: ['n'] },
    fine: { pipeline: [{ sort: 'o.x' }], output: { keyed_by: 'n.x' }, fields: ['n', 'o.x'] }, all: { pipeline: [{ sort: 'secret' }] },
  };
  const server = await serverFor(t, views);
  const told = server.stderr.match(/.*hidden-(order|key).*/g) ?? [];
  assert.equal(told.length, 3, server.stderr);
  assert.match(server.stderr, /hidden-order .*E\/top.*secret/);
  assert.match(server.stderr, /hidden-order .*E\/best.*o\.s/);
  assert.match(server.stderr, /hidden-key .*E\/by.*o\.token/);
  const checked = await command(['serve', '--db', server.db, '--config', `${server.db}.config.json`, '--check-config']);
  assert.equal(checked.code, 0, checked.stderr);
  assert.equal((checked.stderr.match(/hidden-/g) ?? []).length, 3, checked.stderr);
});

/* ---- every shape, by seed ---- */

const NAMES = ['a', 'b', 'c', 'a.b', 'b.c', '', 'q"', 'q".b', 'x[0]', "it's", '\u0000', 'a\u0000b', 'é', '\\'];
const SCALARS = ['1.50', '-0', '1e2', '7', 'null', 'true', '"x"', '""', '"q\\"}"', '"\\u0000"', '18446744073709551615'];

class Run {
  listeners = [];

  constructor(seed, folder) {
    this.random = new Random(seed);
    this.db = join(folder, `fields-${seed}.db`);
    this.model = new Model({ maxArray: 4, exports: { E: {} } });
    this.fields = new Map(['list', 'append', 'sorted'].flatMap((kind) => [0, 1].map((i) => [`E/${kind[0]}${i}`, this.paths(this.random.between(1, 4))])));
  }

  name() {
    return this.random.pick(this.random.chance(0.7) ? NAMES.slice(0, 4) : NAMES);
  }

  paths(count) {
    const path = () => Array.from({ length: this.random.between(1, 3) }, () => this.name() || 'a').join('.');
    return [...new Set(Array.from({ length: count }, path))];
  }

  value(depth) {
    const kind = depth === 0 ? 2 : this.random.below(3);
    if (kind === 0) return this.object(depth - 1);
    if (kind === 1) return `[${Array.from({ length: this.random.below(5) }, () => this.value(depth - 1)).join(',')}]`;
    return this.random.pick(SCALARS);
  }

  object(depth) {
    const members = new Map(Array.from({ length: this.random.below(5) }, () => [this.name(), this.value(depth)]));
    return `{${[...members].map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`;
  }

  mutation(key) {
    const op = this.random.pick(['patch', 'patch', 'patch', 'upsert', 'delete']);
    if (op === 'delete') return `{"export":"E","key":"${key}","op":"delete"}`;
    const append = op === 'patch' ? `,"append":${JSON.stringify(this.paths(this.random.below(4)))}` : '';
    return `{"export":"E","key":"${key}","op":"${op}","patch":${this.object(4)}${append}}`;
  }

  config() {
    const modes = { l: { mode: 'list' }, a: { mode: 'append' }, s: { pipeline: [{ sort: { by: 'a.b', order: 'desc' } }] } };
    const views = Object.fromEntries([...this.fields].map(([id, fields]) => [id.slice(2), { ...modes[id[2]], fields }]));
    return { max_array_length: 4, exports: { E: { views } } };
  }

  async play() {
    this.server = await Server.start({ db: this.db, config: this.config() });
    this.clients = new Map();
    for (const id of this.fields.keys()) {
      const client = await Client.open(this.server);
      await client.open(id);
      this.clients.set(id, { client, applier: new Applier() });
    }
    try {
      for (let round = 0; round < 4; round++) await this.round(round);
    } finally {
      for (const { client } of this.clients.values()) client.destroy();
    }
    await this.server.terminate();
  }

  async round(round) {
    for (let i = 0; i < 12; i++) await this.feed(this.mutation(`k${this.random.below(6)}`));
    /* A change that all of them show, so that a client knows when it has seen everything. */
    const { seq } = await this.feed(`{"export":"E","key":"fence","op":"upsert","patch":{"a":{"b":${round + 1}},"a.b":${round + 1}}}`);
    for (const [id, fields] of this.fields) await this.compare(id, fields, seq);
  }

  async feed(line) {
    const answer = await post(this.server, `${line}\n`);
    this.model.feed(line);
    return answer;
  }

  /** The present rows by the model, as this view shows them: key → exact value. */
  expected(fields) {
    return new Map([...this.model.rows('E')].map(([key, entity]) => [key, project(entity, fields)]));
  }

  async compare(id, fields, seq) {
    const want = this.expected(fields);
    const tell = `${id} with ${JSON.stringify(fields)}`;
    const rows = await shown(this.server, id);
    assert.deepEqual(rows.map(([key, text]) => [key, canon(parse(text))]).sort(), [...want].map(([key, row]) => [key, canon(row)]).sort(), tell);
    if (id[2] !== 's') assert.deepEqual(rows.map(([key]) => key), [...want.keys()].reverse(), tell);
    await this.compareLive(id, want, seq, tell);
    await this.compareFilter(id, fields, want, tell);
  }

  async compareLive(id, want, seq, tell) {
    const { client, applier } = this.clients.get(id);
    const last = () => client.messages[client.read - 1]?.json;
    while (last()?.seq !== seq) applier.apply(await client.next(`${tell} at ${seq}`));
    const plain = (rows, text) => Object.fromEntries([...rows].map(([key, row]) => [key, text(row)]).sort());
    assert.deepEqual(plain(applier.rows, canonPlain), plain(want, canonDouble), `live, ${tell}`);
  }

  async compareFilter(id, fields, want, tell) {
    const [path] = this.random.chance(0.5) ? [`${this.random.pick(fields)}${this.random.chance(0.5) ? '.a' : ''}`] : this.paths(1);
    const allowed = fields.some((field) => path === field || path.startsWith(`${field}.`));
    const values = [...want.values()].map((row) => valueAt(row, path)).filter((value) => value !== undefined && !(value instanceof Map || Array.isArray(value)));
    const value = values.length ? print(this.random.pick(values)) : '7';
    const client = await Client.open(this.server);
    client.send(`{"type":"subscribe","view":"${id}","filters":{${JSON.stringify(path)}:${value}}}`);
    const [end] = (await client.until((frame) => frame.complete || frame.type === 'error', 'an answer')).slice(-1);
    client.destroy();
    assert.equal(end.code, allowed ? undefined : 'invalid-parameter', `${tell}, ${path}:${value}`);
    if (!allowed) return;
    const equal = (row) => {
      const found = valueAt(row, path);
      return found !== undefined && sameScalar(print(found), value);
    };
    assert.deepEqual(end.data.map(({ key }) => key).sort(), [...want].filter(([, row]) => equal(row)).map(([key]) => key).sort(), `${tell}, ${path}:${value}`);
  }
}

/** Equal in type and value: numbers as numbers. */
const sameScalar = (a, b) => a === b || (/^-?[0-9]/.test(a) && /^-?[0-9]/.test(b) && Number(a) === Number(b));

const SEEDS = seedsOf(6);

test('fields on every shape: subscribers, HTTP and SQL agree', { timeout: SEEDS.seeds * 60_000 }, (t) =>
  playSeeds(t, SEEDS, 'fields.test.js', (seed, folder) => new Run(seed, folder)));
