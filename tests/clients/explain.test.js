// Why a row is in a view or not: GET /v1/explain and `stele explain` (docs/explain.md).

import assert from 'node:assert/strict';
import test from 'node:test';
import { http, lines } from './lib/feed.js';
import { Random } from './lib/random.js';
import { seedsOf } from './lib/seeds.js';
import { run, Server } from './lib/server.js';

const WRITER = 'writer-0123456789abcdef';
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const tokenOf = (name) => `token-${name}-0123456789abcdef`;
const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const query = (parameters) => new URLSearchParams(parameters).toString().replaceAll('+', '%20');

/** tokens: name → what its object in the configuration adds. */
function configOf(tokens, exports, more = {}) {
  const list = Object.entries(tokens).map(([name, extra]) => ({ token: tokenOf(name), subject: name, scope: 'read', ...extra }));
  return { exports, auth: { mode: 'static', tokens: [{ token: WRITER, scope: 'write' }, ...list] }, ...more };
}

async function feed(server, mutations, token = '') {
  const answer = await http(`${server.http}/v1/mutations${token && `?token=${token}`}`, { method: 'POST', body: lines(mutations), headers: { 'content-type': 'application/x-ndjson' } });
  assert.equal(answer.status, 200, answer.text);
}

const ask = (server, view, key, parameters = {}, name = '') =>
  http(`${server.http}/v1/explain?${query({ view, key, ...parameters, ...(name && { token: tokenOf(name) }) })}`);

async function explained(server, view, key, parameters, name) {
  const answer = await ask(server, view, key, parameters, name);
  assert.equal(answer.status, 200, answer.text);
  return answer.json;
}

const step = (answer, name) => answer.steps.find((each) => each.step === name);

/** The same question to the file. */
async function ofFile(server, view, key, more = []) {
  const answer = await run(['explain', view, key, '--db', server.db, '--config', `${server.db}.config.json`, ...more]);
  assert.equal(answer.code, 0, answer.stderr);
  return answer.stdout;
}

const CONFIG = { exports: { E: { views: {
  strong: { fields: ['n', 'tags', 'name'], pipeline: [
    { filter: { all: [{ field: 'n', gte: 3 }, { any: [{ field: 'name', prefix: 'row' }, { field: 'tags', contains: 'x' }] }, { not: { field: 'n', in: [7, 8] } }] } },
    { sort: { by: 'n', order: 'desc' } }, { skip: 1 }, { take: 4 }] },
  some: { keys: ['k1', 'k2'] },
  last: { pipeline: [{ sort: 'n' }, 'last'] },
  one: { pipeline: [{ sort: { by: 'n', order: 'desc' } }], output: { keyed_by: 'name' } },
  fresh: { pipeline: [{ filter: { field: 'until', gt: { now: true } } }, { filter: { field: 'n', lt: { field: 'limit' } } }] },
} } } };

test('each step is told with what it saw, what it decided, and who stands at its ends', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await feed(server, range(12, (i) => m(`k${i}`, { n: i, name: i % 5 ? `row ${i}` : 'same', tags: ['x'], until: 32503680000, limit: 6, secret: 's' })));
  const away = await explained(server, 'E/strong', 'k2');
  assert.equal(away.in, false);
  assert.deepEqual(step(away, 'filter'), { step: 'filter', holds: false, predicate: { holds: false, all: [
    { field: 'n', gte: 3, value: 2, holds: false },
    { any: [{ field: 'name', prefix: 'row', value: 'row 2', holds: true }, { field: 'tags', contains: 'x', value: ['x'], holds: true }], holds: true },
    { not: { field: 'n', in: [7, 8], value: 2, holds: false }, holds: true }] } });
  assert.deepEqual(step(away, 'cut'), { step: 'cut', skip: 1, take: 4, holds: null, edges: { first: { key: 'k10', value: 10 }, last: { key: 'k5', value: 5 } } });
  const top = await explained(server, 'E/strong', 'k11');
  assert.deepEqual([top.in, step(top, 'filter').holds, step(top, 'cut').holds, step(top, 'cut').rank], [false, true, false, 0]);
  const inside = await explained(server, 'E/strong', 'k6');
  assert.deepEqual([inside.in, step(inside, 'cut').holds, step(inside, 'cut').rank, step(inside, 'sort').value], [true, true, 3, 6]);
  assert.deepEqual(step(inside, 'fields'), { step: 'fields', fields: ['n', 'tags', 'name'], hidden: ['until', 'limit', 'secret'] });
  assert.equal(inside.position, 12);
  assert.equal(step(await explained(server, 'E/some', 'k1'), 'keys').holds, true);
  assert.equal((await explained(server, 'E/some', 'k3')).in, false);
  const last = await explained(server, 'E/last', 'k11');
  assert.deepEqual([last.in, step(last, 'cut')], [true, { step: 'cut', last: true, holds: true, rank: 11, edges: { last: { key: 'k11', value: 11 } } }]);
  assert.equal((await explained(server, 'E/last', 'k10')).in, false);
  const shadowed = await explained(server, 'E/one', 'k5');
  assert.deepEqual([shadowed.in, step(shadowed, 'keyed_by')], [false, { step: 'keyed_by', by: ['name'], value: 'same', holds: false, first: 'k10' }]);
  assert.equal((await explained(server, 'E/one', 'k10')).in, true);
  const timed = step(await explained(server, 'E/fresh', 'k7'), 'filter').predicate.all;
  assert.deepEqual([timed[0].holds, timed[0].value, typeof timed[0].operand], [true, 32503680000, 'number']);
  assert.deepEqual(timed[1], { field: 'n', lt: { field: 'limit' }, value: 7, operand: 6, holds: false });
  assert.deepEqual((await explained(server, 'E/list', 'none')).steps, [{ step: 'row', holds: false }]);
});

test('the file answers as its server does, beside it and behind it', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await feed(server, range(12, (i) => m(`k${i}`, { n: i, name: `row ${i}`, tags: [], secret: 's' })));
  await feed(server, [m('k3', undefined, { op: 'delete' })]);
  const questions = [];
  for (const view of ['E/strong', 'E/some', 'E/last', 'E/one', 'E/list', 'E/state', 'E/append']) for (const key of ['k0', 'k1', 'k3', 'k6', 'k11', 'nix']) questions.push([view, key, {}, []]);
  const where = JSON.stringify({ field: 'n', gte: 5 });
  questions.push(['E/list', 'k7', { where, take: 3, skip: 1, sort: '[{"by":"n"}]' }, ['--where', where, '--take', '3', '--skip', '1', '--sort', 'n']]);
  questions.push(['E/strong', 'k7', { filter: 'name:row 7', take: 1 }, ['--filter', 'name=row 7', '--take', '1']]);
  const told = [];
  for (const [view, key, parameters] of questions) told.push((await ask(server, view, key, parameters)).text);
  for (const [i, [view, key, , more]] of questions.entries()) {
    assert.equal(await ofFile(server, view, key, more), told[i], `${view} ${key}`);
    const own = await run(['explain', view, key, '--url', server.http, ...more]);
    assert.equal(own.stdout, told[i], own.stderr);
  }
  await server.terminate();
  assert.equal(await ofFile(server, 'E/strong', 'k6'), told[3]);
});

test('text is for people', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await feed(server, range(12, (i) => m(`k${i}`, { n: i, name: `row ${i}`, tags: [] })));
  const { stdout, code } = await run(['explain', 'E/strong', 'k2', '--url', server.http, '--text', '--take', '3']);
  assert.equal(code, 0);
  assert.match(stdout, /^k2 is not in E\/strong \(as of change 12\)\n/);
  for (const line of ['filter    no', 'no   n gte 3: it is 2', 'yes  name prefix "row": it is "row 2"', 'no   tags contains "x": it is []', 'sort           n desc: it is 2', 'cut       -    skip 1, take 4; first "k10" with 10; last "k5" with 5', 'part      -    skip 0, take 3'])
    assert.ok(stdout.includes(line), `${line}\n${stdout}`);
});

test('what cannot be asked is refused, with its reason', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await feed(server, [m('k', { n: 1 })]);
  const refused = async (path, status, code, says, method = 'GET') => {
    const answer = await http(server.http + path, { method });
    assert.deepEqual([answer.status, answer.json?.code], [status, code], answer.text);
    assert.match(answer.json.message, says);
  };
  await refused('/v1/explain', 400, 'invalid-parameter', /'view' is missing/);
  await refused('/v1/explain?view=E/list', 400, 'invalid-parameter', /'key' is missing/);
  await refused('/v1/explain?view=E/list&view=E/last&key=k', 400, 'invalid-parameter', /'view' is given twice/);
  await refused('/v1/explain?view=E/nix&key=k', 404, 'view-not-found', /'E\/nix' is not known/);
  await refused('/v1/explain?view=E/list&key=k&after=1:1', 400, 'invalid-parameter', /'after' is not for/);
  await refused('/v1/explain?view=E/list&key=k&wait=1', 400, 'invalid-parameter', /no parameter 'wait'/);
  await refused('/v1/explain?view=E/state&key=k&take=1', 400, 'invalid-parameter', /works on lists/);
  await refused('/v1/explain?view=E/one&key=k&take=1', 400, 'invalid-parameter', /keyed by a field/);
  await refused('/v1/explain?view=E/last&key=k&sort=["n"]', 400, 'invalid-parameter', /'sort' is not for/);
  await refused(`/v1/explain?view=E/strong&key=k&filter=secret:1`, 400, 'invalid-parameter', /does not show 'secret'/);
  await refused('/v1/explain?view=E/list&key=%FF', 400, 'invalid-parameter', /UTF-8/);
  await refused('/v1/explain?view=E/list&key=k', 405, 'method-not-allowed', /takes GET/, 'DELETE');
  const misused = await run(['explain', 'E/list', 'k', '--config', 'x.json']);
  assert.equal(misused.code, 2);
  const unknown = await run(['explain', 'E/strong', 'k', '--db', server.db]);
  assert.match(unknown.stderr, /--config FILE/);
});

// ---- since when ----

const sinceOf = async (server, view, key, parameters, name) => {
  const { since, in: shown } = await explained(server, view, key, parameters, name);
  return [shown, since.known ? `${since.by} ${since.by === 'time' ? '' : since.change}${since.op ? ` ${since.op}` : ''}`.trim() : since.why];
};

test('the last move is told with its change: of the row, of another, or of time', async (t) => {
  const views = {
    big: { pipeline: [{ filter: { field: 'n', gte: 5 } }] },
    top: { pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 2 }] },
    named: { pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 2 }, { filter: { exists: 'name' } }] },
    last: { pipeline: [{ sort: 'n' }, 'last'] },
    valid: { pipeline: [{ filter: { field: 'until', gt: { now: true } } }] },
    both: { pipeline: [{ take: 3 }, { sort: 'n' }, { take: 1 }] },
  };
  const server = await Server.forTest(t, { config: { exports: { E: { views } } } });
  await feed(server, [m('a', { n: 1 }), m('a', { n: 7 }), m('a', { n: 8 }), m('b', { n: 9 }), m('c', { n: 5 })]); /* 1 to 5 */
  await feed(server, [m('d', { n: 10 }), m('b', { name: 'b' })]); /* 6 and 7 */
  assert.deepEqual(await sinceOf(server, 'E/big', 'a'), [true, 'change 2 patch']);
  assert.deepEqual(await sinceOf(server, 'E/big', 'c'), [true, 'change 5 create']);
  assert.deepEqual(await sinceOf(server, 'E/list', 'a', { where: '{"field":"n","gt":7}' }), [true, 'change 3 patch']);
  assert.deepEqual(await sinceOf(server, 'E/top', 'a'), [false, 'another 6']);
  assert.deepEqual(await sinceOf(server, 'E/top', 'b'), [true, 'change 4 create']);
  assert.deepEqual(await sinceOf(server, 'E/named', 'b'), [true, 'change 7 patch']);
  assert.deepEqual(await sinceOf(server, 'E/last', 'd'), [true, 'change 6 create']);
  assert.deepEqual(await sinceOf(server, 'E/last', 'b'), [false, 'another 6']);
  assert.deepEqual(await sinceOf(server, 'E/top', 'c'), [false, 'it was always so']);
  assert.match((await sinceOf(server, 'E/both', 'a'))[1], /a cut below another one/);
  assert.match((await sinceOf(server, 'E/list', 'a', { take: 2 }))[1], /parts/);
  await feed(server, [m('d', undefined, { op: 'delete' }), m('e', { n: 1 }), m('e', undefined, { op: 'delete' })]); /* 8 to 10 */
  assert.deepEqual(await sinceOf(server, 'E/top', 'a'), [true, 'another 8']);
  assert.deepEqual(await sinceOf(server, 'E/big', 'd'), [false, 'change 8 delete']);
  assert.deepEqual(await sinceOf(server, 'E/big', 'e'), [false, 'it was always so']);
  assert.deepEqual(await sinceOf(server, 'E/list', 'e'), [false, 'change 10 delete']);
  assert.deepEqual(await sinceOf(server, 'E/list', 'nix'), [false, 'the changes that were read have none of this key']);
  const until = Math.floor(Date.now() / 1000) + 2;
  await feed(server, [m('t', { until })]);
  for (;;) {
    const answer = await explained(server, 'E/valid', 't');
    if (answer.in) {
      await new Promise((done) => setTimeout(done, 100));
      continue;
    }
    assert.deepEqual(answer.since, { known: true, by: 'time', time: until * 1000 });
    break;
  }
  const text = (await run(['explain', 'E/top', 'a', '--url', server.http, '--text'])).stdout;
  assert.match(text, /\n {2}since {5}change 8 of another row, seq \S+, at 20\d\d-\S+Z\n$/);
});

test('where the log was trimmed it is said what is missing, and from where on it was read', async (t) => {
  const views = { big: { pipeline: [{ filter: { field: 'n', gte: 5 } }] }, top: { pipeline: [{ sort: 'n' }, { take: 2 }] } };
  const server = await Server.forTest(t, { config: { exports: { E: { views } } }, set: { retention_rows: 20 } });
  await feed(server, [m('gone', { n: 1 }), m('gone', undefined, { op: 'delete' }), m('a', { n: 7 }), m('b', { n: 8 })]);
  for (let i = 0; i < 60; i++) await feed(server, [m('x', { n: i })]);
  await feed(server, [m('a', { m: 1 })]);
  const { since } = await explained(server, 'E/big', 'a');
  assert.deepEqual([since.known, since.why], [false, 'the log does not reach back to a state of the row before']);
  assert.ok(since.from > 4 && since.from < 60, since.from);
  assert.match((await sinceOf(server, 'E/big', 'b'))[1], /since before/);
  assert.match((await sinceOf(server, 'E/top', 'b'))[1], /another row|since before/);
  assert.deepEqual((await explained(server, 'E/list', 'gone')).since.change, 2);
  const gone = (await explained(server, 'E/big', 'gone')).since;
  assert.deepEqual([gone.known, gone.change], [false, 2]);
  await feed(server, [m('a', { n: 1 }, { op: 'upsert' }), m('a', { n: 9 })]);
  assert.deepEqual(await sinceOf(server, 'E/big', 'a'), [true, 'change 67 patch']);
});

test('moves out of sight are the end of a row, and no other row moves it for a token', async (t) => {
  const views = { cut: { pipeline: [{ sort: 'n' }, { take: 3 }] }, big: { pipeline: [{ filter: { field: 'n', gte: 5 } }] } };
  const server = await Server.forTest(t, { config: configOf({ ann: { row_scopes: ['ann'] }, cut: { row_scopes: ['ann'], views: ['E/cut'] } }, { E: { scope: 'who', views } }) });
  await feed(server, [m('a', { n: 1, who: 'ann' }), m('a', { n: 7 }), m('a', { who: 'bob' }), m('a', { n: 2 }), m('b', { n: 3, who: 'bob' }), m('a', { n: 9, who: 'ann' }), m('c', { n: 5, who: 'ann' }), m('c', { who: 'bob' })], WRITER);
  assert.deepEqual(await sinceOf(server, 'E/list', 'a', {}, 'ann'), [true, 'change 6']);
  assert.deepEqual(await sinceOf(server, 'E/big', 'a', {}, 'ann'), [true, 'change 6']);
  assert.deepEqual(await sinceOf(server, 'E/list', 'c', {}, 'ann'), [false, 'change 8']);
  assert.deepEqual(await sinceOf(server, 'E/list', 'b', {}, 'ann'), await sinceOf(server, 'E/list', 'zz', {}, 'ann'));
  assert.match((await sinceOf(server, 'E/cut', 'a', {}, 'ann'))[1], /rows of everybody/);
  for (const key of ['b', 'c']) assert.equal((await ask(server, 'E/cut', key, {}, 'cut')).text.replace(`"${key}"`, '"zz"'), (await ask(server, 'E/cut', 'zz', {}, 'cut')).text);
});

// ---- who is told what ----

test('the label of a row is not told where its field is hidden', async (t) => {
  const views = { slim: { fields: ['n'] } };
  const token = { row_scopes: ['ann', 'bob'], views: ['E/slim'] };
  const server = await Server.forTest(t, { config: configOf({ both: token }, { E: { scope: 'who', views } }) });
  await feed(server, [m('a', { n: 1, who: 'ann' }), m('b', { n: 2, who: 'bob' })], WRITER);
  for (const key of ['a', 'b']) {
    const { in: isIn, steps } = await explained(server, 'E/slim', key, {}, 'both');
    assert.deepEqual([isIn, steps[0].scope], [true, undefined]);
    assert.doesNotMatch(JSON.stringify(steps), /ann|bob/);
  }
});

test('a row out of scope is answered as one that does not exist, and no neighbour is named', async (t) => {
  const views = { cut: { pipeline: [{ sort: 'n' }, { take: 3 }] }, sorted: { pipeline: [{ sort: 'n' }] } };
  const server = await Server.forTest(t, { config: configOf({ ann: { row_scopes: ['ann'] }, nobody: {} }, { E: { scope: 'who', views } }) });
  await feed(server, range(8, (i) => m(`k${i}`, { n: i, who: i % 2 ? 'ann' : 'bob-the-other' })), WRITER);
  await feed(server, [m('moved', { n: 0, who: 'ann' }), m('moved', { who: 'bob-the-other' })], WRITER);
  for (const view of ['E/list', 'E/state', 'E/append', 'E/cut', 'E/sorted']) {
    for (const key of ['k0', 'k2', 'k4']) {
      const hidden = (await ask(server, view, key, {}, 'ann')).text;
      assert.equal(hidden.replaceAll(`"${key}"`, '"zz"'), (await ask(server, view, 'zz', {}, 'ann')).text);
      assert.ok(!hidden.includes('other'));
    }
    for (const key of ['k1', 'k5', 'k7']) assert.ok(!/other|k[0246]/.test((await ask(server, view, key, {}, 'ann')).text));
  }
  assert.equal(step(await explained(server, 'E/list', 'k1', {}, 'ann'), 'row').scope, 'ann');
  const cut = step(await explained(server, 'E/cut', 'k7', {}, 'ann'), 'cut');
  assert.deepEqual([cut.holds, cut.rank], [false, undefined]);
  const part = step(await explained(server, 'E/sorted', 'k5', { take: 2 }, 'ann'), 'part');
  assert.deepEqual([part.rank, part.holds, part.edges.last.key], [2, false, 'k3']);
  assert.equal(step(await explained(server, 'E/list', 'k1', {}, 'ann'), 'row').scope, 'ann');
  assert.equal((await explained(server, 'E/list', 'k1', {}, 'nobody')).in, false);
});

test('a token for a view alone learns nothing of other rows, nor of members that it hides', async (t) => {
  const views = {
    open: { pipeline: [{ filter: { field: 'state', eq: 'open' } }, { sort: { by: 'n', order: 'desc' } }, { take: 3 }] },
    slim: { fields: ['n'], pipeline: [{ filter: { field: 'secret', eq: 'hunter2' } }] },
    order: { fields: ['n'], pipeline: [{ sort: 'secret' }, { take: 2 }] },
    plain: { fields: ['n'] },
  };
  const tokens = { narrow: { views: ['E/open'] }, slim: { views: ['E/slim', 'E/order'] }, wide: { views: ['E/slim', 'E/order', 'E/plain'] }, all: {} };
  const server = await Server.forTest(t, { config: configOf(tokens, { E: { views } }) });
  await feed(server, range(8, (i) => m(`k${i}`, { n: i, state: i % 2 ? 'open' : 'closed-door', secret: i % 3 ? 'hunter2' : 'hunter3' })), WRITER);
  assert.equal((await ask(server, 'E/list', 'k1', {}, 'narrow')).status, 404);
  for (const key of ['k0', 'k1', 'k4']) {
    const other = (await ask(server, 'E/open', key, {}, 'narrow')).text;
    assert.equal(other.replace(key, 'zz'), (await ask(server, 'E/open', 'zz', {}, 'narrow')).text);
  }
  assert.equal((await explained(server, 'E/open', 'k7', {}, 'narrow')).in, true);
  assert.equal(step(await explained(server, 'E/open', 'k1', {}, 'all'), 'cut').rank, 3);
  // In the view: the condition held, and no more is told of it. Behind it: not even that.
  assert.deepEqual(step(await explained(server, 'E/slim', 'k1', {}, 'slim'), 'filter'), { step: 'filter', hidden: true, holds: true });
  assert.deepEqual((await explained(server, 'E/slim', 'k0', {}, 'slim')).steps, [{ step: 'row', holds: false }]);
  const wide = await explained(server, 'E/slim', 'k0', {}, 'wide');
  assert.deepEqual([wide.in, step(wide, 'filter'), step(wide, 'fields')], [false, { step: 'filter', hidden: true }, { step: 'fields', fields: ['n'], hidden: [] }]);
  for (const name of ['slim', 'wide']) for (const view of ['E/slim', 'E/order']) for (let i = 0; i < 8; i++) {
    const { text } = await ask(server, view, `k${i}`, {}, name);
    assert.ok(!/hunter|secret|closed|state/.test(text), text);
  }
  assert.match(JSON.stringify(await explained(server, 'E/slim', 'k0', {}, 'all')), /hunter3/);
});

test('of a row that the view does not show nothing is told that only the view would show', async (t) => {
  const views = {
    more: { fields: ['n', 'extra'], pipeline: [{ filter: { field: 'n', gte: 3 } }] },
    cut: { fields: ['n', 'extra'], pipeline: [{ sort: 'extra' }, { take: 2 }, { filter: { field: 'n', gte: 1 } }] },
    plain: { fields: ['n'] },
  };
  const server = await Server.forTest(t, { config: configOf({ reader: { views: ['E/more', 'E/cut', 'E/plain'] } }, { E: { views } }) });
  await feed(server, range(6, (n) => m(`k${n}`, { n, extra: `hidden-${n}` })), WRITER);
  const where = '{"field":"extra","prefix":"hidden"}';
  const inside = await explained(server, 'E/more', 'k4', { where }, 'reader');
  assert.deepEqual([inside.in, step(inside, 'where').predicate.value], [true, 'hidden-4']);
  const outside = await explained(server, 'E/more', 'k1', { where, take: 1, sort: '["extra"]' }, 'reader');
  assert.deepEqual([outside.in, step(outside, 'filter').holds, step(outside, 'where'), step(outside, 'part').rank], [false, false, { step: 'where', hidden: true }, undefined]);
  assert.ok(!/hidden-[012]/.test(JSON.stringify(outside)), JSON.stringify(outside));
  for (let i = 0; i < 6; i++) {
    const answer = await explained(server, 'E/cut', `k${i}`, {}, 'reader');
    assert.ok(!/hidden-[02-9]/.test(JSON.stringify(answer)), JSON.stringify(answer)); /* k1 alone is in it */
    assert.equal(answer.in, i === 1);
  }
});

// ---- against the views themselves ----

const OPERANDS = (r) => r.pick([{ field: 'a', gte: r.below(6) }, { field: 'a', lt: { field: 'b' } }, { field: 's', prefix: r.pick(['x', 'xy']) }, { exists: 'b' },
  { field: 'a', in: [0, 2, '3'] }, { field: 'l', contains: r.below(3) }, { field: 's', ne: 'xy' }, { field: 't', gt: { now: true } }]);

function predicate(r, depth = 0) {
  if (depth < 2 && r.below(3) === 0) return { [r.pick(['all', 'any'])]: range(1 + r.below(3), () => predicate(r, depth + 1)) };
  return depth > 5 || r.below(5) ? OPERANDS(r) : { not: predicate(r, depth + 1) }; /* the server takes a depth of 8 */
}

function pipeline(r) {
  return range(1 + r.below(4), () => r.pick([
    () => ({ filter: predicate(r) }), () => ({ sort: { by: r.pick(['a', 'b', 's']), order: r.pick(['asc', 'desc']) } }),
    () => ({ take: 4 + r.below(12) }), () => ({ skip: r.below(4) })])());
}

function entity(r) {
  const value = { a: r.below(7), who: r.pick(['ann', 'bob', '', null]) };
  if (r.below(4)) value.b = r.below(7);
  if (r.below(4)) value.s = r.pick(['x', 'xy', 'z', '3']);
  if (r.below(3)) value.l = range(r.below(3), () => r.below(3));
  if (r.below(2)) value.t = r.below(2) ? 1 : 32503680000;
  return value;
}

const rowsOf = async (server, view, parameters, name) => {
  const answer = await http(`${server.http}/v1/views/${view}?${query({ ...parameters, token: tokenOf(name) })}`);
  assert.equal(answer.status, 200, answer.text);
  return answer.json.rows.map(({ key }) => key);
};

/** Change by change, with what the views then show a token: `since` names the last change that moved a row, or says that it is not known. */
async function playMoves(server, r, views, name, keys, seed) {
  const shown = new Map();
  const moves = new Map();
  const { position } = await explained(server, views[0], 'k0', {}, name);
  for (const view of views) shown.set(view, await rowsOf(server, view, { take: 1000 }, name));
  for (let i = 1; i <= 20; i++) {
    const key = r.pick(keys);
    await feed(server, [r.below(6) ? m(key, entity(r), { op: r.pick(['patch', 'upsert']) }) : m(key, undefined, { op: 'delete' })], WRITER);
    const now = (await explained(server, views[0], 'k0', {}, name)).position;
    for (const view of views) {
      const before = shown.get(view);
      const after = await rowsOf(server, view, { take: 1000 }, name);
      for (const each of keys) if (before.includes(each) !== after.includes(each)) moves.set(`${view} ${each}`, { change: now, by: each === key ? 'change' : 'another' });
      shown.set(view, after);
    }
  }
  let told = 0;
  for (const view of views) for (const key of keys) {
    const { since } = await explained(server, view, key, {}, name);
    const move = moves.get(`${view} ${key}`);
    const where = `seed ${seed}, ${view} ${key} for ${name}: ${JSON.stringify(since)} and ${JSON.stringify(move)}`;
    if (move && view === 'E/list') assert.ok(since.known, where);
    if (!since.known) continue;
    if (move) assert.deepEqual([since.change, since.by], [move.change, move.by], where);
    else assert.ok(since.change <= position, where);
    told++;
  }
  return told;
}

async function playViews(t, seed) {
  const r = new Random(seed);
  const views = Object.fromEntries(range(4, (i) => [`v${i}`, { pipeline: pipeline(r), ...(i > 1 && r.below(2) && { source: `E/v${r.below(2)}` }) }]));
  const scoped = r.below(2) === 1;
  const tokens = { ann: { row_scopes: ['ann'] }, both: { row_scopes: ['ann', 'bob'] }, none: {} };
  const server = await Server.forTest(t, { config: configOf(tokens, { E: { views, ...(scoped && { scope: 'who' }) } }) });
  const keys = range(30, (i) => `k${i}`);
  for (let round = 0; round < 3; round++) {
    await feed(server, range(25, () => (r.below(6) ? m(r.pick(keys), entity(r), { op: r.pick(['patch', 'upsert']) }) : m(r.pick(keys), undefined, { op: 'delete' }))), WRITER);
    for (const view of ['E/list', ...Object.keys(views).map((name) => `E/${name}`)]) {
      const name = r.pick(Object.keys(tokens));
      const asked = {};
      if (r.below(2)) asked.where = JSON.stringify(predicate(r));
      if (view === 'E/list' && r.below(2)) asked.sort = JSON.stringify([{ by: r.pick(['a', 's']), order: r.pick(['asc', 'desc']) }]);
      const whole = await rowsOf(server, view, { ...asked, take: 1000 }, name);
      const part = { ...asked, ...(r.below(2) && { skip: r.below(4) }), ...(r.below(2) && { take: 1 + r.below(8) }) };
      const shown = await rowsOf(server, view, { take: 1000, ...part }, name);
      for (const key of keys) {
        const answer = await explained(server, view, key, part, name);
        const where = `seed ${seed}, ${view} ${key} for ${name} with ${JSON.stringify(part)}: ${JSON.stringify(answer)}`;
        assert.equal(answer.in, shown.includes(key), where);
        if (whole.includes(key) && (part.take || part.skip)) assert.equal(step(answer, 'part').rank, whole.indexOf(key), where);
      }
    }
  }
  const told = await playMoves(server, r, ['E/list', ...Object.keys(views).map((name) => `E/${name}`)], r.pick(Object.keys(tokens)), keys, seed);
  await server.discard();
  return told;
}

test('explanations agree with the views, for random pipelines, queries and tokens', async (t) => {
  const { seeds, first } = seedsOf(3);
  t.diagnostic(`seeds ${first} to ${first + seeds - 1}`);
  let told = 0;
  for (let seed = first; seed < first + seeds; seed++) told += await playViews(t, seed);
  t.diagnostic(`${told} moves were told`);
  assert.ok(told > seeds * 20, `only ${told}`);
});

test('a long answer is compressed for who takes gzip, as those of views are', async (t) => {
  const server = await Server.forTest(t, { config: configOf({}, { E: {} }, { auth: { mode: 'none' } }) });
  await feed(server, [m('a', { text: 'x'.repeat(20_000) })]);
  for (const [takes, encoding] of [['gzip', 'gzip'], ['gzip;q=0.5', 'gzip'], ['deflate, gzip;q=1.0', 'gzip'], ['gzip;q=0', null], ['identity', null]]) {
    for (const path of ['/v1/views/E/list', `/v1/explain?${query({ view: 'E/list', key: 'a', where: JSON.stringify({ field: 'text', eq: 'x'.repeat(4000) }) })}`]) {
      const answer = await fetch(server.http + path, { headers: { 'accept-encoding': takes } });
      assert.equal(answer.status, 200, await answer.clone().text());
      assert.equal(answer.headers.get('content-encoding'), encoding, `${takes}: ${path.slice(0, 20)}`);
    }
  }
});
