// The client in a real browser: kept rows over reloads, and what happens to a page that the network, the server, its
// token or its storage leaves alone. Skipped where no Chromium is installed.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import test, { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { bearer, Browser, browserProgram, CONFIG, del, newKey, patience, post, postAll, Proxy, range, row, run, Server, table, tokenOf, unixNow } from './lib.js';

const HERE = dirname(fileURLToPath(import.meta.url));
const skip = browserProgram() ? false : 'no chromium is installed (tools/setup test brings it)';

let browser;
let bundle;
before(() => {
  if (skip) return;
  browser = new Browser(browserProgram());
  bundle = buildSync({ entryPoints: [join(HERE, 'page.js')], bundle: true, write: false, format: 'iife', platform: 'browser', minify: true, banner: { js: `performance.mark('script');` } }).outputFiles[0].text;
});
after(() => browser?.close());

/** A developer's web server; `token` is what its pages fetch. */
async function siteFor(t) {
  const site = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://site');
    if (pathname === '/token') site.asked++;
    const body = request.url.endsWith('?empty') ? '<!doctype html>' : pathname === '/page.js' ? bundle : pathname === '/token' ? site.token : '<!doctype html><title>stele</title><link rel=icon href=data:,><body><script src=/page.js></script>';
    response.setHeader('content-type', pathname === '/page.js' ? 'text/javascript; charset=utf-8' : 'text/html; charset=utf-8');
    response.end(body);
  });
  site.asked = 0;
  await new Promise((done) => site.listen(0, '127.0.0.1', done));
  t.after(() => {
    site.closeAllConnections();
    site.close();
  });
  site.url = `http://127.0.0.1:${site.address().port}/`;
  return site;
}

async function start(t, { rows = 300, before = async () => {} } = {}) {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(rows, (i) => row(i)));
  const site = await siteFor(t);
  site.stele = server.ws;
  await before(site);
  const url = `${site.url}?stele=${encodeURIComponent(server.ws)}`;
  return { server, site, url, tab: await browser.open(t, url) };
}

const same = (a, b) => JSON.stringify(Object.entries(a).sort()) === JSON.stringify(Object.entries(b).sort());

/** The page shows what SQL has. */
async function equals(server, tab) {
  const wanted = Object.fromEntries((await table(server, 'E/list')).map(([key, data]) => [key, data]));
  await tab.until('globalThis.page?.shown()', (shown) => shown && same(shown, wanted), 'the page shows what SQL has');
}

/** Load the page again, once what it shows is kept; its first rows, and when they were there. */
async function reload(tab) {
  await tab.evaluate('globalThis.page.view.state.status === "live" && page.client.flush()');
  await tab.evaluate('globalThis.page = undefined');
  await tab.send('Page.reload');
  return tab.until('globalThis.page?.first', (first) => first?.shown, 'the first rows after a reload');
}

/* How fast it is: STELE_RELOADS=50 STELE_ROWS=3000, on a quiet machine. */
const RELOADS = Number(process.env.STELE_RELOADS ?? 1);
const ROWS = Number(process.env.STELE_ROWS ?? 300);
test('first load, kill -9, and a reload: rows are there before the server said anything; then what changed, and no more', { skip }, async (t) => {
  const { server, tab } = await start(t, { rows: ROWS });
  await equals(server, tab);
  await tab.evaluate('page.client.flush()');
  /* While the page is loaded again, the server is away: what it shows can only be what was kept. */
  await server.kill9();
  const times = [];
  for (let i = 0; i < RELOADS; i++) {
    const { rows, status } = await reload(tab);
    assert.deepEqual([rows, status], [ROWS, 'stale']);
    times.push(await tab.until('page.first', ({ painted }) => painted, 'the frame with the rows'));
  }
  const middle = (name) => times.map((each) => each[name]).sort((a, b) => a - b)[RELOADS >> 1].toFixed(1);
  t.diagnostic(`${ROWS} kept rows: told after ${middle('told')} ms of the script, laid out after ${middle('shown')}, painted after ${middle('painted')} (median of ${RELOADS})`);
  const frames = tab.frames.length;
  await server.restart({ samePort: true });
  await post(server, [del(7), row(8, { text: 'while away' })]);
  await equals(server, tab);
  const came = tab.frames.slice(frames).filter(({ op }) => op === 'snapshot').flatMap(({ data }) => data);
  assert.ok(came.length <= 1, `${came.length} rows came for one that changed`);
  assert.deepEqual(tab.problems, []);
});

test('two tabs keep the rows of one view, and do not disturb each other', { skip }, async (t) => {
  const { server, url, tab } = await start(t, { rows: 50 });
  const other = await browser.open(t, url);
  await equals(server, tab);
  await equals(server, other);
  await post(server, [del(1), row(2, { text: 'x' })]);
  await equals(server, tab);
  await equals(server, other);
  assert.equal((await reload(tab)).rows, 49);
  assert.equal((await reload(other)).rows, 49);
  await equals(server, tab);
  await equals(server, other);
  await Promise.all([tab, other].map((each) => each.evaluate(`Promise.all([1, 2, 3].map((i) => page.client.apply({ export: 'F', key: 'log', patch: { list: [i] }, append: ['list'] })))`)));
  const [[, log]] = await table(server, 'F/list');
  assert.deepEqual(log.list.toSorted(), [1, 1, 2, 2, 3, 3], 'each batch of both counts once');
  const { producers } = await (await fetch(`${server.http}/v1/producers`)).json();
  assert.equal(producers.length, 1, 'both are one producer');
});

/* STELE_OFFLINE: how many seconds; five minutes take the same way. */
const OFFLINE_S = Number(process.env.STELE_OFFLINE ?? 1);
for (const [how, resumes, retention] of [
  ['the log reaches back, so only changes come', true, {}],
  ['the log is shorter, so all rows come again', false, { retention_rows: 10, retention_seconds: 1 }],
]) {
  test(`offline for ${OFFLINE_S} s, with deletes; ${how}`, { skip, timeout: patience(60_000) + OFFLINE_S * 1000 }, async (t) => {
    const server = await Server.forTest(t, { config: { ...CONFIG, ...retention } });
    await postAll(server, range(300, (i) => row(i)));
    const proxy = await Proxy.start(t, server.port);
    const site = await siteFor(t);
    const tab = await browser.open(t, `${site.url}?stele=${encodeURIComponent(proxy.ws)}`);
    await equals(server, tab);
    const network = (offline) => tab.send('Network.emulateNetworkConditions', { offline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
    await network(true);
    proxy.port = 1; /* nobody listens there */
    proxy.cut();
    await tab.until('page.client.status.connection', (connection) => connection !== 'open', 'the page notices');
    assert.deepEqual(await tab.evaluate('[navigator.onLine, page.view.state.status, page.view.state.rows.length]'), [false, 'stale', 300]);
    const frames = tab.frames.length;
    for (let i = 0; i < OFFLINE_S * 10; i++) {
      await post(server, [del(2 * (i % 150)), row(2 * (i % 150) + 1, { text: `change ${i}` }), ...(i % 10 ? [] : [row(300 + i)])]);
      await new Promise((done) => setTimeout(done, 100));
    }
    assert.equal(await tab.evaluate('page.view.state.rows.length'), 300, 'what is shown stays');
    proxy.port = server.port;
    await network(false); /* the browser says "online" */
    await equals(server, tab);
    const told = tab.frames.slice(frames);
    /* Where the server does not answer a page that wakes within three seconds, there is another connection. */
    const [begin, again] = told.flatMap(({ op }, i) => (op === 'subscribed' ? i : []));
    const [{ resumed }, ...first] = told.slice(begin, again);
    assert.equal(resumed, resumes);
    assert.ok(first.filter(({ op }) => op === 'snapshot').every(({ authoritative }) => authoritative !== resumes));
  });
}

test('storage that is refused: memory, the status says so, and the view is live', { skip }, async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(50, (i) => row(i)));
  const site = await siteFor(t);
  const tab = await browser.open(t, 'about:blank');
  await tab.send('Page.addScriptToEvaluateOnNewDocument', { source: `IDBFactory.prototype.open = () => { throw new DOMException('refused', 'SecurityError'); };` });
  await tab.navigate(`${site.url}?stele=${encodeURIComponent(server.ws)}`);
  await equals(server, tab);
  const { storage, storageError } = await tab.evaluate('({ ...page.client.status, storageError: page.client.status.storageError?.code })');
  assert.deepEqual([storage, storageError], ['memory', 'storage-failed']);
  assert.equal(await tab.evaluate(`page.client.apply({ export: 'F', key: 'a', patch: {} }).then(({ applied }) => applied)`), 1);
});

test('storage that is full: memory, and the view goes on', { skip }, async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await postAll(server, range(300, (i) => row(i)));
  const site = await siteFor(t);
  const tab = await browser.open(t, 'about:blank');
  /* Chromium looks at its quota when it likes; so each write is refused as it refuses one then. */
  await tab.send('Page.addScriptToEvaluateOnNewDocument', { source: `IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); };` });
  await tab.navigate(`${site.url}?stele=${encodeURIComponent(server.ws)}`);
  await equals(server, tab);
  await tab.evaluate('page.client.flush()');
  assert.deepEqual(await tab.evaluate('[page.client.status.storage, page.client.status.storageError?.code]'), ['memory', 'storage-failed']);
  await post(server, [del(1), row(2, { text: 'after' })]);
  await equals(server, tab);
});

test('a restored backup: what the page had behind it is gone', { skip }, async (t) => {
  const { server, tab } = await start(t, { rows: 50 });
  await equals(server, tab);
  const copy = `${server.db}.copy`;
  assert.equal((await run(['backup', '--db', server.db, copy])).code, 0);
  await post(server, range(20, (i) => row(100 + i)));
  await equals(server, tab);
  await tab.evaluate('page.client.flush()');
  await server.terminate();
  const restored = await Server.start({ ...server.options, db: copy, listen: `127.0.0.1:${server.port}` });
  t.after(() => restored.discard());
  await post(restored, range(40, (i) => row(200 + i)));
  await equals(restored, tab);
  assert.equal((await reload(tab)).rows, 90);
  await equals(restored, tab);
});

test('a token that runs out: the page asks for another, and no token stands in a URL', { skip }, async (t) => {
  const key = newKey();
  const server = await Server.forTest(t, { config: { ...CONFIG, auth: { mode: 'signed', keys: [key.x] } } });
  const headers = bearer(tokenOf(key));
  const feed = (mutations) => fetch(`${server.http}/v1/mutations`, { method: 'POST', headers, body: mutations.map((each) => JSON.stringify(each)).join('\n') });
  await feed(range(20, (i) => row(i)));
  const site = await siteFor(t);
  site.token = tokenOf(key, { exp: unixNow() + 3 });
  const tab = await browser.open(t, 'about:blank');
  const urls = [];
  const { event } = tab;
  tab.event = function (message) {
    if (message.method === 'Network.webSocketCreated') urls.push(message.params.url);
    return event.call(this, message);
  };
  await tab.navigate(`${site.url}?token&stele=${encodeURIComponent(server.ws)}`);
  await equals(server, tab);
  await tab.until('page.client.status.error?.code', (code) => code === 'token-expired', 'the token ran out');
  await feed([del(3), row(30)]);
  site.token = tokenOf(key);
  await equals(server, tab);
  assert.ok(urls.length >= 2 && urls.every((url) => !url.includes('eyJ')), urls.join());
});

/** A page of the same site that does something with the database of the client. */
async function withDatabase(t, site, script) {
  const tab = await browser.open(t, `${site.url}?empty`);
  await tab.until('document.readyState', (state) => state === 'complete', 'the other page');
  return tab.evaluate(`(async () => {
    const opened = (request) => new Promise((done, fail) => Object.assign(request, { onsuccess: () => done(request.result), onerror: () => fail(request.error) }));
    const name = ${JSON.stringify('stele ')} + new URL(${JSON.stringify(site.stele)} + '/').href + ' ';
    ${script}
  })()`);
}

test('storage that is cleared while the page shows it: the page goes on, and the next one begins anew', { skip }, async (t) => {
  const { server, site, tab } = await start(t, { rows: 50 });
  await equals(server, tab);
  await tab.evaluate('page.client.flush()');
  assert.equal(await tab.evaluate(`page.client.apply({ export: 'F', key: 'log', patch: { list: [1] }, append: ['list'] }).then(({ applied }) => applied)`), 1);
  assert.equal(await withDatabase(t, site, 'return opened(indexedDB.deleteDatabase(name)).then(() => "deleted");'), 'deleted', 'the page does not hinder it');
  await post(server, [del(1), row(2, { text: 'after' })]);
  await equals(server, tab);
  assert.equal(await tab.evaluate(`page.client.apply({ export: 'F', key: 'log', patch: { list: [2] }, append: ['list'] }).then(({ applied }) => applied)`), 1);
  await tab.evaluate('page.client.flush()');
  assert.deepEqual(await tab.evaluate('[page.client.status.storage, page.client.status.storageError?.code]'), ['memory', 'storage-failed']);
  await tab.evaluate('globalThis.page = undefined');
  await tab.send('Page.reload');
  await equals(server, tab);
  assert.equal(await tab.evaluate('page.client.status.storage'), 'durable');
  assert.equal((await reload(tab)).rows, 49);
  const [[, log]] = await table(server, 'F/list');
  assert.deepEqual(log.list, [1, 2]);
});

test('storage that another tab upgrades, and that does not open for that: memory, soon', { skip }, async (t) => {
  /* Another page has it open and lets nobody change it; a third one waits to upgrade it. */
  const before = (site) => withDatabase(t, site, 'globalThis.held = await opened(indexedDB.open(name, 1)); globalThis.waits = indexedDB.open(name, 7);');
  const { server, tab } = await start(t, { rows: 50, before });
  await equals(server, tab);
  await tab.until('page.client.status.storageError?.code', (code) => code === 'storage-failed', 'the status says so');
  assert.equal(await tab.evaluate(`page.client.apply({ export: 'F', key: 'a', patch: {} }).then(({ applied }) => applied)`), 1);
});

test('storage of a later version of the client: memory, and it is left as it is', { skip }, async (t) => {
  const before = (site) => withDatabase(t, site, 'const request = indexedDB.open(name, 7); request.onupgradeneeded = () => request.result.createObjectStore("later"); (await opened(request)).close();');
  const { server, site, tab } = await start(t, { rows: 50, before });
  await equals(server, tab);
  assert.deepEqual(await tab.evaluate('[page.client.status.storage, page.client.status.storageError?.code]'), ['memory', 'storage-failed']);
  assert.deepEqual(await withDatabase(t, site, 'const it = await opened(indexedDB.open(name)); return [it.version, [...it.objectStoreNames]];'), [7, ['later']]);
});

test('two users of one page have rows of their own', { skip }, async (t) => {
  const { server, url, tab } = await start(t, { rows: 50 });
  await tab.navigate(`${url}&user=ann`);
  await tab.until('globalThis.page && location.search', (search) => search?.includes('ann'), 'the page of ann');
  await equals(server, tab);
  await tab.evaluate('page.client.flush()');
  await server.kill9();
  await tab.navigate(`${url}&user=bob`);
  await tab.until('globalThis.page && location.search', (search) => search?.includes('bob'), 'the page of bob');
  await tab.evaluate('page.view.loaded');
  assert.deepEqual(await tab.evaluate('[page.view.state.status, page.view.state.rows.length]'), ['loading', 0]);
  await tab.navigate(`${url}&user=ann`);
  assert.equal((await tab.until('location.search.includes("ann") && globalThis.page?.first', (first) => first?.shown, 'the kept rows')).rows, 50);
});

test('a page whose clock jumps: rows come all the same, and a good token is not asked for again and again', { skip }, async (t) => {
  const key = newKey();
  const server = await Server.forTest(t, { config: { ...CONFIG, auth: { mode: 'signed', keys: [key.x] } } });
  const headers = bearer(tokenOf(key));
  const feed = (mutations) => fetch(`${server.http}/v1/mutations`, { method: 'POST', headers, body: mutations.map((each) => JSON.stringify(each)).join('\n') });
  await feed(range(20, (i) => row(i)));
  const site = await siteFor(t);
  site.token = tokenOf(key, { exp: unixNow() + 600 });
  const tab = await browser.open(t, 'about:blank');
  await tab.send('Page.addScriptToEvaluateOnNewDocument', { source: 'const now = Date.now; globalThis.wrong = 86_400_000; Date.now = () => now() + wrong;' });
  await tab.navigate(`${site.url}?token&stele=${encodeURIComponent(server.ws)}`);
  await equals(server, tab);
  await new Promise((done) => setTimeout(done, 2500));
  assert.ok(site.asked <= 2, `${site.asked} tokens`);
  for (const [i, wrong] of [-86_400_000, 0, 4e12, -4e12].entries()) {
    await tab.evaluate(`globalThis.wrong = ${wrong}`);
    await feed([del(i), row(i + 10, { text: `clock ${i}` })]);
    await equals(server, tab);
  }
  assert.deepEqual(tab.problems, []);
});
