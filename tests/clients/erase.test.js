// What is deleted is gone from the file and from backups: see docs/durability.md, "What is deleted".

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { post, postAll } from './lib/feed.js';
import { Server, check, run, scratch, sql } from './lib/server.js';

const range = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const PEOPLE = 50;

/** How often the texts of deleted people stand in a file. */
const left = (file) => readFileSync(file, 'latin1').split('deleted-text-').length - 1;

/** Feed and delete people, have the log trimmed behind them, stop; the server. */
async function forget(t, erase, bytes) {
  const set = { retention_rows: 200, tombstone_seconds: 1, ...(erase ? { erase } : {}) };
  const server = await Server.forTest(t, { set });
  const person = (i) => ({ export: 'P', key: `p${i}`, patch: { name: `deleted-text-${i}-${'x'.repeat(bytes)}` } });
  await post(server, range(PEOPLE, person));
  await postAll(server, range(2000, (i) => ({ export: 'Q', key: `q${i % 300}`, patch: { n: i, pad: 'y'.repeat(i % 90) } })));
  await post(server, range(PEOPLE, (i) => ({ export: 'P', key: `p${i}`, op: 'delete' })));
  await postAll(server, range(2000, (i) => ({ export: 'Q', key: `q${i % 300}`, patch: { n: -i, pad: 'z'.repeat(i % 90) } })));
  while ((await sql(server.db, "SELECT count(*) AS n FROM change WHERE key LIKE 'p%'"))[0].n > 0) await post(server, [{ export: 'Q', key: 'q', patch: {} }]);
  return server;
}

for (const [erase, bytes] of [[undefined, 30], ['full', 30], ['full', 20_000]]) {
  test(`erase ${erase ?? 'as it is by default'}: no text of ${bytes} bytes is left in the file or in a backup`, async (t) => {
    const server = await forget(t, erase, bytes);
    const copy = join(scratch(t), 'copy.db');
    assert.equal((await run(['backup', '--db', server.db, copy])).code, 0);
    await server.terminate();
    assert.deepEqual([left(server.db), left(copy)], [0, 0]);
    await check(server.db);
  });
}

test('erase off leaves them, which is what the others are held against', async (t) => {
  const server = await forget(t, 'off', 30);
  await server.terminate();
  assert.ok(left(server.db) > 0);
});
