// SQL views and the views they stand for (offline.md): each view has its own, none lies, none is left over.

import assert from 'node:assert/strict';
import test from 'node:test';
import { clientFor } from './lib/client.js';
import { http, post } from './lib/feed.js';
import { check, run, Server, sql } from './lib/server.js';

const m = (name, key, patch) => ({ export: name, key, patch });
const config = (exports) => ({ exports });
const names = async (db) => (await sql(db, `SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name`)).map(({ name }) => name);
const rows = (db, name) => sql(db, `SELECT key, data FROM "${name}"`);
const gone = (db, name) => assert.rejects(rows(db, name), /no such table/);

const checked = async (server) => run(['check', '--db', server.db, '--config', `${server.db}.config.json`]);

test('a view that was taken out of the configuration goes, and one without its fields shows all', async (t) => {
  const before = { E: { views: {
    slim: { fields: ['n'] }, top: { pipeline: [{ sort: 'n' }] }, list: { fields: ['n'] }, state: { pipeline: [{ sort: 'n' }, { take: 1 }] }, part: { fields: ['n'], keys: ['a'] },
  } }, F: {} };
  const server = await Server.forTest(t, { config: config(before) });
  await post(server, [m('E', 'a', { n: 1, secret: 'x' }), m('E', 'b', { n: 2, secret: 'y' })]);
  assert.ok(!JSON.stringify(await rows(server.db, 'E/list')).includes('secret'));
  assert.equal((await checked(server)).code, 0);
  await server.terminate();
  await server.restart({ config: config({ E: { views: { slim: {}, part: { fields: ['n'] } } } }) });
  assert.deepEqual(await names(server.db), ['E/append', 'E/list', 'E/part', 'E/slim', 'E/state', 'F/append', 'F/list', 'F/state']);
  for (const view of ['E/slim', 'E/list', 'E/state']) {
    const shown = await rows(server.db, view);
    assert.equal(shown.length, 2, view);
    assert.ok(shown.every(({ data }) => data.includes('secret')), view);
  }
  assert.deepEqual((await rows(server.db, 'E/part')).map(({ key }) => key), ['b', 'a']);
  await gone(server.db, 'E/top');
  const told = await checked(server);
  assert.equal(told.code, 0, told.stdout);
  await check(server.db);
  /* All of it out: an open server. */
  await server.terminate();
  await server.restart({ config: {} });
  assert.deepEqual(await names(server.db), ['E/append', 'E/list', 'E/state', 'F/append', 'F/list', 'F/state']);
});

test('check tells SQL views that a configuration does not have, or that show something else', async (t) => {
  const server = await Server.forTest(t, { config: config({ E: { views: { slim: { fields: ['n'] }, top: { pipeline: [{ sort: 'n' }, { take: 2 }] } } } }) });
  await post(server, m('E', 'a', { n: 1, x: 2 }));
  await server.terminate();
  const other = async (exports) => {
    const file = `${server.db}.other.json`;
    await run(['-c', `cat > '${file}'`], { program: 'sh', input: JSON.stringify(config(exports)) });
    return run(['check', '--db', server.db, '--config', file]);
  };
  for (const [exports, says] of [
    [{ E: { views: { top: { pipeline: [{ sort: 'n' }, { take: 2 }] } } } }, /'E\/slim' is there, but the configuration has no such view/],
    [{ E: { views: { slim: { fields: ['x'] }, top: { pipeline: [{ sort: 'n' }, { take: 2 }] } } } }, /'E\/slim' shows something else/],
    [{ E: { views: { slim: { fields: ['n'] }, top: { pipeline: [{ sort: 'n' }, { take: 3 }] } } } }, /'E\/top' shows something else/],
    [{ E: { views: { slim: { fields: ['n'] }, more: {}, top: { pipeline: [{ sort: 'n' }, { take: 2 }] } } } }, /1 configured views have no SQL view/],
    [{ E: { views: { slim: { fields: ['n'] }, list: { fields: ['n'] }, top: { pipeline: [{ sort: 'n' }, { take: 2 }] } } } }, /'E\/list' shows something else/],
  ]) {
    const { code, stdout } = await other(exports);
    assert.equal(code, 1, stdout);
    assert.match(stdout, says);
  }
  /* Changed by hand: without the configuration, too; and mended by the next start. */
  const edit = async (statement) => assert.equal((await run([server.db, statement], { program: 'sqlite3' })).code, 0);
  await edit(`DROP VIEW "E/slim"; CREATE VIEW "E/slim" AS SELECT key, '' AS seq, data FROM entity;`);
  const told = await run(['check', '--db', server.db]);
  assert.equal(told.code, 1);
  assert.match(told.stdout, /SQL view E\/slim is not what view E\/slim shows/);
  await server.restart();
  assert.ok(!(await rows(server.db, 'E/slim'))[0].data.includes('"x"'));
  await check(server.db);
});

test('views that differ by case alone each have a SQL view, and none answers for another', async (t) => {
  const server = await Server.forTest(t, { config: {} });
  await post(server, m('Quake', 'capital', { n: 1 }));
  assert.equal((await rows(server.db, 'Quake/list'))[0].key, 'capital');
  await post(server, m('quake', 'small', { n: 2 }));
  for (const plain of ['quake/list', 'Quake/list', 'QUAKE/LIST', 'quake/append']) await gone(server.db, plain);
  for (const [name, view, key] of [['=^Quake', 'Quake', 'capital'], ['=quake', 'quake', 'small']]) {
    assert.equal((await rows(server.db, `${name}/list`))[0].key, key);
    assert.equal((await rows(server.db, `${name}/state`))[0].key, key);
    assert.equal((await rows(server.db, `${name}/append`))[0].key, key);
    assert.equal((await http(`${server.http}/v1/views/${view}/list`)).json.rows[0].key, key);
    const client = await clientFor(t, server);
    assert.deepEqual((await client.open(`${view}/list`)).order, [key]);
    assert.deepEqual((await sql(server.db, `SELECT name FROM sql_view WHERE view = '${view}/list'`)), [{ name: `${name}/list` }]);
  }
  await check(server.db);
  await server.kill9();
  await server.restart();
  assert.equal((await rows(server.db, '=quake/list'))[0].key, 'small');
  const listed = await run(['views', '--db', server.db]);
  assert.match(listed.stdout, /^Quake\/list\b/m);
  assert.match(listed.stdout, /^quake\/list\b/m);
});

test('a configured view beside a standard one of the same letters', async (t) => {
  const views = { List: { fields: ['n'] }, LIST: { pipeline: [{ sort: 'n' }], fields: ['n'] } };
  const server = await Server.forTest(t, { config: config({ T: { views } }) });
  await post(server, [m('T', 'b', { n: 1, x: 1 }), m('T', 'a', { n: 2, x: 1 })]);
  await gone(server.db, 'T/list');
  const shows = async (name) => (await rows(server.db, name)).map(({ key, data }) => `${key}${Object.keys(JSON.parse(data)).join('')}`);
  assert.deepEqual(await shows('=^T/list'), ['anx_seq', 'bnx_seq']);
  assert.deepEqual(await shows('=^T/^List'), ['an_seq', 'bn_seq']);
  assert.deepEqual(await shows('=^T/^L^I^S^T'), ['bn_seq', 'an_seq']);
  assert.equal((await checked(server)).code, 0);
  await server.terminate();
  await server.restart({ config: config({ T: {} }) });
  assert.deepEqual(await shows('T/list'), ['anx_seq', 'bnx_seq']);
  assert.deepEqual(await names(server.db), ['T/append', 'T/list', 'T/state']);
});

test('after kill -9 in a burst of new exports the file is whole, and the next start makes their SQL views', async (t) => {
  const server = await Server.forTest(t, { config: {} });
  for (let i = 0; i < 400; i++) await post(server, m(`Burst${i}`, 'k', { i }));
  await server.kill9();
  await check(server.db);
  await server.restart();
  assert.equal((await names(server.db)).length, 1200);
  assert.equal((await rows(server.db, 'Burst399/state'))[0].key, 'k');
  await check(server.db);
});

test('a stop makes the SQL views of the newest exports', async (t) => {
  const server = await Server.forTest(t, { config: {} });
  for (let i = 0; i < 400; i++) await post(server, m(`Burst${i}`, 'k', { i }));
  await server.terminate();
  assert.equal((await names(server.db)).length, 1200);
  await check(server.db);
});
