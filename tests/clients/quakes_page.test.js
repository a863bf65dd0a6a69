// The page of examples/quakes, served by stele itself, in Chromium: its dots and its table are the rows of the database,
// while they are fed, and again after kill -9 and changes that it missed. It asks nobody else for anything.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { Browser, browserProgram } from './lib/browser.js';
import { post, postAll } from './lib/feed.js';
import { ROOT, Server, sql } from './lib/server.js';

const skip = browserProgram() ? false : 'no chromium is installed (tools/setup test brings it)';
const quakes = readFileSync(join(ROOT, 'tests/data/quakes.ndjson'), 'utf8').trim().split('\n').filter((line) => line.includes('"export":"Quake"'));

let browser;
before(() => {
  if (!skip) browser = new Browser(browserProgram());
});
after(() => browser?.close());

const SHOWN = `JSON.stringify({
  dots: [...document.querySelectorAll('#dots circle')].map((dot) => [Number(dot.getAttribute('cx')), -Number(dot.getAttribute('cy')), dot.textContent, dot.classList[0]].join(' ')).sort(),
  table: [...document.querySelectorAll('#strongest tr')].map((row) => [...row.cells].map((cell) => cell.textContent)),
  count: document.getElementById('count').textContent,
})`;

/** What the page must show, by SQL. */
async function expected(server) {
  const rows = await sql(server.db, `SELECT data FROM "Quake/list"`);
  const entities = rows.map(({ data }) => JSON.parse(data));
  const best = await sql(server.db, `SELECT data FROM "Quake/list" ORDER BY data ->> 'mag' DESC, key LIMIT 12`);
  return JSON.stringify({
    dots: entities.map((quake) => [quake.geo.lon, quake.geo.lat, `${quake.mag ?? '?'} ${quake.place}`, quake.status].join(' ')).sort(),
    table: best.map(({ data }) => JSON.parse(data)).map(({ mag, place, time, status }) => [mag.toFixed(1), place, new Date(time).toISOString().slice(0, 16).replace('T', ' '), status]),
    count: String(entities.length),
  });
}

async function converges(server, tab, what) {
  const want = await expected(server);
  await tab.until(SHOWN, (shown) => shown === want, `${what}: expected ${want.slice(0, 2000)}`);
}

test('the page of the quakes shows what the database holds, over kill -9 too', { skip }, async (t) => {
  const server = await Server.forTest(t, { config: { static_files: join(ROOT, 'examples/quakes') } });
  await postAll(server, quakes.slice(0, 1500));
  const tab = await browser.open(t, `${server.http}/`);
  await converges(server, tab, 'at first');
  await tab.until('document.getElementById("state").textContent', (state) => state === 'live', 'it is live');
  assert.equal(await tab.evaluate('document.getElementById("changes").textContent'), '0');

  await postAll(server, quakes.slice(1500, 3000));
  await post(server, [{ export: 'Quake', key: 'mine', patch: { mag: 9.9, place: '<b>here</b>', time: 1517363399650, status: 'automatic', geo: { lon: 10, lat: 50 } } }]);
  await converges(server, tab, 'while it is fed');
  await post(server, [{ export: 'Quake', key: 'mine', op: 'delete' }]);
  await converges(server, tab, 'after a delete');

  await server.kill9();
  await tab.until('document.getElementById("state").textContent', (state) => state !== 'live', 'it tells that nothing comes');
  await server.restart({ samePort: true });
  await postAll(server, quakes.slice(3000));
  const first = JSON.parse(quakes[0]).key;
  await post(server, [{ export: 'Quake', key: first, op: 'delete' }]);
  await converges(server, tab, 'after kill -9');
  assert.equal(await tab.evaluate('document.getElementById("state").textContent'), 'live');

  const asked = await tab.evaluate('performance.getEntriesByType("resource").map(({ name }) => name)');
  assert.ok(asked.length >= 4 && asked.every((url) => url.startsWith(`${server.http}/`) || url.startsWith('data:')), asked.join(' '));
  assert.deepEqual(tab.problems, []);
});
