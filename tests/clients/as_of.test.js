// What a row was at a former position: as_of=… by HTTP, and `stele history --as-of`, of a server and of its file.

import assert from 'node:assert/strict';
import test from 'node:test';
import { http, post, tryPost } from './lib/feed.js';
import { Random } from './lib/random.js';
import { seedsOf } from './lib/seeds.js';
import { Server, run, sql } from './lib/server.js';
import { bearer, newKey, tokenOf } from './lib/token.js';

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const gone = (key) => ({ export: 'E', key, op: 'delete' });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const ask = (server, parameters, { view = 'E/list', ...options } = {}) => http(`${server.http}/v1/views/${view}?${new URLSearchParams(parameters).toString().replaceAll('+', '%20')}`, options);

/** The row as it was; undefined: it was not there. */
async function was(server, key, position, options) {
  const answer = await ask(server, { key, as_of: position }, options);
  assert.equal(answer.status, 200, answer.text);
  return answer.json.rows[0]?.data;
}
async function printed(...args) {
  const { code, stdout, stderr } = await run(['history', 'E', ...args]);
  assert.equal(code, 0, stderr);
  if (!stdout) assert.match(stderr, /was not there at @\d+/);
  return stdout ? JSON.parse(stdout) : undefined;
}

test('a row at each position: by offset, seq and time, of the server and of its file', async (t) => {
  const server = await Server.forTest(t);
  const states = [[undefined, Date.now() - 3600_000]];
  for (const mutation of [
    m('a', { n: 1, list: [1] }, { append: ['list'] }), m('b', {}), m('a', { n: 2, list: [2] }, { append: ['list'] }), gone('a'), m('a', { n: 3 }, { op: 'upsert' }), m('a', { n: 4 }, { unset: ['n'] }),
  ]) {
    const { seq } = await post(server, mutation);
    const row = (await ask(server, { key: 'a' })).json.rows[0]?.data;
    const [{ at }] = await sql(server.db, 'SELECT at FROM change ORDER BY id DESC LIMIT 1');
    states.push([row, at, seq]);
    await new Promise((done) => setTimeout(done, 15));
  }
  for (const [offset, [row, at, seq]] of states.entries()) {
    for (const position of [`@${offset}`, seq, String(at + 1), new Date(at + 1).toISOString()].filter(Boolean)) {
      assert.deepEqual(await was(server, 'a', position), row, position);
      assert.deepEqual(await printed('a', '--as-of', position, '--url', server.http), row, position);
      assert.deepEqual(await printed('a', '--as-of', position, '--db', server.db), row, position);
    }
  }
  for (const view of ['E/state', 'E/append']) assert.deepEqual(await was(server, 'a', '@3', { view }), states[3][0], view);
  const { json, headers } = await ask(server, { key: 'a', as_of: '@3' });
  assert.deepEqual([json.view, json.mode, json.offset, json.rows.length], ['E/list', 'list', 3, 1]);
  assert.equal((await ask(server, { key: 'a', as_of: '@3' }, { headers: { 'if-none-match': headers.etag } })).status, 304);
  assert.equal((await ask(server, { key: 'a', as_of: '@4' }, { headers: { 'if-none-match': headers.etag } })).status, 200);
});

test('a seq means what a cursor means: late arrivals and repeated seqs', async (t) => {
  const server = await Server.forTest(t);
  const at = (slot, n) => m('a', { n }, { slot, index: 0 });
  for (const mutation of [at(5, 1), at(7, 2), at(6, 3), at(7, 4), at(9, 5)]) await post(server, mutation);
  const n = async (position) => (await was(server, 'a', position))?.n;
  assert.deepEqual(await Promise.all(['4:0', '5:0', '5:1', '6:0', '7:0', '8:0', '9:0'].map(n)), [undefined, 1, 1, 3, 4, 4, 5]);
});

test('a row is what it was in a model that kept every state, while the log is trimmed and the server is killed', async (t) => {
  const { seeds, first } = seedsOf(3);
  let refused = 0, told = 0;
  for (let seed = first; seed < first + seeds; seed++) {
    const random = new Random(seed);
    const server = await Server.forTest(t, { set: { retention_rows: 40, max_array_length: 3 } });
    const keys = range(4, (i) => `k${i}`);
    const states = [{}];
    for (let round = 0; round < 90; round++) {
      const key = keys[random.below(4)];
      const mutation = [gone(key), m(key, { n: round }, { op: 'upsert' }), m(key, { n: round }), m(key, { n: round }), m(key, { list: [round] }, { append: ['list'] }), m(key, {}, { unset: ['n'] })][random.below(6)];
      const before = states.length;
      const { applied } = await post(server, mutation);
      if (applied) {
        const rows = (await ask(server, { take: 10 })).json.rows;
        states[before] = Object.fromEntries(rows.map(({ key: name, data }) => [name, data]));
      }
      if (round % 30 !== 29) continue;
      if (random.below(2)) {
        await server.kill9();
        await server.restart();
      }
      for (let i = 0; i < 30; i++) {
        const [name, offset] = [keys[random.below(4)], random.below(states.length)];
        const answer = await ask(server, { key: name, as_of: `@${offset}` });
        if (answer.status === 200) {
          told++;
          assert.deepEqual(answer.json.rows[0]?.data, states[offset][name], `seed ${seed}: ${name} at @${offset}`);
          continue;
        }
        refused++;
        assert.deepEqual([answer.status, answer.json.code], [410, 'history-trimmed'], `seed ${seed}: ${answer.text}`);
        const since = Number(/known from @(\d+)/.exec(answer.json.message)[1]);
        assert.ok(since > offset, answer.json.message);
        assert.deepEqual(await was(server, name, `@${since}`), states[since][name], `seed ${seed}: ${name} at @${since}`);
        const ended = await run(['history', 'E', name, '--as-of', `@${offset}`, '--db', server.db]);
        assert.deepEqual([ended.code, ended.stderr.includes(`known from @${since}`)], [1, true], ended.stderr);
      }
    }
    await server.discard();
  }
  t.diagnostic(`${told} told, ${refused} refused`);
  assert.ok(told > 10 * seeds && refused > seeds, `${told} told, ${refused} refused`);
});

test('a token sees a row as it saw it then, and of others nothing, not even that they were', async (t) => {
  const key = newKey();
  const auth = { mode: 'signed', keys: [key.x] };
  const server = await Server.forTest(t, { set: { retention_rows: 12 }, config: { auth, exports: { E: { scope: 'owner', views: { part: { mode: 'append', fields: ['n'] } } } } } });
  const as = (...row_scopes) => ({ headers: bearer(tokenOf(key, { scope: 'read write', row_scopes })) });
  const feed = async (...mutations) => {
    for (const mutation of mutations) assert.equal((await tryPost(server, mutation, as().headers)).status, 200);
  };
  await feed(m('a', { owner: 'ann', n: 1 }), m('a', { n: 2 }), m('a', { owner: 'bob' }), m('a', { n: 3 }), m('a', { owner: null }), m('a', { owner: 5 }), gone('a'));
  const seen = (...scopes) => Promise.all(range(8, async (i) => (await was(server, 'a', `@${i}`, as(...scopes)))?.n));
  assert.deepEqual(await seen('ann'), [undefined, 1, 2, undefined, undefined, 3, undefined, undefined]);
  assert.deepEqual(await seen('bob'), [undefined, undefined, undefined, 2, 3, 3, undefined, undefined]);
  assert.deepEqual(await seen(), [undefined, undefined, undefined, undefined, undefined, 3, undefined, undefined]);
  assert.deepEqual(await was(server, 'a', '@4', { view: 'E/part', ...as('bob') }), { n: 3, _seq: (await was(server, 'a', '@4', as('bob')))._seq });
  /* the log loses what came before */
  await feed(m('b', { owner: 'bob', n: 0 }), ...range(20, (i) => m('b', { n: i })));
  const said = async (name, at, ...scopes) => {
    const { status, json } = await ask(server, { key: name, as_of: `@${at}` }, as(...scopes));
    return [status, json.message?.replaceAll(`'${name}'`, 'it') ?? json.rows];
  };
  const head = 28;
  assert.deepEqual(await said('b', head, 'bob').then(([status]) => status), 200);
  assert.deepEqual(await said('b', 20, 'bob').then(([status]) => status), 410);
  for (const at of [0, 3, 10, 20, head]) assert.deepEqual(await said('b', at, 'ann'), await said('never', at, 'ann'), `@${at}`);
  assert.equal((await ask(server, { key: 'a', as_of: '@1' })).json.code, 'token-missing');
  const narrow = { headers: bearer(tokenOf(key, { scope: 'read', views: ['E/state'] })) };
  assert.equal((await ask(server, { key: 'a', as_of: '@1' }, narrow)).json.code, 'view-not-found');
});

test('what is no position, or not for a position, is refused, and says why', async (t) => {
  const server = await Server.forTest(t, { set: { max_filter_rows: 1000 } });
  await post(server, [m('a', { n: 1 }), ...range(3000, (i) => m('b', { n: i })), m('a', { n: 2 }), m('a', { n: 3 })]);
  const later = new Date(Date.now() + 3600_000).toISOString();
  for (const [parameters, status, says, view] of [
    [{ key: 'a', as_of: '' }, 400, /no position/], [{ key: 'a', as_of: 'x' }, 400, /no position/], [{ key: 'a', as_of: '@9999' }, 400, /not there yet.*@3003/],
    [{ key: 'a', as_of: '99:0' }, 400, /not there yet/], [{ key: 'a', as_of: later }, 400, /not over yet/], [{ as_of: '@1' }, 400, /'key' is missing/, 'E/state'],
    [{ key: 'a', as_of: '@1', wait: 1 }, 400, /wait/], [{ key: 'a', as_of: '@1', events: 1 }, 400, /events/, 'E/append'],
    [{ key: 'a', as_of: '@1', filter: 'n:1' }, 400, /query/], [{ key: 'a', as_of: '@1', after: '0:0' }, 400, /after/], [{ key: 'a', as_of: '@1' }, 404, /nothing/, 'E/nothing'],
    [{ key: 'a', as_of: '@1' }, 400, /live/, 'E/list/live'], [{ key: 'a', as_of: '@3002' }, 413, /max_filter_rows/], [[['key', 'a'], ['as_of', '@1'], ['as_of', '@2']], 400, /twice/],
  ]) {
    const answer = await ask(server, parameters, { view });
    assert.equal(answer.status, status, `${JSON.stringify(parameters)}: ${answer.text}`);
    assert.match(answer.json.message, says);
  }
  assert.equal((await was(server, 'a', '@3003')).n, 3, 'the present is near');
  assert.equal((await printed('a', '--as-of', '@3002', '--db', server.db)).n, 2, 'a file has no bound');
  for (const [args, says] of [[['--as-of', 'x'], /no position/], [['--as-of', '@9999'], /not there yet/]]) {
    for (const where of [['--db', server.db], ['--url', server.http]]) {
      const ended = await run(['history', 'E', 'a', ...args, ...where]);
      assert.equal(ended.code, 1);
      assert.match(ended.stderr, says);
    }
  }
});
