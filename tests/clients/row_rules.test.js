// Row scoping, rule by rule: docs/views.md, "Who sees which rows".

import assert from 'node:assert/strict';
import test from 'node:test';
import { Applier } from './lib/applier.js';
import { Client } from './lib/client.js';
import { http, lines } from './lib/feed.js';
import { Server, sql } from './lib/server.js';

const WRITER = 'writer-0123456789abcdef';
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const tokenOf = (name) => `token-${name}-0123456789abcdef`;
const m = (key, patch, more = {}) => ({ export: 'A', key, patch, ...more });

/** tokens: name → what its object in the configuration adds. */
function configOf(tokens, exports = { A: { scope: 'who' } }, more = {}) {
  const list = Object.entries(tokens).map(([name, extra]) => ({ token: tokenOf(name), subject: 'reader', scope: 'read', ...extra }));
  return { exports, auth: { mode: 'static', tokens: [{ token: WRITER, scope: 'write' }, ...list] }, ...more };
}

const TOKENS = { nobody: {}, ann: { row_scopes: ['ann'] }, both: { row_scopes: ['ann', 'bob'] } };

async function feed(server, mutations) {
  const answer = await http(`${server.http}/v1/mutations?token=${WRITER}`, { method: 'POST', body: lines(mutations), headers: { 'content-type': 'application/x-ndjson' } });
  assert.equal(answer.status, 200, answer.text);
}

async function clientOf(t, server, name, options) {
  const client = await Client.open(server, { path: `/?token=${tokenOf(name)}`, ...options });
  t.after(() => client.destroy());
  return client;
}

const get = (server, name, path) => http(`${server.http}${path}${path.includes('?') ? '&' : '?'}token=${tokenOf(name)}`);
const keysOf = async (client, view, parameters = {}) => {
  client.subscribe(view, parameters);
  const frames = await client.until((f) => (f.op === 'snapshot' && f.complete) || f.type === 'error');
  assert.equal(frames.at(-1).type, undefined, JSON.stringify(frames.at(-1)));
  return frames.filter((f) => f.op === 'snapshot').flatMap((f) => f.data.map((row) => row.key)).sort();
};
const short = ({ op, key, data }) => (data ? `${op} ${key} ${JSON.stringify(data.n)}` : `${op} ${key}`);

test('a value is for those who list it; absent, null and empty for all; any other type for nobody', async (t) => {
  const views = { sorted: { pipeline: [{ sort: 'n' }] }, slim: { fields: ['n'] }, one: { pipeline: [{ sort: 'n' }], output: { keyed_by: 'n' } } };
  const server = await Server.forTest(t, { config: configOf({ ...TOKENS, odd: { row_scopes: ['7', 'true', 'null', '{}', '', 'ANN', '*', '!', '"ann"'] } }, { A: { scope: 'who', views } }) });
  const values = { none: undefined, null: null, empty: '', ann: 'ann', bob: 'bob', carl: 'carl', seven: 7, yes: true, object: {}, list: ['ann'] };
  await feed(server, Object.entries(values).map(([key, who], n) => m(key, { n, who })));
  const open = ['empty', 'none', 'null'];
  const wanted = { nobody: open, ann: ['ann', ...open], both: ['ann', 'bob', ...open], odd: open };
  for (const [name, keys] of Object.entries(wanted)) {
    const client = await clientOf(t, server, name);
    for (const view of ['A/list', 'A/append', 'A/sorted', 'A/slim']) assert.deepEqual(await keysOf(client, view), keys, `${view} for ${name}`);
    assert.deepEqual(await keysOf(client, 'A/list', { filters: { who: 'ann' } }), keys.filter((key) => key === 'ann'));
    assert.deepEqual(await keysOf(client, 'A/list', { filters: { who: 7 } }), []);
    for (const [n, key] of Object.keys(values).entries()) {
      const seen = keys.includes(key) ? [key] : [];
      assert.deepEqual(await keysOf(client, 'A/state', { key }), seen);
      assert.deepEqual(await keysOf(client, 'A/one', { key: String(n) }), seen.map(() => String(n)));
    }
    for (const view of ['A/list', 'A/sorted', 'A/append']) {
      const answer = await get(server, name, `/v1/views/${view}`);
      assert.deepEqual(answer.json.rows.map((row) => row.key).sort(), keys, answer.text);
    }
  }
});

test('a row that comes into sight comes whole, one that goes is deleted, and nothing is told of the others', async (t) => {
  const server = await Server.forTest(t, { config: configOf(TOKENS, { A: { scope: 'who', views: { sorted: { pipeline: [{ sort: 'n' }] } } } }) });
  await feed(server, [m('x', { n: 1, l: [1], who: 'bob' })]);
  const watch = async (name, view) => {
    const client = await clientOf(t, server, name, { windows: true });
    await keysOf(client, view);
    return client;
  };
  const ann = await Promise.all(['A/list', 'A/append', 'A/sorted'].map((view) => watch('ann', view)));
  const both = await watch('both', 'A/append');
  const steps = [
    [m('x', { n: 2 }), null],
    [m('y', { n: 3, who: 'bob' }), null],
    [m('x', { n: 4, who: 'ann' }), 'upsert x 4'],
    [m('x', { n: 5, who: null }), 'upsert x 5'],
    [m('x', { n: 6, who: 8 }), 'delete x'],
    [m('x', { n: 7 }), null],
    [{ export: 'A', key: 'y', op: 'delete' }, null],
    [{ export: 'A', key: 'x', op: 'delete' }, null],
    [m('x', { n: 9, who: 'ann' }), /^(upsert|patch) x 9$/],
    [{ export: 'A', key: 'x', op: 'upsert', patch: { n: 10, who: 'bob' } }, 'delete x'],
  ];
  for (const [mutation, wanted] of steps) {
    await feed(server, [mutation]);
    for (const client of ann) {
      if (wanted) {
        const got = short(await client.next(`${wanted} after ${JSON.stringify(mutation)}`));
        if (wanted instanceof RegExp) assert.match(got, wanted);
        else assert.equal(got, wanted);
      }
      await client.silence();
    }
  }
  /* Who sees both sides of a move gets the row whole. */
  const told = [];
  while (both.read < both.messages.length) told.push(short(await both.next()));
  assert.deepEqual(told, ['patch x 2', 'patch y 3', 'upsert x 4', 'upsert x 5', 'delete x', 'delete y', 'patch x 9', 'upsert x 10']);
});

test('events that are told again hold nothing of what the row became out of sight', async (t) => {
  const server = await Server.forTest(t, { config: configOf(TOKENS, { A: { scope: 'who', views: { some: { mode: 'append', fields: ['l', 'n'] } } } }, { max_array_length: 3, ring_bytes: 0 }) });
  const append = { append: ['l'] };
  await feed(server, [m('x', { n: 1, l: [1], who: 'ann' })]);
  const views = ['A/append', 'A/some'];
  const cursors = new Map();
  for (const view of views) {
    const client = await clientOf(t, server, 'ann');
    client.subscribe(view);
    const frames = await client.until((f) => f.op === 'snapshot' && f.complete);
    cursors.set(view, { after: frames.at(-1).seq, epoch: frames[0].epoch });
    client.destroy();
  }
  /* The array gets as long as arrays may be, so that it is told whole: as it was, not as it is. */
  await feed(server, [m('x', { l: [2] }, append), m('x', { n: 2, l: [3] }, append)]);
  await feed(server, [m('x', { l: ['secret', 'secret', 'secret'], who: 'bob' }), m('x', { n: 'secret' }), m('y', { n: 'secret', who: 'bob' })]);
  const resume = async (name, view) => {
    const client = await clientOf(t, server, name);
    client.subscribe(view, cursors.get(view));
    const frames = await client.until((f) => f.op === 'snapshot' && f.complete);
    client.destroy();
    return frames;
  };
  for (const view of views) {
    const frames = await resume('ann', view);
    assert.equal(frames[0].resumed, true);
    assert.deepEqual(frames.map(({ op }) => op), ['subscribed', 'patch', 'patch', 'delete', 'snapshot']);
    assert.doesNotMatch(JSON.stringify(frames), /secret/);
  }
  /* Back in sight it comes whole, as it is; what happened meanwhile does not. */
  await feed(server, [m('x', { n: 'secret', l: ['secret'] }, append), m('x', { n: 9, l: [9], who: 'ann' }), m('x', { l: [10] }, append)]);
  for (const view of views) {
    const frames = await resume('ann', view);
    assert.deepEqual(frames.map(({ op }) => op), ['subscribed', 'patch', 'patch', 'delete', 'upsert', 'patch', 'snapshot']);
    assert.deepEqual([frames[4].data.n, frames[4].data.l, frames[5].data.l, frames[5].append], [9, [9], [10], ['l']]);
    assert.doesNotMatch(JSON.stringify(frames.slice(3)), /secret/);
  }
});

test('events under a filter hold nothing of what happens out of sight, in one transaction too', async (t) => {
  const server = await Server.forTest(t, { config: configOf(TOKENS) });
  await feed(server, [m('x', { n: 1, b: true, who: 'ann' }), m('y', { n: 1, b: true, who: 'ann' })]);
  const client = await clientOf(t, server, 'ann', { windows: true });
  assert.deepEqual(await keysOf(client, 'A/append', { filters: { b: true } }), ['x', 'y']);
  await feed(server, [m('x', { n: 2 }), m('x', { who: 'bob' }), m('x', { n: 'secret' }), m('x', { n: 3, who: null }), m('x', { n: 4 })]);
  await feed(server, [m('y', { who: 'bob' }), m('y', { n: 'secret' }), m('z', { n: 'secret', b: true, who: 'bob' })]);
  await feed(server, [m('x', { n: 5 })]);
  const frames = await client.until((f) => f.data?.n === 5);
  assert.deepEqual(frames.map(short).sort(), ['delete x', 'delete y', 'patch x 2', 'patch x 4', 'patch x 5', 'upsert x 3']);
  assert.doesNotMatch(JSON.stringify(frames), /secret/);
});

test('what is not seen leaves no trace: keys, deletes, counts, views', async (t) => {
  const server = await Server.forTest(t, { config: configOf({ ...TOKENS, narrow: { views: ['A/li*'] } }, { A: { scope: 'who' }, B: {} }) });
  await feed(server, [m('secret', { n: 1, who: 'bob' }), m('gone', { n: 1, who: 'bob' }), m('old', { n: 1 }), { export: 'B', key: 'b', patch: {} }]);
  await feed(server, [{ export: 'A', key: 'gone', op: 'delete' }, { export: 'A', key: 'old', op: 'delete' }]);
  /* Deletes told with a snapshot: those of rows that were seen. */
  for (const [name, keys] of [['ann', ['old']], ['both', ['gone', 'old']]]) {
    const client = await clientOf(t, server, name);
    client.subscribe('A/list');
    const frames = await client.until((f) => f.op === 'snapshot' && f.complete);
    assert.deepEqual(frames.filter((f) => f.op === 'delete').map((f) => f.key).sort(), keys, name);
  }
  /* One key: the same whether it is hidden, was, or never was. */
  const answers = [];
  for (const key of ['secret', 'gone', 'never']) {
    const client = await clientOf(t, server, 'ann');
    client.subscribe('A/state', { key });
    const frames = await client.until((f) => f.op === 'snapshot' && f.complete);
    answers.push(JSON.stringify(frames).replaceAll(key, 'KEY'));
  }
  assert.equal(new Set(answers).size, 1, answers.join('\n'));
  const list = (await get(server, 'ann', '/v1/views')).json.views;
  assert.equal(list.find(({ id }) => id === 'A/list').rows, undefined);
  assert.equal(list.find(({ id }) => id === 'B/list').rows, 1);
  /* A view outside of the token's is as one that is not there. */
  assert.deepEqual((await get(server, 'narrow', '/v1/views')).json.views.map(({ id }) => id), ['A/list']);
  const client = await clientOf(t, server, 'narrow');
  const errors = [];
  for (const view of ['A/append', 'Z/append']) {
    client.subscribe(view);
    errors.push(JSON.stringify(await client.expect('error')).replaceAll(view, 'VIEW'));
    errors.push((await get(server, 'narrow', `/v1/views/${view}`)).text.replaceAll(view, 'VIEW'));
  }
  assert.equal(errors[0], errors[2]);
  assert.equal(errors[1], errors[3]);
  assert.match(errors[0], /view-not-found/);
  assert.deepEqual(await keysOf(client, 'A/list'), []);
});

test("a view's own cut is over all rows, a subscription's over those that are seen", async (t) => {
  const views = {
    sorted: { pipeline: [{ sort: { by: 'n', order: 'desc' } }] },
    top: { source: 'A/sorted', pipeline: [{ take: 4 }] },
    over: { source: 'A/top', pipeline: [{ sort: 'n' }] },
    best: { pipeline: [{ max_by: 'n' }], output: 'single' },
  };
  const server = await Server.forTest(t, { config: configOf(TOKENS, { A: { scope: 'who', views } }) });
  await feed(server, range(10, (n) => m(`k${n}`, { n, who: n % 2 ? 'bob' : undefined })));
  const ann = await clientOf(t, server, 'ann');
  assert.deepEqual(await keysOf(ann, 'A/sorted', { take: 3 }), ['k4', 'k6', 'k8']);
  assert.deepEqual(await keysOf(ann, 'A/sorted', { take: 2, skip: 1 }), ['k4', 'k6']);
  assert.deepEqual(await keysOf(ann, 'A/list', { take: 2, skip: 1 }), ['k4', 'k6']);
  assert.deepEqual(await keysOf(ann, 'A/top'), ['k6', 'k8']);
  assert.deepEqual(await keysOf(ann, 'A/top', { take: 1, skip: 1 }), ['k6']);
  assert.deepEqual(await keysOf(ann, 'A/best'), []);
  /* What is near the ends of a window, or came and went because of others, is told to who resumes,
   * but only what is seen. */
  const resume = async (view, parameters) => {
    const client = await clientOf(t, server, 'ann', { windows: true });
    client.subscribe(view, { take: 1, ...parameters });
    const frames = await client.until((f) => f.op === 'snapshot' && f.complete);
    client.destroy();
    return frames;
  };
  const cursors = new Map();
  for (const view of ['A/top', 'A/over', 'A/sorted']) {
    const frames = await resume(view);
    cursors.set(view, { after: frames.at(-1).seq, epoch: frames[0].epoch });
  }
  /* k3 comes into the four best. */
  await feed(server, [m('k9', { n: -1 }), m('k7', { n: -2 }), m('k5', { n: -3 })]);
  for (const [view, cursor] of cursors) {
    const frames = await resume(view, cursor);
    assert.equal(frames[0].resumed, true);
    for (const { op, key } of frames) assert.ok(op !== 'delete' || !['k1', 'k3', 'k5', 'k7', 'k9'].includes(key), `${view} told of ${key}`);
    assert.doesNotMatch(JSON.stringify(frames), /"k[13579]"/);
  }
});

test('a cursor of another token, or of another scope field, is refused; what was noted by that is forgotten', async (t) => {
  const exports = { A: { scope: 'who' } };
  const config = configOf(TOKENS, exports);
  const server = await Server.forTest(t, { config });
  await feed(server, [m('a', { who: 'ann', team: 'bob' }), m('b', { who: 'bob', team: 'ann' }), m('c', {}), m('d', { who: 'ann', team: 'carl' })]);
  const open = async (name, parameters) => {
    const client = await clientOf(t, server, name);
    client.subscribe('A/list', parameters);
    const frames = await client.until((f) => f.op === 'snapshot' && f.complete);
    client.destroy();
    const rows = frames.filter((f) => f.op === 'snapshot').flatMap((f) => f.data.map((row) => row.key)).sort();
    return { epoch: frames[0].epoch, resumed: frames[0].resumed, seq: frames.at(-1).seq, rows, deletes: frames.filter((f) => f.op === 'delete').map((f) => f.key) };
  };
  const first = await open('both');
  assert.deepEqual(first.rows, ['a', 'b', 'c', 'd']);
  const cursor = { after: first.seq, epoch: first.epoch };
  assert.deepEqual((await open('both', cursor)).resumed, true);
  const other = await open('ann', cursor);
  assert.deepEqual([other.resumed, other.rows], [false, ['a', 'c', 'd']]);
  const [tagged, foreign] = [await get(server, 'both', '/v1/views/A/list'), await get(server, 'ann', '/v1/views/A/list')];
  assert.notEqual(tagged.headers.etag, foreign.headers.etag);
  assert.equal((await get(server, 'ann', `/v1/views/A/list?after=${first.seq}&epoch=${first.epoch}`)).json.resumed, false);
  assert.equal((await get(server, 'both', `/v1/views/A/list?after=${first.seq}&epoch=${first.epoch}`)).json.resumed, true);
  /* Alone, it is nobody's: `b` would be missing from what another token sees, or `d` stay. */
  for (const name of ['nobody', 'ann', 'both']) {
    const alone = await open(name, { after: first.seq });
    assert.deepEqual([alone.resumed, alone.rows], [false, (await open(name)).rows], name);
    assert.equal((await get(server, name, `/v1/views/A/list?after=${first.seq}`)).json.resumed, false);
  }
  await feed(server, [{ export: 'A', key: 'd', op: 'delete' }]);
  assert.deepEqual((await open('ann')).deletes, ['d']);
  await server.terminate();
  await server.restart({ config: configOf(TOKENS, { A: { scope: ['team'] } }) });
  const moved = await open('both', cursor);
  assert.deepEqual([moved.resumed, moved.rows], [false, ['a', 'b', 'c']]);
  /* Without an epoch too, and `d` was for another. */
  assert.deepEqual(await open('ann', { after: first.seq }), { ...(await open('ann')), resumed: false });
  const now = await open('ann');
  assert.deepEqual([now.rows, now.deletes], [['b', 'c'], []]);
  /* The field stays: cursors do. */
  await feed(server, [m('c', { n: 1 })]);
  const last = await open('ann');
  await server.terminate();
  await server.restart();
  assert.equal((await open('ann', { after: last.seq, epoch: last.epoch })).resumed, true);
});

test('a new token in band: the rows change, whatever was subscribed to', async (t) => {
  const views = { sorted: { pipeline: [{ sort: 'n' }] } };
  const server = await Server.forTest(t, { config: configOf({ ...TOKENS, narrow: { row_scopes: ['bob'], views: ['A/list', 'B/*'] } }, { A: { scope: 'who', views }, B: {} }) });
  await feed(server, [m('a', { n: 1, who: 'ann' }), m('b', { n: 2, who: 'bob' }), m('c', { n: 3 }), { export: 'B', key: 'b', patch: { n: 1 } }]);
  const client = await clientOf(t, server, 'ann', { windows: true });
  for (const [view, parameters] of [['A/list'], ['A/list', { key: 'a' }], ['A/append'], ['A/sorted'], ['B/list']]) await keysOf(client, view, parameters);
  /* The subscription to a key states once more how its row is, or that it is gone, when the list beside it is live. */
  let seesIt = false;
  const isAgain = (f) => (f.op === 'delete' || (f.op === 'upsert' && seesIt)) && f.entity === 'A/list' && f.key === 'a';
  const next = async () => {
    let frame = await client.next();
    while (isAgain(frame)) frame = await client.next();
    return frame;
  };
  const become = async (name, snapshots) => {
    seesIt = name === 'both';
    client.send({ type: 'refresh_auth', token: tokenOf(name) });
    assert.equal((await next()).success, true);
    const frames = [];
    while (frames.filter((f) => f.op === 'snapshot').length < snapshots) frames.push(await client.next(`snapshots for ${name}`));
    await client.silence(isAgain);
    return frames;
  };
  const of = (frames, view) => frames.filter((f) => f.entity === view);
  let frames = await become('both', 4);
  assert.ok(frames.filter((f) => f.op === 'subscribed').every((f) => f.resumed === false && f.view !== 'B/list'));
  assert.deepEqual(of(frames, 'A/sorted').map((f) => f.op), ['snapshot']);
  assert.deepEqual(of(frames, 'A/sorted')[0].data.map((row) => row.key), ['a', 'b', 'c']);
  frames = await become('nobody', 4);
  assert.deepEqual(of(frames, 'A/sorted').slice(0, -1).map(short).sort(), ['delete a', 'delete b']);
  assert.deepEqual(of(frames, 'A/append').slice(0, -1).map(short).sort(), ['delete a', 'delete b']);
  assert.deepEqual(of(frames, 'A/append').at(-1).data.map((row) => row.key), ['c']);
  /* The same rows: nothing happens but the answer. */
  client.send({ type: 'refresh_auth', token: tokenOf('nobody') });
  assert.equal((await next()).success, true);
  await client.silence(isAgain);
  /* Views that it does not show are ended. */
  frames = await become('narrow', 2);
  assert.deepEqual(frames.filter((f) => f.type === 'error').map((f) => f.code), ['view-not-found', 'view-not-found']);
  await feed(server, [m('b', { n: 7 }), m('a', { n: 8 }), { export: 'B', key: 'b', patch: { n: 2 } }]);
  assert.deepEqual([short(await next()), short(await next())].sort(), ['patch b 2', 'patch b 7']);
  await client.silence(isAgain);
});

test('a row that both tokens show goes when it is deleted, also for who is not sent it anew', async (t) => {
  const server = await Server.forTest(t, { config: configOf(TOKENS) });
  for (const view of ['A/list', 'A/append']) {
    for (const parameters of [{ withSnapshot: false }, { snapshotLimit: 1 }]) {
      const client = await clientOf(t, server, 'nobody');
      client.subscribe(view, parameters);
      await client.expect('subscribed');
      if (parameters.snapshotLimit) await client.until((frame) => frame.complete);
      await feed(server, ['a', 'b', 'c'].map((key, n) => m(key, { n })));
      for (let i = 0; i < 3; i++) await client.next('a row of both tokens');
      client.send({ type: 'refresh_auth', token: tokenOf('ann') });
      assert.equal((await client.next()).success, true);
      assert.equal((await client.expect('subscribed')).resumed, false);
      await client.until((frame) => frame.complete);
      await feed(server, [m('a', undefined, { op: 'delete' }), m('b', { n: 7 }), m('c', undefined, { op: 'delete' })]);
      const frames = [];
      for (let i = 0; i < 3; i++) frames.push(short(await client.next(`${i}: ${view} ${JSON.stringify(parameters)}`)));
      assert.deepEqual(frames, ['delete a', 'upsert b 7', 'delete c'], `${view} ${JSON.stringify(parameters)}`);
      client.destroy();
      await feed(server, [m('b', undefined, { op: 'delete' })]);
    }
  }
});

/* ---- another token before the first answer ---- */

/** All messages in one piece, so that the server has the last before it answers the first. */
function sendAtOnce(client, messages) {
  client.socket.tcp.cork();
  for (const message of messages) client.send(message);
  client.socket.tcp.uncork();
}

/** What comes, up to the snapshot for `token`, into the rows of a client that keeps them whatever
 * `resumed` says. True when the old token was answered with no rows. */
async function becomeAtOnce(client, applier, messages, token) {
  sendAtOnce(client, [...messages, { type: 'refresh_auth', token: tokenOf(token) }]);
  const frames = await client.until((frame) => frame.op === 'subscribed' && frame.resumed === false);
  frames.push(...(await client.until((frame) => frame.op === 'snapshot' && frame.complete)));
  for (const { resumed: _, ...frame } of frames.filter((frame) => frame.op)) applier.apply(frame);
  return frames.filter((frame) => frame.op === 'snapshot' && frame.complete).length === 1;
}

const ANNS = range(6, (i) => m(`a${i}`, { n: i, who: 'ann' }));
const EVERYBODYS = range(6, (i) => m(`p${i}`, { n: 10 + i }));
const SORTED = { A: { scope: 'who', views: { sorted: { pipeline: [{ sort: 'n' }] } } } };
const heldBy = (applier) => [...applier.rows.keys()].sort();
const first = (n) => range(n, (i) => `p${i}`);

/** Rows that somebody keeps of a window, by the number of them. */
async function keepRows(t, server, view) {
  const kept = new Map();
  for (const take of [1, 2, 3, 4, 5, 6]) {
    const client = await clientOf(t, server, 'ann', { windows: true });
    const applier = new Applier({ resume: false });
    client.subscribe(view, { take });
    for (const frame of await client.until((f) => f.complete)) applier.apply(frame);
    kept.set(take, { client, applier });
  }
  return kept;
}

for (const end of ['terminate', 'kill9']) {
  for (const view of ['A/sorted', 'A/list']) {
    test(`another token before the first answer takes away what was kept over a restart: ${view}, ${end}`, async (t) => {
      const server = await Server.forTest(t, { config: configOf(TOKENS, SORTED) });
      await feed(server, view === 'A/list' ? [...EVERYBODYS].reverse().concat([...ANNS].reverse()) : [...ANNS, ...EVERYBODYS]);
      const kept = await keepRows(t, server, view);
      const written = "SELECT (SELECT count(*) FROM watched_row) = 21 AND value >= (SELECT last_change FROM log_state) AS done FROM meta WHERE name = 'watched_change'";
      while (end === 'kill9' && !(await sql(server.db, written))[0]?.done) await new Promise((done) => setTimeout(done, 50));
      await server[end]();
      await server.restart();
      await feed(server, [m('a0', undefined, { op: 'delete' }), m('a1', { who: 'bob' }), m('a2', { n: 90 })]);
      let early = 0;
      for (const [take, { applier }] of kept) {
        const client = await clientOf(t, server, 'ann', { windows: true });
        early += await becomeAtOnce(client, applier, [{ type: 'subscribe', view, take }], 'nobody');
        assert.deepEqual(heldBy(applier), first(take), `take ${take}`);
      }
      assert.ok(early > 0, 'each was answered before it had another token');
    });
  }
}

for (const [name, view, begin, ended] of [
  ['a window that it was about to leave', 'A/sorted', { take: 1, skip: 5 }, false],
  ['a window of before the connection, besides', 'A/list', { take: 1, skip: 5 }, true],
  ['a list that was ended', 'A/list', {}, true],
]) {
  test(`another token before the first answer takes away what was kept of ${name}`, async (t) => {
    const server = await Server.forTest(t, { config: configOf(TOKENS, SORTED) });
    await feed(server, view === 'A/list' ? [...EVERYBODYS].reverse().concat([...ANNS].reverse()) : [...ANNS, ...EVERYBODYS]);
    const kept = await keepRows(t, server, view);
    let early = 0;
    for (const [take, { applier }] of kept) {
      const client = await clientOf(t, server, 'ann', { windows: true });
      client.subscribe(view, begin);
      for (const frame of await client.until((f) => f.complete)) applier.apply(frame);
      const leave = ended ? [{ type: 'unsubscribe', view }] : [];
      early += await becomeAtOnce(client, applier, [...leave, { type: 'subscribe', view, take }], 'nobody');
      assert.deepEqual(heldBy(applier), first(take), `take ${take}`);
    }
    assert.ok(early > 0, 'each was answered before it had another token');
  });
}

for (const [name, view, begin] of [
  ['a list', 'A/list', {}],
  ['a window', 'A/list', { take: 3 }],
  ['a derived view', 'A/sorted', {}],
]) {
  test(`what came to the old token's scope after the token went is never named: ${name} that was ended`, async (t) => {
    const server = await Server.forTest(t, { config: configOf(TOKENS, SORTED) });
    await feed(server, [...EVERYBODYS, ...ANNS]);
    const client = await clientOf(t, server, 'ann', { windows: true });
    const applier = new Applier({ resume: false });
    client.subscribe(view, begin);
    for (const frame of await client.until((f) => f.complete)) applier.apply(frame);
    client.send({ type: 'unsubscribe', view });
    client.send({ type: 'refresh_auth', token: tokenOf('nobody') });
    await client.until((f) => f.success);
    await feed(server, [m('born-later', { n: 3, who: 'ann' }), m('born-and-gone', { n: 3, who: 'ann' }), m('a1', { n: 33 })]);
    await feed(server, [m('born-and-gone', undefined, { op: 'delete' }), m('a2', undefined, { op: 'delete' })]);
    client.subscribe(view, { take: 5 });
    const frames = await client.until((f) => f.op === 'snapshot' && f.complete);
    for (const { resumed: _, ...frame } of frames.filter((frame) => frame.op)) applier.apply(frame);
    assert.doesNotMatch(JSON.stringify(frames), /born/, 'only what the client had is named');
    assert.deepEqual(heldBy(applier).filter((key) => key.startsWith('a')), [], 'and all of that goes');
  });
}

test('the rows of a new token are limited as those of any snapshot', async (t) => {
  const views = { sorted: { pipeline: [{ sort: 'n' }] } };
  const server = await Server.forTest(t, { config: configOf(TOKENS, { A: { scope: 'who', views } }, { max_snapshot_rows: 2 }) });
  await feed(server, [m('a', { n: 1 }), m('b', { n: 2 }), m('c', { n: 3, who: 'ann' })]);
  for (const [view, parameters] of [['A/list'], ['A/list', { take: 3 }], ['A/sorted'], ['A/append']]) {
    const client = await clientOf(t, server, 'nobody', { windows: true });
    assert.deepEqual(await keysOf(client, view, parameters), ['a', 'b']);
    client.send({ type: 'refresh_auth', token: tokenOf('ann') });
    assert.equal((await client.next()).success, true);
    await client.expect('subscribed');
    assert.equal((await client.expect('error')).code, 'snapshot-limit-exceeded', `${view} ${JSON.stringify(parameters)}`);
  }
});

test('large exports: what is seen is found among what is not, and max_window_rows bounds what is kept of a cut', async (t) => {
  const server = await Server.forTest(t, { config: configOf({ ...TOKENS, all: { row_scopes: ['ann', 'bob', 'carl'] } }, { A: { scope: 'who', views: { sorted: { pipeline: [{ sort: 'n' }] }, cut: { pipeline: [{ sort: 'n' }, { take: 5000 }] } } } }, { max_window_rows: 100 }) });
  const rows = (first, count, who) => range(count, (i) => m(`${who}${first + i}`, { n: -first - i, who }));
  await feed(server, rows(0, 300, 'ann'));
  for (let at = 0; at < 24_000; at += 4000) await feed(server, rows(1000 + at, 4000, 'bob'));
  const ann = await clientOf(t, server, 'ann', { windows: true });
  /* All of a list is no window: it has no bound. */
  assert.equal((await keysOf(ann, 'A/list')).length, 300);
  const all = await clientOf(t, server, 'all');
  assert.equal((await keysOf(all, 'A/list')).length, 24_300);
  assert.equal((await keysOf(all, 'A/list', { take: 50 })).length, 50);
  /* Behind 24,000 that it does not see, in both orders. */
  assert.deepEqual(await keysOf(ann, 'A/list', { take: 2 }), ['ann298', 'ann299']);
  assert.deepEqual(await keysOf(ann, 'A/sorted', { take: 2, skip: 1 }), ['ann297', 'ann298']);
  await feed(server, [m('ann7', { n: -100_000 })]);
  const told = [];
  while (!['A/list ann7', 'A/sorted ann299'].every((one) => told.includes(one))) {
    const { op, entity, key } = await ann.next('ann7 in its windows');
    if (op === 'upsert' || op === 'patch') told.push(`${entity} ${key}`);
  }
  assert.equal((await get(server, 'ann', '/v1/views/A/sorted?take=5')).json.rows.length, 5);
  assert.equal((await get(server, 'ann', '/v1/views/A/list?take=100&skip=250')).json.rows.length, 50);
  for (let at = 0; at < 24_000; at += 4000) await feed(server, rows(100_000 + at, 4000, 'carl'));
  const both = await clientOf(t, server, 'both');
  assert.deepEqual(await keysOf(both, 'A/sorted', { take: 2 }), ['ann7', 'bob24999']);
  /* The cut is over the rows of all: what is seen of it is kept. Too many: told, and says what to do. */
  const whole = await clientOf(t, server, 'all');
  whole.subscribe('A/cut', { take: 2 });
  await whole.expect('subscribed');
  const error = await whole.expect('error');
  assert.equal(error.code, 'too-large');
  assert.match(error.message, /this token sees more than 1000 rows.*max_window_rows/);
});

test('each of many tokens watches its own rows of one list', async (t) => {
  const COUNT = 400;
  const server = await Server.forTest(t, { config: configOf(Object.fromEntries(range(COUNT, (i) => [`u${i}`, { row_scopes: [`u${i}`] }])), { A: { scope: 'who' } }) });
  await feed(server, range(COUNT, (i) => m(`k${i}`, { n: 0, who: `u${i}` })));
  const clients = [];
  for (let at = 0; at < COUNT; at += 100) clients.push(...(await Promise.all(range(100, (i) => clientOf(t, server, `u${at + i}`)))));
  for (const [i, client] of clients.entries()) assert.deepEqual(await keysOf(client, 'A/list'), [`k${i}`]);
  await feed(server, range(COUNT, (i) => m(`k${i}`, { n: i })));
  for (const [i, client] of clients.entries()) assert.equal(short(await client.next(`the patch of k${i}`)), `patch k${i} ${i}`);
  await clients[0].silence();
});

test('without authentication only public rows are shown, and the log says so', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { A: { scope: 'who' }, B: {} } } });
  await server.logged(/scope-without-tokens .*export="?A/);
  assert.equal(server.stderr.match(/scope-without-tokens/g).length, 1);
  const answer = await http(`${server.http}/v1/mutations`, { method: 'POST', body: lines([m('a', { who: 'ann' }), m('b', {})]), headers: { 'content-type': 'application/x-ndjson' } });
  assert.equal(answer.status, 200);
  const client = await Client.open(server);
  t.after(() => client.destroy());
  assert.deepEqual(await keysOf(client, 'A/list'), ['b']);
});
