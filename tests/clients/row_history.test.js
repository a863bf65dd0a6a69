// What happened to one row: GET /v1/history and `stele history`, of a server and of its file.

import assert from 'node:assert/strict';
import test from 'node:test';
import { http, post, tryPost } from './lib/feed.js';
import { Random } from './lib/random.js';
import { seedsOf } from './lib/seeds.js';
import { Server, run } from './lib/server.js';
import { bearer, newKey, tokenOf } from './lib/token.js';

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const gone = (key) => ({ export: 'E', key, op: 'delete' });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const ask = (server, parameters, options) => http(`${server.http}/v1/history?${new URLSearchParams(parameters).toString().replaceAll('+', '%20')}`, options);
const rowOf = async (server, key, options, view = 'E/state') =>
  (await http(`${server.http}/v1/views/${view}?key=${encodeURIComponent(key)}`, options)).json.rows[0]?.data;

/** One answer, which must be 200. */
async function page(server, key, parameters = {}, options = {}) {
  const answer = await ask(server, { ...('view' in parameters ? {} : { export: 'E' }), key, ...parameters }, options);
  assert.equal(answer.status, 200, answer.text);
  return answer.json;
}

/** All pages, joined. */
async function read(server, key, { size = () => 1000, ...parameters } = {}, options = {}) {
  const events = [];
  for (let after, more = true; more;) {
    const it = await page(server, key, { ...parameters, take: size(), ...(after && { after }) }, options);
    events.push(...it.events);
    ({ cursor: after, more } = it);
  }
  return events;
}
const brief = (events) => events.map(({ op, diff }) => [op, diff && diff.map(({ path, ...rest }) => [path.join('.'), rest])]);

/** The row that a diff makes of a row; undefined: there is none. */
function apply(row, diff, seq) {
  for (const it of diff) {
    if (it.path.length === 0) {
      row = it.to && structuredClone(it.to);
      continue;
    }
    const at = it.path.slice(0, -1).reduce((object, name) => object[name], row);
    const name = it.path.at(-1);
    if ('added' in it) at[name] = [...at[name].slice(it.dropped ?? 0), ...structuredClone(it.added)];
    else if ('to' in it) at[name] = structuredClone(it.to);
    else delete at[name];
  }
  if (row) row._seq = seq;
  return row;
}

/** What the command prints, as events. */
async function printed(...args) {
  const { code, stdout, stderr } = await run(['history', ...args, '--json']);
  assert.equal(code, 0, stderr);
  return stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

test('each change with its patch, what it changed, its position, time and seq', async (t) => {
  const server = await Server.forTest(t, { set: { max_array_length: 3 } });
  const before = Date.now();
  for (const mutation of [
    m('a', { n: 1, list: [1, 2] }, { append: ['list'] }), m('b', { n: 1 }),
    m('a', { n: 2, geo: { lat: 5, 'x.y': 1 }, list: [3, 4] }, { append: ['list'] }),
    m('a', { geo: { lat: 5 } }), { export: 'E', key: 'a', unset: ['geo.x.y'] },
    gone('a'), m('a', { n: 9 }, { op: 'upsert' }), m('a', { m: null }, { op: 'upsert' }),
  ]) await post(server, mutation);
  const it = await page(server, 'a');
  const [_seq, , , , , created, replaced] = it.events.map(({ seq }) => seq);
  assert.deepEqual(brief(it.events), [
    ['create', [['', { to: { n: 1, list: [1, 2], _seq } }]]],
    ['patch', [['n', { from: 1, to: 2 }], ['list', { dropped: 1, added: [3, 4] }], ['geo', { to: { lat: 5, 'x.y': 1 } }]]],
    ['patch', []],
    ['upsert', [['geo.x.y', { from: 1 }]]],
    ['delete', [['', { from: { n: 2, list: [2, 3, 4], geo: { lat: 5 }, _seq: it.events[3].seq } }]]],
    ['create', [['', { to: { n: 9, _seq: created } }]]],
    ['upsert', [['m', { to: null }], ['n', { from: 9 }]]],
  ]);
  assert.deepEqual(it.events.map(({ offset }) => offset), [1, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual(it.events[1].append, ['list']);
  assert.deepEqual(it.events[1].data, { n: 2, geo: { lat: 5, 'x.y': 1 }, list: [3, 4], _seq: it.events[1].seq }, 'the patch as it came, though the array is full');
  assert.equal(it.events[4].data, null);
  assert.ok(it.events.every(({ time, key }) => key === 'a' && time >= before - 1000 && time <= Date.now() + 1000));
  assert.ok(replaced > created);
  assert.deepEqual([it.view, it.earliest, it.next, it.more], ['E/append', 1, 9, false]);
  assert.deepEqual(await page(server, 'never'), { ...it, events: [] });
  assert.deepEqual(await printed('E', 'a', '--db', server.db), it.events);
  assert.deepEqual(await printed('E', 'a', '--url', server.http), it.events);
  assert.deepEqual(await printed('E', 'a', '--db', server.db, '--count', '2'), it.events.slice(0, 2));
  const table = async (...args) => (await run(['history', 'E', 'a', ...args])).stdout;
  assert.equal(await table('--db', server.db), await table('--url', server.http));
  assert.match(await table('--db', server.db), /^offset +time +op +seq\n1 +\d{4}-\d\d-\d\dT[\d:.]+Z  create  \S+\n    the row \+ \{"n":1,.*\n3 .*\n    n: 1 -> 2\n    list \+ \[3,4\] \(1 dropped\)\n    geo \+ .*\n4 .*\n5 .*\n    geo\.x\.y - 1\n/);
});

test('an eviction is told from a delete, and a filter selects changes without losing their diffs', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: { max_entities: 2 } } } });
  for (const mutation of [m('a', { n: 1 }), m('a', { n: 2 }), m('a', { n: 3, big: true }), m('b', {}), m('c', {})]) await post(server, mutation);
  assert.deepEqual((await page(server, 'a')).events.map(({ op }) => op), ['create', 'patch', 'patch', 'evict']);
  assert.deepEqual(brief((await page(server, 'a', { filter: 'big:true' })).events), [['patch', [['n', { from: 2, to: 3 }], ['big', { to: true }]]]]);
  assert.deepEqual(brief((await page(server, 'a', { where: '{"field":"n","gt":1}', take: 1 })).events), [['patch', [['n', { from: 1, to: 2 }]]]]);
});

test('diffs lead from the creation to the row that is there, in pages, while the server is killed', async (t) => {
  const { seeds, first } = seedsOf(3);
  for (let seed = first; seed < first + seeds; seed++) {
    const random = new Random(seed);
    const server = await Server.forTest(t, { set: { max_array_length: 4 }, config: { exports: { E: { null_removes: true } } } });
    const keys = range(4, (i) => `k${i} é/"`);
    const value = (depth) => [1, 'x', null, true, [1, 'é'], { a: 1 }, { 'b.c': [2] }, { a: { b: depth ? value(depth - 1) : 0 } }][random.below(8)];
    const mutation = () => {
      const key = keys[random.below(4)];
      if (random.below(12) === 0) return gone(key);
      const patch = Object.fromEntries(range(random.below(3) + 1, () => [['n', 'o', 'list', 'x.y'][random.below(4)], value(2)]));
      if (random.below(3) === 0) patch.list = range(random.below(6), (i) => i);
      const op = random.below(8) ? 'patch' : 'upsert';
      return m(key, patch, { op, ...(op === 'patch' && { append: ['list', 'x.y', 'o.a'].slice(0, random.below(4)), unset: ['o.a', 'x.y.b', 'n'].slice(random.below(4)) }) });
    };
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 6; i++) await post(server, range(random.below(8) + 1, mutation));
      if (round === 2) {
        await server.kill9();
        await server.restart();
      }
      for (const key of keys) {
        const events = await read(server, key, { size: () => random.below(5) + 1 });
        assert.deepEqual(events, await read(server, key), `seed ${seed}: in pages`);
        assert.deepEqual(events, await printed('E', key, '--db', server.db), `seed ${seed}: of the file`);
        const row = events.reduce((it, { diff, seq }) => apply(it, diff, seq), undefined);
        assert.deepEqual(row, await rowOf(server, key), `seed ${seed}: ${key}`);
      }
    }
    await server.discard();
  }
});

test('a view with fields shows the history of what it shows', async (t) => {
  const config = { exports: { E: { views: { part: { mode: 'append', fields: ['n', 'o.a'], keys: ['a'] }, rows: { fields: ['n'] } } } } };
  const server = await Server.forTest(t, { config });
  for (const mutation of [m('a', { n: 1, hidden: 1 }), m('a', { hidden: 2 }), m('a', { o: { a: 1, b: 2 } }), m('b', { n: 1 }), gone('a')]) await post(server, mutation);
  const { events } = await page(server, 'a', { view: 'E/part' });
  assert.ok(!JSON.stringify(events).includes('hidden') && !JSON.stringify(events).includes('"b"'));
  assert.deepEqual(brief(events).slice(1, 3), [['patch', []], ['patch', [['o', { to: { a: 1 } }]]]]);
  assert.deepEqual((await page(server, 'b', { view: 'E/part' })).events, [], 'another key');
  assert.deepEqual(await printed('E/part', 'a', '--url', server.http), events);
  assert.deepEqual(await printed('E/part', 'a', '--db', server.db, '--config', `${server.db}.config.json`), events);
  assert.equal((await ask(server, { view: 'E/part', key: 'a', filter: 'hidden:1' })).json.code, 'invalid-parameter');
  assert.match((await ask(server, { view: 'E/rows', key: 'a' })).json.message, /append view/);
});

test('a token sees of a row what it saw at the time', async (t) => {
  const key = newKey();
  const auth = { mode: 'signed', keys: [key.x] };
  const server = await Server.forTest(t, { config: { auth, exports: { E: { scope: 'owner' } } } });
  const as = (...row_scopes) => ({ headers: bearer(tokenOf(key, { scope: 'read write', row_scopes })) });
  const writer = as().headers;
  for (const mutation of [
    m('a', { owner: 'ann', n: 1 }), m('a', { n: 2 }), m('a', { owner: 'bob', n: 3 }), m('a', { n: 4 }), m('a', { owner: 'ann' }),
    m('a', { owner: null, n: 5 }), m('a', { owner: 7 }), m('a', { n: 6 }), gone('a'),
    m('b', { owner: 'bob', n: 1 }), gone('b'),
  ]) assert.equal((await tryPost(server, mutation, writer)).status, 200);
  const seen = async (name, ...scopes) => {
    const events = await read(server, name, { size: () => 2 }, as(...scopes));
    return events.map(({ offset, op, diff }) => `${offset} ${op} ${JSON.stringify(diff, (at, it) => (at === '_seq' ? undefined : it))}`);
  };
  assert.deepEqual(await seen('a', 'ann'), [
    '1 create [{"path":[],"to":{"owner":"ann","n":1}}]', '2 patch [{"path":["n"],"from":1,"to":2}]', '3 delete [{"path":[],"from":{"owner":"ann","n":2}}]',
    '5 upsert [{"path":[],"to":{"owner":"ann","n":4}}]', '6 upsert [{"path":["owner"],"from":"ann","to":null},{"path":["n"],"from":4,"to":5}]',
    '7 delete [{"path":[],"from":{"owner":null,"n":5}}]',
  ]);
  assert.deepEqual(await seen('a', 'bob'), [
    '3 upsert [{"path":[],"to":{"owner":"bob","n":3}}]', '4 patch [{"path":["n"],"from":3,"to":4}]', '5 delete [{"path":[],"from":{"owner":"bob","n":4}}]',
    '6 upsert [{"path":[],"to":{"owner":null,"n":5}}]', '7 delete [{"path":[],"from":{"owner":null,"n":5}}]',
  ]);
  assert.deepEqual(await seen('a'), ['6 upsert [{"path":[],"to":{"owner":null,"n":5}}]', '7 delete [{"path":[],"from":{"owner":null,"n":5}}]']);
  assert.equal((await seen('a', 'ann', 'bob')).length, 7);
  assert.deepEqual(await seen('b', 'ann'), []);
  /* what is hidden answers as what never was */
  const { cursor, epoch, ...hidden } = await page(server, 'b', {}, as('ann'));
  const { cursor: other, epoch: same, ...never } = await page(server, 'never', {}, as('ann'));
  assert.deepEqual([hidden, cursor, epoch], [never, other, same]);
  assert.equal((await ask(server, { export: 'E', key: 'a' })).json.code, 'token-missing');
  const narrow = bearer(tokenOf(key, { scope: 'read', views: ['E/list'] }));
  assert.equal((await ask(server, { export: 'E', key: 'a' }, { headers: narrow })).json.code, 'view-not-found');
  assert.equal((await ask(server, { export: 'E', key: 'a' }, { headers: bearer(tokenOf(key, { scope: 'write' })) })).json.code, 'scope-missing');
});

test('labels of a former scope field show nobody anything', async (t) => {
  const key = newKey();
  const auth = { mode: 'signed', keys: [key.x] };
  const server = await Server.forTest(t, { config: { auth, exports: { E: { scope: 'team' } } } });
  const { headers } = { headers: bearer(tokenOf(key, { scope: 'read write', row_scopes: ['ann'] })) };
  for (const mutation of [m('a', { team: 'ann', owner: 'bob', secret: 1 }), m('a', { secret: 2 })]) await tryPost(server, mutation, headers);
  assert.equal((await page(server, 'a', {}, { headers })).events.length, 2);
  await server.terminate();
  await server.restart({ config: { auth, exports: { E: { scope: 'owner' } } } });
  assert.deepEqual((await page(server, 'a', {}, { headers })).events, []);
  const events = await http(`${server.http}/v1/views/E/append?events=1`, { headers });
  assert.deepEqual(events.json.events, [], 'nor the events of all keys');
  await tryPost(server, m('a', { owner: 'ann' }), headers);
  assert.deepEqual((await page(server, 'a', {}, { headers })).events.map(({ op }) => op), ['upsert']);
});

test('what the log has lost is null, and never a guess', async (t) => {
  const server = await Server.forTest(t, { set: { retention_rows: 20 } });
  await post(server, m('a', { n: 0, x: 1 }));
  for (let i = 1; i <= 30; i++) await post(server, [m('a', { n: i }), m('other', { n: i })]);
  const events = await read(server, 'a', { size: () => 3 });
  assert.ok(events.length >= 8 && events.every(({ diff }) => diff === null), JSON.stringify(events[0]));
  await post(server, m('a', { n: 31 }, { op: 'upsert' }));
  await post(server, m('a', { n: 32 }));
  assert.deepEqual((await read(server, 'a')).map(({ diff }) => diff).slice(-2), [null, [{ path: ['n'], from: 31, to: 32 }]]);
  assert.match((await run(['history', 'E', 'a', '--db', server.db])).stdout, /what it was before is not known; the patch: \{"n":30,/);
});

test('what is asked wrongly is refused, and says why', async (t) => {
  const server = await Server.forTest(t, { set: { max_window_rows: 500 } });
  await post(server, m('a', { n: 1 }));
  for (const [parameters, status, says] of [
    [{ export: 'E' }, 400, /'key' is missing.*events=1/], [{ key: 'a' }, 400, /'export'.*'view'/], [{}, 400, /'export'/],
    [{ export: 'E', view: 'E/append', key: 'a' }, 400, /named twice/], [{ view: 'E/list', key: 'a' }, 400, /append views/],
    [{ view: 'nothing', key: 'a' }, 404, /nothing/], [{ export: 'x/y', key: 'a' }, 404, /x\/y/], [{ export: 'E', key: 'a', take: 501 }, 400, /max_window_rows/],
    [{ export: 'E', key: 'a', skip: 1 }, 400, /skip/], [{ export: 'E', key: 'a', nonsense: 1 }, 400, /nonsense/],
    [{ export: 'E', key: 'a', after: 'x' }, 400, /cursor/], [[['export', 'E'], ['key', 'a'], ['key', 'b']], 400, /twice/],
  ]) {
    const answer = await ask(server, parameters);
    assert.equal(answer.status, status, `${JSON.stringify(parameters)}: ${answer.text}`);
    assert.match(answer.json.message, says);
  }
  const allowed = (await ask(server, { export: 'E', key: 'a' }, { method: 'PUT' })).headers.allow;
  assert.equal(allowed, 'GET, HEAD');
  assert.equal((await http(`${server.http}/v1/views/E/append?export=E`)).status, 400, 'there the path names the view');
  for (const [args, code, says] of [
    [['E'], 2, /of which KEY/], [[], 2, /export/i], [['E', 'a', '--db', server.db, '--url', server.http], 2, /not both/], [['E', 'a', '--config', 'x'], 2, /--db/],
    [['F', 'a', '--db', server.db], 1, /no export 'F'/], [['E/list', 'a', '--db', server.db], 1, /no append view/], [['E', 'a', '--db', 'nothing.db'], 1, /no database/],
  ]) {
    const ended = await run(['history', ...args]);
    assert.equal(ended.code, code, ended.stderr);
    assert.match(ended.stderr, says);
  }
});

test('the tag, waiting, and the bound of one answer', async (t) => {
  const server = await Server.forTest(t, { set: { max_filter_rows: 1000 } });
  await post(server, [m('a', { n: 1 }), ...range(3000, (i) => m(`k${i}`, { n: i })), m('a', { n: 2 })]);
  const first = await page(server, 'a');
  assert.deepEqual([first.events.length, first.more], [1, true]);
  const events = await read(server, 'a');
  assert.deepEqual(events.map(({ data, diff }) => [data.n, diff]), [[1, events[0].diff], [2, null]], 'the row before is too far away');
  const { headers } = await ask(server, { export: 'E', key: 'a' });
  assert.equal((await ask(server, { export: 'E', key: 'a' }, { headers: { 'if-none-match': headers.etag } })).status, 304);
  const { cursor } = await page(server, 'a', { after: `${first.epoch}:3000` });
  const waiting = page(server, 'a', { after: cursor, wait: 30 });
  setTimeout(() => post(server, m('a', { n: 3 })), 300);
  assert.deepEqual((await waiting).events.map(({ data, diff }) => [data.n, diff]), [[3, null]]);
});
