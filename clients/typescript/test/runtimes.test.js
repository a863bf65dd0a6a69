// The package in other runtimes than this one. They come from npm: `tools/test --only runtimes` installs them, into a folder
// that STELE_RUNTIMES names. Elsewhere those of PATH are taken, and the others are skipped.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { CONFIG, post, range, row, scratch, Server } from './lib.js';

const HERE = dirname(fileURLToPath(import.meta.url));
const folders = [...(process.env.PATH ?? '').split(delimiter)];
if (process.env.STELE_RUNTIMES) folders.unshift(join(process.env.STELE_RUNTIMES, 'node_modules/.bin'));
const find = (name) => folders.map((folder) => join(folder, name)).find(existsSync);

const RUNTIMES = [
  ['this Node', process.execPath, []],
  ['Node 22', find('node22'), []],
  ['Node 26', find('node26'), []],
  ['Bun', find('bun'), []],
  ['Deno', find('deno'), ['run', '--allow-all']],
];

for (const [name, program, args] of RUNTIMES) {
  test(`${name}: a view, kept rows at the second start, and feeding`, { skip: program ? false : 'it is not installed (tools/test --only runtimes)' }, async (t) => {
    const server = await Server.forTest(t, { config: CONFIG });
    await post(server, range(4, (i) => row(i)));
    const { stdout } = await promisify(execFile)(program, [...args, join(HERE, 'smoke.js'), server.ws, scratch(t)], { timeout: 60_000 });
    t.diagnostic((await promisify(execFile)(program, ['--version'])).stdout.split('\n')[0]);
    assert.deepEqual(JSON.parse(stdout), [
      [3, ['row 3', 'row 2', 'row 1'], 1, 'durable'],
      [3, ['row 3', 'changed in live', 'row 1'], 1, 'durable'],
    ]);
  });
}
