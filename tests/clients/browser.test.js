// hyperstack-react 0.6.9 as a browser runs it: what somebody sees in Chromium is what the server's
// HTTP answers say, page by page. Skipped where no Chromium is installed.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import test, { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { Browser, browserProgram } from './lib/browser.js';
import { http, post, postAll } from './lib/feed.js';
import { Server } from './lib/server.js';

const HERE = dirname(fileURLToPath(import.meta.url));
const skip = browserProgram() ? false : 'no chromium is installed (tools/setup test brings it)';
const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const row = (i, more = {}) => ({ export: 'E', key: `k${i}`, patch: { id: `k${i}`, n: i, g: i % 3, text: `row ${i}`, ...more } });
const del = (i) => ({ export: 'E', key: `k${i}`, op: 'delete' });

const CONFIG = { exports: { Fence: {}, E: { views: { top: { pipeline: [{ sort: { by: 'n', order: 'desc' } }, { take: 100 }] } } } } };

/** One browser, a tab for each test, and the page's bundle. */
let browser;
let bundle;
before(() => {
  if (skip) return;
  browser = new Browser(browserProgram());
  bundle = buildSync({
    entryPoints: [join(HERE, 'lib/react_page.js')], bundle: true, write: false, format: 'iife', platform: 'browser', minify: true,
    define: { 'process.env.NODE_ENV': '"production"' }, external: ['crypto'], logLevel: 'silent',
  }).outputFiles[0].text;
});
after(() => browser?.close());

/** A developer's web server, on a port of its own. */
async function pageFor(t) {
  const site = createServer((request, response) => {
    const isScript = request.url === '/page.js';
    response.setHeader('content-type', isScript ? 'text/javascript; charset=utf-8' : 'text/html; charset=utf-8');
    response.end(isScript ? bundle : '<!doctype html><title>stele</title><link rel=icon href=data:,><div id=root></div><script src=/page.js></script>');
  });
  await new Promise((done) => site.listen(0, '127.0.0.1', done));
  t.after(() => {
    site.closeAllConnections();
    site.close();
  });
  return `http://127.0.0.1:${site.address().port}/`;
}

async function start(t, feed) {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, feed);
  const tab = await browser.open(t, `${await pageFor(t)}?stele=${encodeURIComponent(server.ws)}`);
  await tab.until('globalThis.page?.isConnected === true', (value) => value, 'the page is connected');
  return { server, tab };
}

const show = (tab, view, params = {}) => tab.evaluate(`page.show(${JSON.stringify({ view, params })})`);
const hide = async (tab) => {
  await tab.evaluate('page.show(null)');
  await tab.until('document.querySelectorAll("li").length', (count) => count === 0, 'nothing is shown');
};

/** id → text, as HTTP has it; of an append view the rows of the list, which it folds into. */
async function expected(server, view, { take = 1000, skip = 0, filters = {} } = {}) {
  const query = new URLSearchParams({ take, skip });
  for (const [name, value] of Object.entries(filters)) query.append('filter', `${name}:${JSON.stringify(value)}`);
  const answer = await http(`${server.http}/v1/views/E/${view === 'append' ? 'list' : view}?${query}`);
  assert.equal(answer.status, 200, answer.text);
  return Object.fromEntries(answer.json.rows.map(({ data }) => [data.id, data.text]));
}

const same = (a, b) => JSON.stringify(Object.entries(a).sort()) === JSON.stringify(Object.entries(b).sort());

/** The page shows these rows and no others, and goes on showing them when all that was on its way has come. */
async function shows(server, tab, view, params, count) {
  const want = await expected(server, view, params);
  const what = `${view} ${JSON.stringify(params)}`;
  if (count !== undefined) assert.equal(Object.keys(want).length, count, what);
  await tab.until('page.seen()', (seen) => same(seen, want), `${what}: expected ${JSON.stringify(want)}`);
  await settled(server, tab);
  const seen = await tab.evaluate('page.seen()');
  assert.ok(same(seen, want), `${what}: it went on to ${JSON.stringify(seen)}, expected ${JSON.stringify(want)}`);
}

/* A change of a row that no page shows is behind all that came before it. The page asks for it once. */
let fences = 0;
async function settled(server, tab) {
  const id = `fence${++fences}`;
  assert.equal((await post(server, { export: 'Fence', key: id, patch: { id } })).applied, 1);
  await tab.evaluate(`page.fence(${JSON.stringify(id)})`);
  await tab.evaluate('new Promise((done) => setTimeout(done))');
}

for (const view of ['list', 'top']) {
  for (const take of [10, 15]) {
    test(`page by page: E/${view}, ${take} rows each, there and back`, { skip }, async (t) => {
      const { server, tab } = await start(t, range(62, (i) => row(i)));
      for (const at of [0, 1, 0, 2, 4, 1, 0]) {
        const params = { take, ...(at && { skip: at * take }) };
        await show(tab, view, params);
        await shows(server, tab, view, params, Math.min(take, Math.max(62 - at * take, 0)));
      }
      /* A page is a window: rows that move between pages come and go. */
      const params = { take, skip: take };
      await show(tab, view, params);
      await shows(server, tab, view, params, take);
      await post(server, [row(61, { n: -1, text: 'moved' }), del(60), row(3, { n: 1000, text: 'first' }), row(62)]);
      await shows(server, tab, view, params, take);
      await show(tab, view, { take });
      await shows(server, tab, view, { take }, take);
      assert.deepEqual(tab.problems, []);
    });
  }
}

for (const [view, cut] of [['list', {}], ['list', { take: 10 }], ['top', {}], ['top', { take: 7, skip: 2 }], ['append', {}]]) {
  test(`another filter: E/${view} ${JSON.stringify(cut)}`, { skip }, async (t) => {
    const { server, tab } = await start(t, range(40, (i) => row(i)));
    for (const filters of [{ g: 1 }, { g: 2 }, undefined, { g: 0 }, { g: 7 }, { g: 1 }]) {
      const params = { ...cut, ...(filters && { filters }) };
      await show(tab, view, params);
      await shows(server, tab, view, params);
    }
    await post(server, [row(1, { g: 2 }), row(2, { g: 1, text: 'came' }), del(4), row(100, { g: 1 })]);
    await shows(server, tab, view, { ...cut, filters: { g: 1 } });
    assert.deepEqual(tab.problems, []);
  });
}

for (const [view, first, second] of [
  ['list', {}, {}], ['list', { take: 10 }, { take: 10 }], ['list', { take: 10 }, { take: 10, skip: 10 }], ['list', { filters: { g: 1 } }, { filters: { g: 2 } }],
  ['list', {}, { take: 5 }], ['top', { take: 10 }, { take: 10, skip: 5 }], ['top', { take: 5 }, {}], ['append', {}, {}],
]) {
  test(`gone and asked for anew: E/${view} ${JSON.stringify(first)}, then ${JSON.stringify(second)}`, { skip }, async (t) => {
    const { server, tab } = await start(t, range(40, (i) => row(i)));
    await show(tab, view, first);
    await shows(server, tab, view, first);
    await hide(tab);
    await post(server, [del(39), del(1), row(38, { text: 'while away' }), row(50), row(2, { g: 0 })]);
    await show(tab, view, second);
    await shows(server, tab, view, second);
    await hide(tab);
    await show(tab, view, first);
    await shows(server, tab, view, first);
    assert.deepEqual(tab.problems, []);
  });
}

test('the server goes and comes back: the client asks for whole views, and pages again', { skip }, async (t) => {
  const { server, tab } = await start(t, range(40, (i) => row(i)));
  const params = { take: 10, skip: 5 };
  await show(tab, 'top', params);
  await shows(server, tab, 'top', params, 10);
  await server.kill9();
  assert.equal(Object.keys(await tab.evaluate('page.seen()')).length, 10, 'what was there stays');
  const asked = tab.sent.length;
  await server.restart({ samePort: true });
  await post(server, [del(33), del(32), row(31, { n: -5 }), row(45)]);
  /* Of a subscription the client remembers view and key alone. */
  await shows(server, tab, 'top', {}, 39);
  assert.ok(tab.sent.slice(asked).some(({ type, view, take }) => type === 'subscribe' && view === 'E/top' && take === undefined));
  for (const page of [{ take: 10 }, params]) {
    await show(tab, 'top', page);
    await shows(server, tab, 'top', page, 10);
  }
});

/* Chromium tells the test of every frame in the order in which the page got them. */
const GONE = 700;
for (const [view, params] of [['list', {}], ['list', { take: 3 }], ['list', { filters: { g: 1 } }], ['top', {}], ['top', { take: 10, skip: 3 }], ['append', {}]]) {
  test(`first paint after ${GONE} deletes: E/${view} ${JSON.stringify(params)}`, { skip }, async (t) => {
    const gone = range(GONE, (i) => i + 1000);
    const { server, tab } = await start(t, [...range(90, (i) => row(i)), ...gone.map((i) => row(i)), ...gone.map(del)]);
    await server.terminate(); /* of windows that it watched itself a server knows what left */
    await server.restart({ samePort: true });
    await tab.until('page.isConnected', (value) => value, 'the page is connected again');
    const before = tab.frames.length;
    await show(tab, view, params);
    await tab.until('document.querySelectorAll("li").length', (count) => count > 0, 'the first row');
    const [at] = (await tab.evaluate('page.changes')).find(([, count]) => count > 0);
    await shows(server, tab, view, params);
    const frames = tab.frames.slice(before).filter(({ entity }) => entity === `E/${view}`);
    const firstRow = frames.findIndex(({ op, data }) => op === 'snapshot' && data.length > 0);
    const deletes = frames.flatMap(({ op }, i) => (op === 'delete' ? [i] : []));
    const lastRow = frames.findLastIndex(({ op, data }) => op === 'snapshot' && data.length > 0);
    assert.ok(firstRow >= 0 && (!deletes.length || deletes[0] > lastRow), `row at ${firstRow} to ${lastRow}, delete at ${deletes[0]}`);
    t.diagnostic(`first row after ${at.toFixed(0)} ms; ${firstRow} frames before it, ${deletes.length} deletes behind it`);
  });
}
