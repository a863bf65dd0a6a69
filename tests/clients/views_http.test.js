// Views by plain HTTP: GET /v1/views and GET /v1/views/<id>.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import test from 'node:test';
import { gunzipSync } from 'node:zlib';
import { clientFor } from './lib/client.js';
import { http, post, postAll } from './lib/feed.js';
import { ROOT, Server, eventually, patience, within } from './lib/server.js';
import { bearer, newKey, tokenOf, unixNow } from './lib/token.js';

const m = (key, patch, more = {}) => ({ export: 'E', key, patch, ...more });
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const get = (server, path, headers = {}, method = 'GET') => http(server.http + path, { headers, method });
const keys = (answer) => answer.json.rows.map((row) => row.key);
const query = (parameters) => `?${new URLSearchParams(parameters).toString().replaceAll('+', '%20')}`;

/** GET that must be answered with 200. */
async function rows(server, view, parameters = {}, headers = {}) {
  const answer = await get(server, `/v1/views/${view}${query(parameters)}`, headers);
  assert.equal(answer.status, 200, answer.text);
  return answer;
}

/** GET that must be refused. */
async function refused(server, path, status, code, says) {
  const answer = await get(server, path);
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.headers['x-error-code'], code, answer.text);
  assert.equal(answer.headers['cache-control'], 'no-store');
  assert.equal(answer.json.code, code);
  assert.match(answer.json.message, says);
}

const STRONGEST = { exports: { F: {}, E: { views: {
  strongest: { pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 10 }] },
  'by n': { pipeline: [{ sort: { by: 'n' } }] },
} } } };

test('the views are listed, each with a URL that reads it', async (t) => {
  const server = await Server.forTest(t, { config: STRONGEST });
  await post(server, range(12, (i) => m(`k${i}`, { n: i })));
  const list = await get(server, '/v1/views');
  assert.equal(list.status, 200, list.text);
  assert.match(list.headers['content-type'], /^application\/json/);
  const views = new Map(list.json.views.map((view) => [view.id, view]));
  assert.deepEqual([...views.keys()].sort(), ['E/append', 'E/by n', 'E/list', 'E/state', 'E/strongest', 'F/append', 'F/list', 'F/state']);
  assert.deepEqual(views.get('E/list'), { id: 'E/list', mode: 'list', sort: { field: ['_seq'], order: 'desc' }, rows: 12, url: '/v1/views/E/list' });
  assert.deepEqual(views.get('E/strongest').sort, { field: ['n'], order: 'desc' });
  assert.deepEqual(views.get('E/by n').sort, { field: ['n'], order: 'asc' });
  assert.equal(views.get('E/state').sort, undefined);
  for (const { id, url, mode } of views.values()) {
    if (id.startsWith('F')) continue;
    const answer = await get(server, url + (mode === 'state' ? '?key=k3' : ''));
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.json.view, id);
    assert.equal(answer.json.mode, mode);
    assert.ok(keys(answer).includes('k3'), answer.text);
  }
});

test('a window of a list and of a derived view, in the order of the view', async (t) => {
  const server = await Server.forTest(t, { config: STRONGEST });
  const { seq } = await post(server, range(150, (i) => m(`k${String(i).padStart(3, '0')}`, { n: (i * 7) % 150 })));
  const all = await rows(server, 'E/list');
  assert.equal(all.json.rows.length, 100, 'the default');
  assert.equal(all.json.seq, seq);
  assert.equal(all.json.resumed, undefined);
  assert.equal(keys(all)[0], 'k149');
  assert.deepEqual(keys(await rows(server, 'E/list', { take: 3, skip: 2 })), ['k147', 'k146', 'k145']);
  assert.deepEqual(keys(await rows(server, 'E/list', { take: 1000, skip: 148 })), ['k001', 'k000']);
  for (const most of ['9007199254740993', '9223372036854775807']) {
    assert.doesNotMatch((await get(server, `/v1/views/E/list?take=${most}`)).text, /must be an integer/, 'it is one');
    assert.deepEqual(keys(await rows(server, 'E/list', { take: 2, skip: most })), []);
  }
  assert.deepEqual((await rows(server, 'E/strongest')).json.rows.map(({ data }) => data.n), range(10, (i) => 149 - i));
  assert.deepEqual((await rows(server, 'E/strongest', { take: 3, skip: 8 })).json.rows.map(({ data }) => data.n), [141, 140]);
  assert.deepEqual((await rows(server, 'E/by%20n', { take: 2, skip: 1 })).json.rows.map(({ data }) => data.n), [1, 2]);
  for (const path of ['E%2Flist?take=1', 'E/list?&take=1&', '%45/list?%74ake=1']) assert.deepEqual(keys(await get(server, `/v1/views/${path}`)), ['k149'], path);
});

test('what is read is what a subscriber of the same window gets', async (t) => {
  const server = await Server.forTest(t, { config: STRONGEST });
  await post(server, range(300, (i) => m(`k${i}`, { n: (i * 37) % 101, odd: i % 2 === 1, text: `t${i % 5}` })));
  const client = await clientFor(t, server);
  for (const [view, parameters, asked] of [
    ['E/list', { take: 7, skip: 3 }, { take: 7, skip: 3 }],
    ['E/strongest', {}, {}],
    ['E/by n', { take: 20, filters: { odd: true } }, { take: 20, filter: 'odd:true' }],
    ['E/list', { take: 9, filters: { text: 't2' } }, { take: 9, filter: 'text:t2' }],
    ['E/list', { key: 'k5' }, { key: 'k5' }],
  ]) {
    client.subscribe(view, parameters);
    const opening = await client.until((frame) => frame.complete, 'a whole snapshot');
    const told = opening.flatMap((frame) => (frame.op === 'snapshot' ? frame.data : []));
    const answer = await rows(server, encodeURI(view), asked);
    assert.deepEqual(answer.json.rows, told, `${view} ${JSON.stringify(parameters)}`);
    assert.equal(answer.json.seq, opening.at(-1).seq);
    assert.equal(answer.json.epoch, opening[0].epoch);
  }
});

test('filters are typed, and all must hold', async (t) => {
  const server = await Server.forTest(t);
  await post(server, [
    m('number', { v: 7, geo: { lat: 1.5 } }), m('text', { v: '7', geo: { lat: '1.5' } }), m('true', { v: true }),
    m('null', { v: null }), m('none', {}), m('word', { v: 'a:b' }), m('space', { v: 'x y+z' }), m('wide', { v: '9007199254740993' }),
  ]);
  for (const [filter, ...expected] of [
    ['v:7', 'number'], ['v:7.0', 'number'], ['v:"7"', 'text'], ['v:true', 'true'], ['v:null', 'null'], ['v:a:b', 'word'],
    ['geo.lat:1.5', 'number'], ['v:x y+z', 'space'], ['v:9007199254740993', 'wide'], ['v:nothing'],
  ]) assert.deepEqual(keys(await rows(server, 'E/list', { filter })), expected, filter);
  assert.deepEqual(keys(await rows(server, 'E/list', [['filter', 'v:7'], ['filter', 'geo.lat:1.5']])), ['number']);
  assert.deepEqual(keys(await rows(server, 'E/list', [['filter', 'v:7'], ['filter', 'geo.lat:2']])), []);
});

test('a filter that passes few of many rows finds them all', async (t) => {
  const server = await Server.forTest(t);
  const other = await post(server, { export: 'F', key: 'k', patch: {} });
  await postAll(server, range(45_000, (i) => m(`k${i}`, { n: i, rare: i % 15_000 === 0 })), 5000);
  const answer = await rows(server, 'E/list', { filter: 'rare:true', take: 10 });
  assert.deepEqual(keys(answer), ['k30000', 'k15000', 'k0']);
  assert.deepEqual(keys(await rows(server, 'E/list', { filter: 'rare:true', take: 1, skip: 2 })), ['k0']);
  assert.deepEqual(keys(await rows(server, 'E/list', { filter: 'rare:false', take: 2 })), ['k44999', 'k44998'], 'more than a filter may pass, but few are wanted');
  await post(server, m('k15000', { rare: false }));
  const later = await rows(server, 'E/list', { filter: 'rare:true', after: answer.json.seq });
  assert.deepEqual([later.json.resumed, later.json.deleted], [true, ['k15000']]);
  /* A cursor that is found by a long walk, and has too much behind it. */
  const far = await rows(server, 'E/list', { filter: 'rare:true', after: other.seq });
  assert.deepEqual([far.json.resumed, keys(far), far.json.deleted], [false, ['k30000', 'k0'], []]);
});

test('a filter over a long cut is looked up in steps, and refused beyond max_filter_rows', async (t) => {
  const sort = { sort: 'n' };
  const views = { most: { pipeline: [sort, { skip: 3 }] }, many: { pipeline: [sort, { skip: 3 }, { take: 40_000 }] }, by: { pipeline: [sort, { skip: 3 }], output: { keyed_by: 'n' } } };
  const server = await Server.forTest(t, { config: { exports: { E: { views } } }, set: { max_filter_rows: 44_000 } });
  await postAll(server, range(44_000, (i) => m(`k${i}`, { n: i, rare: i % 20_000 === 2 })), 5000);
  const jobs = async () => Number(/^stele_read_jobs_total (\d+)$/m.exec((await server.get('/metrics')).text)[1]);
  const before = await jobs();
  assert.deepEqual(keys(await rows(server, 'E/most', { filter: 'rare:true' })), ['k20002', 'k40002']);
  assert.ok((await jobs()) - before > 3, 'it was read in one transaction');
  const many = await rows(server, 'E/many', { filter: 'rare:true' });
  assert.deepEqual(keys(many), ['k20002', 'k40002'], 'from 3 to 40002');
  assert.deepEqual(keys(await rows(server, 'E/most', { key: 'k2' })), []);
  assert.deepEqual(keys(await rows(server, 'E/most', { key: 'k3' })), ['k3']);
  assert.deepEqual(keys(await rows(server, 'E/many', { key: 'k40003' })), []);
  assert.deepEqual(keys(await rows(server, 'E/by', { key: '43999' })), ['43999']);
  assert.deepEqual(keys(await rows(server, 'E/by', { key: '2' })), []);
  /* k0 goes, so k3 is skipped too and k40003 comes. */
  await post(server, { export: 'E', key: 'k0', op: 'delete' });
  await post(server, m('k40003', { rare: true }));
  const later = await rows(server, 'E/many', { filter: 'rare:true', after: many.json.seq });
  assert.deepEqual([later.json.resumed, keys(later)], [true, ['k20002', 'k40002', 'k40003']], 'of few rows all are near an end');
  await postAll(server, range(6000, (i) => m(`m${i}`, { n: 50_000 + i })), 5000);
  await refused(server, '/v1/views/E/most?filter=rare:true', 413, 'too-large', /max_filter_rows/);
  assert.deepEqual(keys(await rows(server, 'E/most', { filter: 'rare:false', take: 1 })), ['k4'], 'what is found soon is given');
});

test('one key, with any characters', async (t) => {
  const server = await Server.forTest(t);
  const names = ['plain', 'a b', 'a+b', 'a&b=c', 'ü/ö?', '100%', '"q"', '%41', '//x', '/../y', './z', '?', '#', '~;,=&'];
  await post(server, names.map((key, n) => m(key, { n })));
  for (const [n, key] of names.entries()) {
    for (const view of ['E/list', 'E/state', 'E/append']) {
      const answer = await rows(server, view, { key });
      assert.deepEqual(answer.json.rows.map((row) => [row.key, row.data.n]), [[key, n]], `${view} ${key}`);
    }
  }
  assert.deepEqual(keys(await rows(server, 'E/state', { key: 'nobody' })), []);
});

test('after a cursor: what changed, and the keys that are gone', async (t) => {
  const server = await Server.forTest(t, { config: STRONGEST });
  await post(server, range(30, (i) => m(`k${String(i).padStart(2, '0')}`, { n: i })));
  const before = await rows(server, 'E/list', { take: 1000 });
  const best = await rows(server, 'E/strongest');
  const none = await rows(server, 'E/list', { take: 1000, after: before.json.seq, epoch: before.json.epoch });
  assert.deepEqual([none.json.resumed, none.json.rows, none.json.deleted, none.json.seq], [true, [], [], before.json.seq]);
  await post(server, m('k03', { n: 100 }));
  /* Applied to what was had, it is the window. */
  const held = new Map(best.json.rows.map(({ key, data }) => [key, data]));
  const change = (await rows(server, 'E/strongest', { after: best.json.seq })).json;
  assert.equal(change.resumed, true);
  for (const key of change.deleted) held.delete(key);
  for (const { key, data } of change.rows) held.set(key, data);
  const now = await rows(server, 'E/strongest');
  assert.deepEqual(new Map([...held].sort()), new Map(now.json.rows.map(({ key, data }) => [key, data]).sort()));
  await post(server, [{ export: 'E', key: 'k29', op: 'delete' }, m('new', { n: 1 })]);
  const after = await rows(server, 'E/list', { take: 1000, after: before.json.seq });
  assert.equal(after.json.resumed, true);
  assert.ok(['k03', 'new'].every((key) => keys(after).includes(key)), after.text);
  assert.ok(keys(after).length < 10, `not the whole: ${keys(after)}`);
  assert.deepEqual(after.json.deleted, ['k29']);
  /* A seq that the export does not have: whatever has a greater one. */
  const { seq } = await post(server, { export: 'F', key: 'k', patch: {} });
  await post(server, m('k10', { n: 10.5 }));
  const greater = await rows(server, 'E/list', { take: 1000, after: seq });
  assert.equal(greater.json.resumed, true);
  assert.ok(keys(greater).includes('k10') && !keys(greater).includes('k20'), greater.text);
  /* A cursor of no use: all rows, and it is said. */
  for (const parameters of [{ epoch: 'another' }, { after: '999999:000000000000' }]) {
    const anew = await rows(server, 'E/list', { take: 1000, after: before.json.seq, ...parameters });
    assert.equal(anew.json.resumed, false);
    assert.equal(anew.json.rows.length, 30);
    assert.deepEqual(anew.json.deleted, []);
  }
});

test('an ETag, and 304 while nothing changed', async (t) => {
  const server = await Server.forTest(t, { config: STRONGEST });
  await post(server, range(20, (i) => m(`k${i}`, { n: i }, { slot: 5, index: 1 })));
  const first = await rows(server, 'E/strongest');
  const tag = first.headers.etag;
  assert.match(tag, /^W\/"[^"]+"$/);
  assert.ok(tag.includes(first.json.epoch) && tag.includes(first.json.seq), tag);
  assert.equal(first.headers['cache-control'], 'no-cache');
  assert.equal(first.headers.vary, 'Accept-Encoding');
  const again = (value, path = '/v1/views/E/strongest', method) => get(server, path, { 'if-none-match': value }, method);
  for (const value of [tag, tag.slice(2), `"other", ${tag}`, '*']) {
    const answer = await again(value);
    assert.equal(answer.status, 304, value);
    assert.equal(answer.text, '');
    assert.equal(answer.headers.etag, tag);
    assert.equal(answer.headers['cache-control'], 'no-cache');
    assert.equal(answer.headers['content-length'], undefined);
  }
  assert.equal((await again(tag, undefined, 'HEAD')).status, 304);
  assert.equal((await again('"other"')).status, 200);
  for (const path of ['/v1/views/E/strongest?take=9', '/v1/views/E/strongest?skip=1', '/v1/views/E/list', '/v1/views/E/strongest?filter=n:1', '/v1/views/E/strongest?key=k1', `/v1/views/E/strongest?after=${first.json.seq}`]) {
    assert.equal((await again(tag, path)).status, 200, path);
  }
  /* The same seq again: the cursor stays, the content does not. */
  await post(server, m('k1', { n: 50 }, { slot: 5, index: 1 }));
  const changed = await again(tag);
  assert.equal(changed.status, 200);
  assert.notEqual(changed.headers.etag, tag);
  assert.equal(changed.json.seq, first.json.seq);
  await server.terminate();
  await server.restart({ samePort: true });
  assert.equal((await again(changed.headers.etag)).status, 304, 'it outlives the server');
});

test('a view with now() changes its tag when time alone changed it', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { E: { views: {
    due: { pipeline: [{ filter: { field: 'until', lte: { now: true } } }, { sort: { by: 'until' } }] },
  } } } } });
  const soon = Math.floor(Date.now() / 1000) + 2;
  await post(server, [m('past', { until: 1 }), m('soon', { until: soon })]);
  const first = await rows(server, 'E/due');
  assert.deepEqual(keys(first), ['past']);
  await within((async () => {
    for (;;) {
      const answer = await get(server, '/v1/views/E/due', { 'if-none-match': first.headers.etag });
      if (answer.status === 200) {
        assert.deepEqual(keys(answer), ['past', 'soon']);
        return;
      }
      assert.equal(answer.status, 304);
    }
  })(), 'the second row');
});

/** The answer's bytes as they came. */
const raw = (server, path, headers) => within(new Promise((done, fail) => {
  request(server.http + path, { headers, agent: false }, (answer) => {
    const parts = [];
    answer.on('data', (part) => parts.push(part)).on('end', () => done({ headers: answer.headers, body: Buffer.concat(parts) }));
  }).on('error', fail).end();
}), path);

test('gzip when it is asked for and worth it', async (t) => {
  const server = await Server.forTest(t);
  await post(server, range(100, (i) => m(`k${i}`, { n: i, text: 'the same text again' })));
  const plain = await raw(server, '/v1/views/E/list', {});
  assert.equal(plain.headers['content-encoding'], undefined);
  for (const value of ['gzip', 'deflate, gzip;q=0.5', 'br,GZIP']) {
    const zipped = await raw(server, '/v1/views/E/list', { 'accept-encoding': value });
    assert.equal(zipped.headers['content-encoding'], 'gzip', value);
    assert.equal(Number(zipped.headers['content-length']), zipped.body.length);
    assert.ok(zipped.body.length < plain.body.length / 3);
    assert.deepEqual(gunzipSync(zipped.body), plain.body);
    assert.equal(zipped.headers.etag, plain.headers.etag);
  }
  for (const value of ['gzip;q=0', 'identity', 'gzipped', 'br']) {
    const answer = await raw(server, '/v1/views/E/list', { 'accept-encoding': value });
    assert.equal(answer.headers['content-encoding'], undefined, value);
    assert.deepEqual(answer.body, plain.body);
  }
  const small = await raw(server, '/v1/views/E/list?take=1', { 'accept-encoding': 'gzip' });
  assert.equal(small.headers['content-encoding'], undefined);
});

test('HEAD has the headers of GET', async (t) => {
  const server = await Server.forTest(t);
  await post(server, range(50, (i) => m(`k${i}`, { n: i })));
  for (const path of ['/v1/views', '/v1/views/E/list', '/v1/views/No/list']) {
    const [full, head] = [await get(server, path), await get(server, path, {}, 'HEAD')];
    assert.equal(head.status, full.status, path);
    assert.equal(head.text, '');
    assert.ok(Number(head.headers['content-length']) > 0, path);
    assert.deepEqual(head.headers, full.headers);
  }
});

test('what cannot be answered is refused, and says why', async (t) => {
  const server = await Server.forTest(t, { set: { max_window_rows: 200 } });
  await postAll(server, range(500, (i) => m(`k${i}`, { n: i, even: i % 2 === 0 })));
  await refused(server, '/v1/views/No/none', 404, 'view-not-found', /No\/none/);
  await refused(server, '/v1/views/%FF', 404, 'view-not-found', /./);
  await refused(server, '/v1/view', 404, 'not-found', /\/v1\/views/);
  await refused(server, '/v1/views/E/state', 400, 'invalid-parameter', /key/);
  await refused(server, '/v1/views/E/state?key=k1&take=1', 400, 'invalid-parameter', /take/);
  await refused(server, '/v1/views/E/append?take=1', 400, 'invalid-parameter', /take/);
  for (const [bad, says] of [
    ['take=0', /take/], ['take=-1', /take/], ['take=ten', /take/], ['take=1.5', /take/], ['take=', /take/], ['take', /take/], ['skip=-1', /skip/],
    ['take=201', /200/], ['take=1&take=2', /twice/], ['limit=5', /limit.*take/], ['filter=n', /path:value/], ['filter=', /path:value/],
    ['filter=n:1&filter=n:2', /n/], ['filter=a..b:1', /./], ['filter=:1', /./], ['after=yesterday', /after/], ['key=%FF', /UTF-8/],
  ]) await refused(server, `/v1/views/E/list?${bad}`, 400, 'invalid-parameter', says);
  const wrong = await get(server, '/v1/views/E/list', {}, 'DELETE');
  assert.equal(wrong.status, 405);
  assert.equal(wrong.headers.allow, 'GET, HEAD');
  const posted = await http(`${server.http}/v1/views/E/list`, { method: 'POST', body: '{}' });
  assert.equal(posted.status, 405);
  assert.equal(keys(await rows(server, 'E/list', { take: 200 })).length, 200);
});

test('an answer has a bounded length, but one row always comes', async (t) => {
  const server = await Server.forTest(t, { set: { max_request_bytes: 32 << 20, max_entity_bytes: 24 << 20 } });
  for (let i = 0; i < 5; i++) await post(server, m(`k${i}`, { text: 'x'.repeat(5 << 20) }));
  await post(server, m('long', { text: 'y'.repeat(20 << 20) }));
  await refused(server, '/v1/views/E/list', 413, 'too-large', /take/);
  const one = await rows(server, 'E/list', { key: 'long' });
  assert.equal(one.json.rows[0].data.text.length, 20 << 20);
  assert.equal((await rows(server, 'E/list', { take: 3, skip: 1 })).json.rows.length, 3);
});

test('one connection serves one request after the other, also when they do not wait', async (t) => {
  const server = await Server.forTest(t);
  await postAll(server, range(2000, (i) => m(`k${i}`, { n: i, pad: 'p'.repeat(200) })));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const ask = (path, headers = {}) => within(new Promise((done, fail) => {
    request(server.http + path, { agent, headers }, (answer) => {
      const parts = [];
      const port = answer.socket.localPort;
      answer.on('data', (part) => parts.push(part)).on('end', () => done({ status: answer.statusCode, port, headers: answer.headers, body: Buffer.concat(parts) }));
    }).on('error', fail).end();
  }), path);
  const first = await ask('/v1/views/E/list?take=2000');
  const list = ['/v1/views', '/v1/views/E/list?take=5', '/v1/views/No/list', '/v1/views/E/list?take=2000', '/v1/nothing', '/v1/views/E/list?take=1'];
  for (const path of list) assert.equal((await ask(path)).port, first.port, path);
  assert.equal((await ask('/v1/views/E/list?take=2000', { 'if-none-match': first.headers.etag })).status, 304);
  assert.equal((await ask('/v1/views/E/list?take=2000')).body.length, first.body.length);
  /* Several requests in one write. */
  const socket = connect({ host: server.host, port: server.port });
  t.after(() => socket.destroy());
  let text = '';
  const end = new Promise((done) => socket.setEncoding('utf8').on('data', (more) => {
    text += more;
    if (text.includes('"k1990"')) done();
  }));
  socket.write(range(3, () => `GET /v1/views/E/list?take=1&skip=8 HTTP/1.1\r\nHost: localhost\r\n\r\n`).join('') + 'GET /v1/views/E/list?take=1&skip=9 HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await within(end, () => `four answers: ${text}`);
  assert.equal(text.match(/HTTP\/1\.1 200 OK/g).length, 4);
  assert.equal(text.match(/"key":"k1991"/g).length, 3);
});

test('a client that reads slowly gets everything, many of them cost bounded memory', async (t) => {
  const server = await Server.forTest(t);
  await postAll(server, range(1500, (i) => m(`k${String(i).padStart(4, '0')}`, { n: i, pad: 'p'.repeat(8000) })), 100);
  const path = '/v1/views/E/list?take=1500';
  const whole = await raw(server, path, {});
  assert.ok(whole.body.length > 12_000_000);
  const open = () => {
    const socket = connect({ host: server.host, port: server.port });
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    socket.pause();
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    return socket;
  };
  const before = server.memory();
  const stalled = range(60, open);
  /* Those that are refused can be told from the head of what they get, without reading on. */
  const heads = await Promise.all(stalled.map((socket) => within(new Promise((done) => {
    const look = () => {
      const part = socket.read(64);
      if (part) done(part.toString('latin1'));
      else socket.once('readable', look);
    };
    look();
  }), 'the head of an answer', 60_000)));
  const served = heads.filter((head) => head.startsWith('HTTP/1.1 200')).length;
  assert.ok(served >= 3 && served < 30, `${served} served`);
  assert.ok(heads.every((head) => /^HTTP\/1\.1 (200|503)/.test(head)), heads.join('\n'));
  const grown = server.memory() - before;
  assert.ok(grown < 300 << 20, `grew by ${grown >> 20} MiB for 60 answers of 12 MB`);
  /* The server goes on, and who reads at last has it all. */
  assert.equal((await get(server, '/v1/views')).status, 200);
  const reader = stalled[heads.findIndex((head) => head.startsWith('HTTP/1.1 200'))];
  let length = 64;
  const done = new Promise((finish) => reader.on('data', (part) => {
    length += part.length;
    if (length >= whole.body.length) finish();
  }));
  reader.resume();
  await within(done, () => `the rest of the answer; ${length} of ${whole.body.length} came`, 60_000);
  for (const socket of stalled) socket.destroy();
  await within((async () => {
    while ((await get(server, path)).status !== 200);
  })(), 'room for answers again', 60_000);
});

test('clients that go while their view is read harm nobody; a stop waits for who is being answered', async (t) => {
  const server = await Server.forTest(t);
  await postAll(server, range(3000, (i) => m(`k${i}`, { n: i, pad: 'p'.repeat(500) })));
  for (let i = 0; i < 40; i++) {
    const socket = connect({ host: server.host, port: server.port });
    await new Promise((done) => socket.on('connect', done));
    socket.write('GET /v1/views/E/list?take=3000&filter=n:5 HTTP/1.1\r\nHost: localhost\r\n\r\n');
    if (i % 2) await new Promise((done) => setImmediate(done));
    socket.destroy();
  }
  assert.equal((await rows(server, 'E/list', { filter: 'n:5' })).json.rows.length, 1);
  await server.terminate();
});

test('curl reads a view, and the quakes are sorted by magnitude', async (t) => {
  const server = await Server.forTest(t, { config: { exports: { Quake: { views: { strongest: { pipeline: [{ sort: { by: 'mag', order: 'desc' } }, { take: 10 }] } } }, Network: {} } } });
  await postAll(server, readFileSync(join(ROOT, 'tests/data/quakes.ndjson'), 'utf8').trim().split('\n'));
  const text = execFileSync('curl', ['-sS', '--compressed', `${server.http}/v1/views/Quake/strongest`]).toString();
  const magnitudes = JSON.parse(text).rows.map((row) => row.data.mag);
  assert.equal(magnitudes.length, 10);
  assert.deepEqual(magnitudes, [...magnitudes].sort((a, b) => b - a));
});

/* ---- waiting for a change ---- */

/** Asks, and notes when the answer was there. */
function waiting(server, path, headers = {}) {
  const asked = { done: false };
  asked.answer = get(server, path, headers).then((answer) => {
    asked.done = true;
    return answer;
  });
  return asked;
}

/** The server has the request by now, and has looked at the view. */
const taken = async (server) => {
  for (let i = 0; i < 3; i++) await get(server, '/v1/views/E/list?take=1');
};

test('an answer waits for a change of its view, and for no other', async (t) => {
  const server = await Server.forTest(t, { config: STRONGEST });
  const { seq } = await post(server, range(30, (i) => m(`k${i}`, { n: i })));
  const cases = {
    'E/list?': m('k1', { n: 1 }), 'E/strongest?': m('new', { n: 99 }), 'E/list?filter=n:7&': m('k7', { text: 'x' }), 'E/state?key=k2&': m('k2', { n: 2 }),
    'E/list?key=k3&': m('k3', undefined, { op: 'delete' }), 'E/append?': m('k4', { n: 4 }), 'E/by n?take=2&': m('k0', { n: -1 }),
  };
  let after = seq;
  for (const [path, mutation] of Object.entries(cases)) {
    const asked = waiting(server, `/v1/views/${path.replace(' ', '%20')}wait=60&after=${after}`);
    await taken(server);
    await post(server, { export: 'F', key: 'other', patch: {} });
    await taken(server);
    assert.equal(asked.done, false, path);
    const changed = await post(server, mutation);
    const answer = await asked.answer;
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.json.resumed, true, path);
    assert.ok(answer.json.rows.some(({ key }) => key === mutation.key) || answer.json.deleted.includes(mutation.key), `${path}: ${answer.text}`);
    after = changed.seq;
  }
});

test('what is new already is answered at once; so is a cursor of no use, and a first question', async (t) => {
  const server = await Server.forTest(t, { config: STRONGEST });
  const { seq } = await post(server, m('a', { n: 1 }));
  await post(server, m('b', { n: 2 }));
  for (const path of [`E/list?wait=60&after=${seq}`, 'E/list?wait=60', 'E/list?wait=60&after=99:000000000000', `E/list?wait=60&after=${seq}&epoch=x`, `E/list?wait=0&after=${seq}`])
    assert.ok((await rows(server, path.split('?')[0], Object.fromEntries(new URLSearchParams(path.split('?')[1])))).json.rows.length > 0, path);
  for (const wait of ['61', '-1', '1.5', 'x', '', '99999999999999999999'])
    await refused(server, `/v1/views/E/list?wait=${wait}`, 400, 'invalid-parameter', /'wait'/);
  await refused(server, '/v1/views/E/list?wait=1&wait=2', 400, 'invalid-parameter', /'wait' is given twice/);
});

test('without a change the answer comes when the time is over; with If-None-Match it is a 304', async (t) => {
  const server = await Server.forTest(t, { config: STRONGEST });
  const { seq } = await post(server, m('a', { n: 1 }));
  const begun = Date.now();
  const [empty, first] = await Promise.all([rows(server, 'E/list', { wait: 1, after: seq }), rows(server, 'E/strongest')]);
  assert.deepEqual([empty.json.rows, empty.json.deleted, empty.json.seq], [[], [], seq]);
  assert.ok(Date.now() - begun >= 990);
  const { etag } = first.headers;
  assert.equal((await get(server, '/v1/views/E/strongest?wait=1', { 'if-none-match': etag })).status, 304);
  const asked = waiting(server, '/v1/views/E/strongest?wait=60', { 'if-none-match': etag });
  await taken(server);
  assert.equal(asked.done, false);
  await post(server, m('b', { n: 2 }));
  const answer = await asked.answer;
  assert.equal(answer.status, 200);
  assert.deepEqual(keys(answer), ['b', 'a']);
});

test('those that wait are counted as connections, go when their client goes, and are told of the stop', async (t) => {
  const server = await Server.forTest(t, { config: { ...STRONGEST, max_connections: 3 } });
  const { seq } = await post(server, m('a', { n: 1 }));
  const path = `/v1/views/E/list?wait=60&after=${seq}`;
  for (let round = 0; round < 3; round++) {
    const sockets = range(3, () => connect(server.port, '127.0.0.1').on('error', () => {}));
    for (const socket of sockets) socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
    await eventually(async () => (await get(server, path.replace('60', '1'))).status === 429, 'all places are taken');
    for (const socket of sockets) socket.destroy();
    await eventually(async () => (await get(server, path.replace('60', '1'))).status !== 429, 'a place is free');
  }
  const asked = waiting(server, path);
  await taken(server);
  await server.terminate();
  const answer = await asked.answer;
  assert.equal(answer.status, 503);
  assert.equal(answer.json.code, 'shutting-down');
});

test('a token that runs out while its request waits reads nothing more', async (t) => {
  const key = newKey();
  const server = await Server.forTest(t, { config: { ...STRONGEST, auth: { mode: 'signed', keys: [key.x] } } });
  const feed = (mutation) => http(`${server.http}/v1/mutations`, { method: 'POST', body: JSON.stringify(mutation), headers: bearer(tokenOf(key)) });
  const { seq } = (await feed(m('a', { n: 1 }))).json;
  const asked = waiting(server, `/v1/views/E/list?wait=60&after=${seq}`, bearer(tokenOf(key, { exp: unixNow() + patience(2) })));
  await new Promise((done) => setTimeout(done, patience(2) * 1000 + 1000));
  assert.equal(asked.done, false);
  assert.equal((await feed(m('b', { n: 2 }))).status, 200);
  const answer = await asked.answer;
  assert.deepEqual([answer.status, answer.json.code, answer.json.rows], [401, 'token-expired', undefined]);
});

test('the audit tells who is let in to wait or to watch, and who is not; of a plain read only the refusal', async (t) => {
  const tokens = ['read', 'write'].map((scope) => ({ token: `the-${scope}-token-0123456789`, scope, subject: scope }));
  const server = await Server.forTest(t, { config: { ...STRONGEST, auth: { mode: 'static', tokens } } });
  const [reader, writer] = tokens.map(({ token }) => bearer(token));
  const { seq } = (await http(`${server.http}/v1/mutations`, { method: 'POST', body: JSON.stringify(m('a', { n: 1 })), headers: writer })).json;
  const told = (event, kind, subject) => server.stderr.match(new RegExp(`audit ${event} [^\\n]*kind=${kind} [^\\n]*subject="?${subject}`, 'g'))?.length ?? 0;

  assert.equal((await get(server, '/v1/views/E/list', reader)).status, 200);
  assert.equal((await get(server, `/v1/views/E/list?wait=1&after=${seq}`, reader)).status, 200);
  assert.equal((await get(server, '/v1/views/E/list?wait=1&take=x', reader)).status, 400);
  const stream = connect(server.port, '127.0.0.1').on('error', () => {});
  t.after(() => stream.destroy());
  stream.write(`GET /v1/views/E/list/live?token=${tokens[0].token} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
  await server.logged(/handshake-accepted [^\n]*kind=stream [^\n]*subject="?read/);

  for (const path of ['', `?wait=1&after=${seq}`, '?wait=1&events=1', '/live']) {
    const answer = await get(server, `/v1/views/E/append${path}`, writer);
    assert.deepEqual([answer.status, answer.json?.code], [403, 'scope-missing'], path);
  }
  await server.logged(/handshake-denied [^\n]*kind=stream [^\n]*code=scope-missing/);
  assert.deepEqual(['http', 'stream', 'subscriber'].map((kind) => told('handshake-accepted', kind, 'read')), [1, 1, 0], server.stderr);
  assert.deepEqual(['http', 'stream', 'subscriber'].map((kind) => told('handshake-denied', kind, 'write')), [3, 1, 0], server.stderr);
});

test('offset tells whether two answers are of one state, and asks for it again', async (t) => {
  const config = { exports: { E: { views: { sorted: { pipeline: [{ sort: 'n' }] }, timed: { pipeline: [{ filter: { field: 'n', lt: { now: true } } }] }, one: { pipeline: [{ sort: 'n' }], output: { keyed_by: 'n' } } } }, F: {} } };
  const server = await Server.forTest(t, { config });
  const at = async (view, parameters) => (await rows(server, view, parameters)).json.offset;
  assert.equal(await at('E/list'), 0, 'nothing was fed');
  await post(server, range(6, (i) => m(`k${i}`, { n: i })));
  const offset = await at('E/list');
  for (const view of ['E/list', 'E/append', 'E/sorted']) assert.equal(await at(view), offset, view);
  for (const parameters of [{ skip: 3, take: 1 }, { key: 'k1' }, { sort: '[{"by":"n"}]' }, { where: '{"field":"n","gte":3}' }]) assert.equal(await at('E/list', parameters), offset, JSON.stringify(parameters));
  await post(server, [{ export: 'F', key: 'x', patch: { n: 1 } }]);
  assert.equal(await at('E/list'), offset, 'another export');
  /* Two changes of one seq, and a late arrival: the cursor cannot tell the states apart. */
  const states = [];
  for (const more of [{ slot: 9e9, index: 0 }, { slot: 9e9, index: 0 }, { slot: 5, index: 0 }]) {
    const before = states.at(-1)?.json.offset ?? offset;
    await post(server, [m('k0', { n: 10 + states.length }, more), { export: 'E', key: `k${5 - states.length}`, op: 'delete', ...more }]);
    states.push(await rows(server, 'E/list'));
    assert.ok(states.at(-1).json.offset > before);
  }
  for (const { json } of states) {
    const again = await rows(server, 'E/list', { as_of: `@${json.offset}` });
    assert.deepEqual([again.json.offset, again.json.rows, again.json.epoch], [json.offset, json.rows, json.epoch]);
  }
  for (const [view, parameters] of [['E/timed', {}], ['E/one', { key: '1' }], ['E/list', { where: '{"field":"n","lt":{"now":true}}' }]]) assert.equal(await at(view, parameters), undefined, view);
});
