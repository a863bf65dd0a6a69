// The history of an append view by plain HTTP: GET /v1/views/<export>/append?events=1.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import test from 'node:test';
import { http, post, tryPost } from './lib/feed.js';
import { NamedClient } from './lib/named.js';
import { Random } from './lib/random.js';
import { seedsOf } from './lib/seeds.js';
import { BINARY, Server, eventually, run, sql, within } from './lib/server.js';
import { bearer, newKey, tokenOf } from './lib/token.js';

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const get = (server, parameters, { headers, view = 'E/append', method } = {}) =>
  http(`${server.http}/v1/views/${view}?${new URLSearchParams(parameters).toString().replaceAll('+', '%20')}`, { headers, method });

/** One answer, which must be 200. */
async function page(server, parameters = {}, options = {}) {
  const answer = await get(server, { events: 1, ...parameters }, options);
  assert.equal(answer.status, 200, answer.text);
  return answer.json;
}

/** All pages behind a cursor, joined; each is checked. */
async function read(server, parameters = {}, { size = () => 1000, between = () => {}, ...options } = {}) {
  const events = [];
  let { after } = parameters;
  for (let more = true; more;) {
    const take = size();
    const it = await page(server, { ...parameters, take, ...(after && { after }) }, options);
    assert.ok(it.events.length <= take, `${it.events.length} events of ${take}`);
    if (after) assert.equal(it.resumed, true);
    for (const event of it.events) {
      assert.ok(event.offset > (events.at(-1)?.offset ?? 0), 'offsets grow');
      assert.ok(event.offset >= it.earliest && event.offset < it.next, 'within what the log has');
      events.push(event);
    }
    ({ cursor: after, more } = it);
    await between();
  }
  return { events, cursor: after };
}
const brief = ({ events }) => events.map(({ op, key, data }) => [op, key, data && Object.fromEntries(Object.entries(data).filter(([name]) => name !== '_seq'))]);

test('each event of the log, as it was, with its position, its time and its seq', async (t) => {
  const server = await Server.forTest(t);
  const before = Date.now();
  await post(server, [m('a', { n: 1, list: [1] }, { append: ['list'] }), { ...m('o', {}), export: 'Other' }]);
  await post(server, [m('a', { n: 2, list: [2] }, { append: ['list'] }), m('b', { n: 1 }), m('a', { only: true }, { op: 'upsert' }), { export: 'E', key: 'a', op: 'delete' }]);
  const it = await page(server);
  assert.deepEqual(brief(it), [
    ['patch', 'a', { n: 1, list: [1] }], ['patch', 'a', { n: 2, list: [2] }], ['patch', 'b', { n: 1 }], ['upsert', 'a', { only: true }], ['delete', 'a', null],
  ]);
  assert.deepEqual([it.view, it.mode, it.earliest, it.next, it.more, it.resumed], ['E/append', 'append', 1, 7, false, undefined]);
  assert.deepEqual(it.events.map((event) => event.offset), [1, 3, 4, 5, 6]);
  assert.deepEqual(it.events.map((event) => event.append), [['list'], ['list'], undefined, undefined, undefined]);
  assert.equal(it.cursor, `${it.epoch}:6`);
  const log = await sql(server.db, "SELECT change.id AS offset, at AS time, slot || ':' || printf('%012d', idx) AS seq FROM change JOIN export ON export.id = export WHERE name = 'E' ORDER BY 1");
  assert.deepEqual(it.events.map(({ offset, time, seq }) => ({ offset, time, seq })), log);
  assert.ok(it.events[0].time >= before - 1000 && it.events[0].time <= Date.now() + 1000);
  assert.deepEqual(it.events.map(({ seq, data }) => data === null || data._seq === seq), [true, true, true, true, true]);
});

test('events are those of a tape, and a cursor of either is good for both', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: { views: { part: { mode: 'append', fields: ['n', 'list'] } } } } } });
  await post(server, range(60, (i) => m(`k${i % 7}`, { n: i, hidden: i, list: [i] }, { append: ['list'] })));
  for (const view of ['E/append', 'E/part']) {
    const client = await NamedClient.connect(t, server.port);
    client.subscribe('s', { view });
    await client.until(() => client.frames.some((frame) => frame.complete), 'the end of the past');
    const told = client.frames.filter((frame) => frame.offset !== undefined);
    const { events } = await read(server, {}, { view });
    const bare = ({ offset, op, key, data: { _version, ...data }, append, seq }) => ({ offset, op, key, data, append, seq });
    assert.deepEqual(events.map(bare), told.map(bare), view);
    assert.equal(told.length, 60);
    const { epoch } = client.subscriptions.get('s').ack.replayWindow;
    const rest = await read(server, { after: `${epoch}:${told[40].offset}` }, { view });
    assert.deepEqual(rest.events, events.slice(41));
    client.subscribe('again', { view, after: rest.cursor });
    await client.until(() => client.frames.some((frame) => frame.subscriptionId === 'again' && frame.complete), 'the end of nothing');
    assert.equal(client.subscriptions.get('again').events.length, 0);
  }
});

test('pages of any length, while the log grows and the server is killed, have each event once', async (t) => {
  const { seeds, first } = seedsOf(2);
  for (let seed = first; seed < first + seeds; seed++) {
    const random = new Random(seed);
    const server = await Server.forTest(t);
    let fed = 0;
    const feed = () => post(server, range(random.below(40) + 1, () => m(`k${random.below(9)}`, { n: fed++ })));
    for (let i = 0; i < 8; i++) await feed();
    let left = 12;
    const between = async () => {
      if (left-- > 0) await feed();
      if (left === 5) {
        await server.kill9();
        await server.restart();
      }
    };
    const { events, cursor } = await read(server, {}, { size: () => random.below(17) + 1, between });
    const rest = await read(server, { after: cursor });
    assert.deepEqual([...events, ...rest.events].map(({ data }) => data.n), range(fed, (n) => n), `seed ${seed}`);
  }
});

test('a key, a range, filters of the patch, and what the view hides', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: { views: { some: { mode: 'append', keys: ['k1', 'k2', 'k3'], fields: ['n'] } } } } } });
  await post(server, range(30, (i) => m(`k${i % 5}`, i % 2 ? { n: i, odd: true } : { n: i })));
  await post(server, { export: 'E', key: 'k1', op: 'delete' });
  const numbers = async (parameters, options) => (await read(server, parameters, options)).events.map(({ data }) => data?.n ?? null);
  assert.deepEqual(await numbers({ key: 'k1' }), [1, 6, 11, 16, 21, 26, null]);
  assert.deepEqual(await numbers({ key: 'k1' }, { size: () => 2 }), [1, 6, 11, 16, 21, 26, null]);
  assert.deepEqual(await numbers({ filter: 'odd:true' }), range(15, (i) => 2 * i + 1), 'a delete has no patch');
  assert.deepEqual(await numbers({ where: '{"field":"n","gte":27}' }), [27, 28, 29]);
  const { epoch } = await page(server);
  assert.deepEqual(await numbers({ after: `${epoch}:3`, until: `${epoch}:6` }), [3, 4, 5]);
  assert.deepEqual(await numbers({ after: `${epoch}:3`, until: `${epoch}:6`, key: 'k4' }, { size: () => 1 }), [4]);
  assert.deepEqual(await numbers({ after: `${epoch}:6`, until: `${epoch}:3` }), []);
  assert.equal((await read(server, { until: `${epoch}:9999` })).events.length, 31);
  const some = await read(server, {}, { view: 'E/some' });
  assert.deepEqual([...new Set(some.events.map(({ key }) => key))].sort(), ['k1', 'k2', 'k3']);
  assert.ok(some.events.every(({ data }) => data === null || !('odd' in data)));
  assert.equal((await get(server, { events: 1, filter: 'odd:true' }, { view: 'E/some' })).json.code, 'invalid-parameter', 'a hidden member');
});

test('a token sees the events of its rows alone', async (t) => {
  const key = newKey();
  const auth = { mode: 'signed', keys: [key.x] };
  const server = await Server.forTest(t, { config: { auth, exports: { E: { scope: 'owner' } } } });
  const as = (...row_scopes) => ({ headers: bearer(tokenOf(key, { scope: 'read write', row_scopes })) });
  const { headers } = as();
  for (const mutations of [
    [m('a', { owner: 'ann', n: 1 }), m('b', { owner: 'bob', n: 1 }), m('all', { n: 1 })],
    [m('a', { n: 2 }), m('b', { n: 2 })],
    [m('a', { owner: 'bob' })],
    [{ export: 'E', key: 'b', op: 'delete' }],
  ]) assert.equal((await tryPost(server, mutations, headers)).status, 200);
  const seen = async (...scopes) => brief(await read(server, {}, { ...as(...scopes), size: () => 1 })).map(([op, name]) => `${op} ${name}`);
  assert.deepEqual(await seen(), ['patch all']);
  assert.deepEqual(await seen('ann'), ['patch a', 'patch all', 'patch a', 'delete a']);
  assert.deepEqual(await seen('bob'), ['patch b', 'patch all', 'patch b', 'upsert a', 'delete b']);
  const { cursor } = await page(server, { take: 2 }, as('ann'));
  assert.equal((await page(server, { after: cursor }, as('ann'))).resumed, true);
  assert.equal((await page(server, { after: cursor }, as('bob'))).resumed, false, 'a cursor of other rows');
  assert.equal((await get(server, { events: 1, until: cursor }, as('bob'))).status, 400);
  assert.equal((await get(server, { events: 1 })).json.code, 'token-missing');
});

test('a trimmed log says so, once, and goes on from its earliest event', async (t) => {
  const server = await Server.forTest(t, { set: { retention_rows: 20 } });
  await post(server, m('first', { n: -1 }));
  const { cursor, epoch } = await page(server);
  for (let i = 0; i < 30; i++) await post(server, range(5, (j) => m(`k${j}`, { n: 5 * i + j })));
  const late = await page(server, { after: cursor });
  assert.equal(late.resumed, false);
  assert.ok(late.earliest > 100, `${late.earliest}`);
  assert.equal(late.events[0].offset, late.earliest);
  assert.equal(late.events.at(-1).data.n, 149);
  for (const after of [`${epoch}:99999`, 'f0e0d0c0-0000-4000-8000-000000000000:3']) assert.equal((await page(server, { after })).resumed, false, after);
});

test('an export that was never fed has no events, and its cursor is good when others are fed', async (t) => {
  const server = await Server.forTest(t);
  await post(server, { ...m('o', {}), export: 'Other' });
  const { cursor, events, more } = await page(server);
  assert.deepEqual([events, more], [[], false]);
  await post(server, [{ ...m('o', {}), export: 'Other' }, m('a', { n: 1 })]);
  const next = await page(server, { after: cursor });
  assert.deepEqual([next.resumed, brief(next)], [true, [['patch', 'a', { n: 1 }]]]);
});

test('what is no history is refused, and says why', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: { views: { top: { pipeline: [{ sort: { by: 'n' } }] } } } } }, set: { max_window_rows: 500 } });
  await post(server, m('a', { n: 1 }));
  const { cursor } = await page(server);
  for (const [parameters, says, view] of [
    [{ events: 1 }, /'events' is for append views.*'E\/list' shows rows.*'E\/append'/, 'E/list'],
    [{ events: 1, after: 'x' }, /'events' is for append views/, 'E/top'],
    [{ events: 1 }, /'events' is for append views/, 'E/state'],
    [{ events: 2 }, /'events' is '2'/],
    [{ events: 1, after: 'x' }, /'after' is 'x'.*'cursor'/],
    [{ events: 1, until: 'x' }, /'until' is 'x'/],
    [{ events: 1, until: '' }, /'until' is no cursor/],
    [{ events: 1, until: `no${cursor}` }, /another database/],
    [{ events: 1, skip: 1 }, /'skip' is not for events/],
    [{ events: 1, take: 501 }, /'take' is 501.*max_window_rows/],
    [{ events: 1, sort: '["n"]' }, /'sort' is not for view/],
    [{ events: 1, where: '{"field":"n","gt":{"now":true}}' }, /'now' is not for view/],
    [{ until: cursor }, /'until' is for events=1/],
    [{ events: 1, until: cursor, wait: 1 }, /'until' is for events=1/],
    [[['events', 1], ['events', 1]], /'events' is given twice/],
    [{ events: 1 }, /'events' is not for a live stream/, 'E/append/live'],
    [{ until: cursor }, /'until' is not for a live stream/, 'E/append/live'],
  ]) {
    const answer = await get(server, parameters, { view });
    assert.deepEqual([answer.status, answer.json.code], [400, 'invalid-parameter'], `${JSON.stringify(parameters)}: ${answer.text}`);
    assert.match(answer.json.message, says);
  }
  assert.equal((await get(server, { events: 1 }, { view: 'E/nothing' })).status, 404);
  assert.deepEqual((await get(server, { events: 0 })).json.rows.map((row) => row.key), ['a'], 'events=0 reads rows');
});

test('limits: rows of a token, and how much of the log one answer passes', async (t) => {
  const server = await Server.forTest(t, { set: { max_snapshot_rows: 30, max_filter_rows: 1000 } });
  await post(server, range(4000, (i) => m(`k${i}`, { n: i, rare: i === 3777 })));
  const refused = await get(server, { events: 1, take: 31 });
  assert.deepEqual([refused.status, refused.json.code], [429, 'snapshot-limit-exceeded'], refused.text);
  assert.equal((await page(server, { take: 30 })).events.length, 30);
  let pages = 0;
  const { events } = await read(server, { filter: 'rare:true' }, { size: () => 30, between: () => { pages++; } });
  assert.deepEqual(events.map(({ data }) => data.n), [3777]);
  assert.ok(pages >= 2, 'a page without an event, and with more');
});

test('the tag stands for the answer, HEAD has no body, and long answers are compressed', async (t) => {
  const server = await Server.forTest(t);
  await post(server, range(50, (i) => m(`k${i}`, { n: i })));
  const first = await get(server, { events: 1, take: 5 });
  const { etag } = first.headers;
  const again = (parameters) => get(server, { events: 1, ...parameters }, { headers: { 'if-none-match': etag } });
  assert.equal((await again({ take: 5 })).status, 304);
  assert.equal((await again({ take: 6 })).status, 200);
  assert.equal((await again({ take: 5, after: first.json.cursor })).status, 200);
  assert.equal((await again({ take: 5, events: 0 })).status, 400, 'take is not for rows of an append view');
  const head = await get(server, { events: 1, take: 5 }, { method: 'HEAD' });
  assert.deepEqual([head.status, head.text, head.headers.etag], [200, '', etag]);
  await post(server, m('more', { n: 50 }));
  assert.equal((await again({ take: 5 })).status, 200);
  const packed = await fetch(`${server.http}/v1/views/E/append?events=1`, { headers: { 'accept-encoding': 'gzip' } });
  assert.equal(packed.headers.get('content-encoding'), 'gzip');
  assert.equal((await packed.json()).events.length, 51);
});

test('a request that waits is answered by the next event of what it asks for', async (t) => {
  const server = await Server.forTest(t);
  await post(server, range(5, (i) => m(`k${i}`, { n: i })));
  const { cursor } = await page(server);
  assert.equal((await page(server, { wait: 30, take: 3 })).events.length, 3, 'without a cursor there is something');
  const silent = await page(server, { after: cursor, wait: 1 });
  assert.deepEqual([silent.events, silent.resumed], [[], true]);
  let answered = false;
  const waiting = page(server, { after: cursor, wait: 30, key: 'k3', take: 2 }).then((it) => ((answered = true), it));
  await eventually(async () => Number(/^stele_subscriptions_active (\d+)$/m.exec((await server.get('/metrics')).text)?.[1]) > 0, 'it watches');
  await post(server, m('k1', { n: 6 }));
  await post(server, { ...m('o', {}), export: 'Other' });
  assert.equal(answered, false, 'of another key');
  await post(server, { export: 'E', key: 'k3', op: 'delete' });
  const it = await within(waiting, 'the answer');
  assert.deepEqual([brief(it), it.resumed], [[['delete', 'k3', null]], true]);
});

/* ---- the command ---- */

test('stele events prints a history, page by page, and says what is wrong', async (t) => {
  const server = await Server.forTest(t);
  await post(server, range(25, (i) => m(`k/${i % 3} é`, { n: i, name: `x=${i % 2}` })));
  const all = (await read(server)).events;
  const printed = async (...args) => {
    const { code, stdout, stderr } = await run(['events', 'E/append', '--url', server.http, ...args]);
    assert.equal(code, 0, stderr);
    return stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  };
  const { epoch } = await page(server);
  assert.deepEqual(await printed('--page', '4'), all);
  assert.deepEqual(await printed('--page', '4', '--count', '9'), all.slice(0, 9));
  assert.deepEqual(await printed('--after', `${epoch}:20`, '--until', `${epoch}:23`), all.slice(20, 23));
  assert.deepEqual(await printed('--key', 'k/1 é', '--page', '2'), all.filter(({ data }) => data.n % 3 === 1));
  assert.deepEqual(await printed('--filter', 'name=x=1', '--where', '{"field":"n","lt":5}'), all.filter(({ data }) => data.n < 5 && data.n % 2));
  for (const [args, code, says] of [
    [['E/list'], 1, /'events' is for append views/], [['E/append', '--after', `${epoch}:99`], 1, /does not reach back/],
    [['E/append', '--follow', '--until', 'x'], 2, /--until/], [['E/append', '--filter', 'a:b=c'], 2, /colon/], [[], 2, /view/i],
  ]) {
    const ended = await run(['events', ...args, '--url', server.http]);
    assert.equal(ended.code, code, ended.stderr);
    assert.match(ended.stderr, says);
  }
});

test('stele events --follow goes on with what is fed', async (t) => {
  const server = await Server.forTest(t);
  await post(server, [m('a', { n: 0 }), m('a', { n: 1 })]);
  const child = spawn(BINARY, ['events', 'E/append', '--url', server.http, '--follow', '--count', '5'], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const numbers = [];
  const reading = (async () => {
    for await (const line of createInterface({ input: child.stdout })) {
      numbers.push(JSON.parse(line).data.n);
      if (numbers.length === 2) await post(server, m('b', { n: 2 }));
      if (numbers.length === 3) await post(server, [m('b', { n: 3 }), m('c', { n: 4 }), m('c', { n: 5 })]);
    }
  })();
  await within(reading, 'the end');
  assert.deepEqual(numbers, [0, 1, 2, 3, 4]);
});
