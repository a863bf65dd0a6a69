// The package as a fresh project gets it: packed, installed, type-checked and used; and how big it is.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { buildSync } from 'esbuild';
import { CONFIG, post, range, row, Server } from './lib.js';

const HERE = join(dirname(fileURLToPath(import.meta.url)), '..');
function run(program, args, cwd) {
  try {
    /* Less than a minute: a client that was closed leaves no timer that keeps its process. */
    const timeout = program === 'node' ? 50_000 : undefined;
    return execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout });
  } catch (error) {
    throw new Error(`${program} ${args.join(' ')}: ${error.stdout}${error.stderr}`);
  }
}

test('a fresh project installs it, compiles against its types, and shows a view', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await post(server, range(3, (i) => row(i)));
  const project = mkdtempSync(join(tmpdir(), 'stele-client-project-'));
  t.after(() => rmSync(project, { recursive: true, force: true }));
  const [{ filename, files, size, unpackedSize }] = JSON.parse(run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', project], HERE));
  for (const name of ['README.md', 'dist/index.js', 'dist/index.d.ts', 'dist/node.js', 'dist/react.js', 'dist/tanstack.js', 'dist/check.js']) assert.ok(files.some(({ path }) => path === name), name);
  assert.ok(files.every(({ path }) => /^(dist\/|README\.md$|package\.json$)/.test(path)), JSON.stringify(files.map(({ path }) => path)));

  compare(t, 'the file of npm pack', size, /npm pack` has ([\d,]+) bytes/);
  compare(t, 'what it unpacks', unpackedSize, /and ([\d,]+) unpacked/);

  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'fresh', private: true, type: 'module' }));
  run('npm', ['install', '--offline', '--no-audit', '--no-fund', `./${filename}`], project);
  const installed = JSON.parse(readFileSync(join(project, 'node_modules/stele-client/package.json'), 'utf8'));
  assert.equal(installed.dependencies, undefined, 'nothing else at run time');
  /* What a Node of 20 brings along itself: the class of "ws". */
  symlinkSync(join(HERE, 'node_modules/ws'), join(project, 'node_modules/ws'));
  writeFileSync(join(project, 'main.ts'), `
    import { SteleClient, type Row } from 'stele-client';
    import { fileStorage } from 'stele-client/node';
    interface E { n: number; text: string }
    declare const process: any;
    const { default: WebSocket } = await import('ws' as string);
    const client = new SteleClient({ url: process.argv[2], WebSocket, storage: fileStorage('kept') });
    const view = client.view<E>({ view: 'E/list', where: { field: 'n', gte: 1 }, sort: [{ by: 'n', order: 'desc' }], take: 10 });
    await new Promise<void>((done) => view.subscribe(({ status }) => status === 'live' && done()));
    const first: Row<E> | undefined = view.state.rows[0];
    // @ts-expect-error rows have a type
    void first?.nothing;
    const rows = view.state.rows.length;
    const { applied } = await client.apply({ export: 'E', key: 'k9', patch: { n: 9 } });
    console.log(JSON.stringify({ rows, first: first?.text, applied }));
    await client.close();
  `);
  run(join(HERE, 'node_modules/.bin/tsc'), ['--strict', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2022,dom', 'main.ts'], project);
  const said = JSON.parse(run('node', ['main.js', server.ws], project));
  assert.deepEqual(said, { rows: 2, first: 'row 2', applied: 1 });

  /* What README.md begins with, as it stands there. */
  const open = await Server.forTest(t);
  const [, first] = README.match(/```js\n(.*?)```/s);
  writeFileSync(join(project, 'first.js'), `${first.replace('ws://127.0.0.1:8877', open.ws)}while (view.state.status !== 'live') await new Promise((done) => setTimeout(done, 10));\nawait client.close();\n`);
  assert.match(run('node', ['first.js'], project), /^live \d /m);
});

/** What README.md says under "Sizes"; a figure that is far too high is as wrong as one that is too low. */
const README = readFileSync(join(HERE, 'README.md'), 'utf8');
function compare(t, what, size, pattern) {
  const told = Number(README.match(pattern)?.[1].replaceAll(',', ''));
  t.diagnostic(`${what}: ${size} bytes`);
  assert.ok(size <= told && size > told * 0.8, `${what} has ${size} bytes, and README.md says ${told}`);
}

test('each part has the size that README.md tells; the core at most 6,000 bytes', (t) => {
  const later = ['./feed.js', './sse.js', './upkeep.js']; /* loaded when they are needed */
  for (const [what, entry, external] of [
    ['core', 'index', later], ['feeding', 'feed', []], ['server-sent events', 'sse', []], ['forgetting', 'upkeep', []],
    ['`stele-client/check`', 'check', []], ['`stele-client/react`', 'react', ['react']], ['`stele-client/tanstack`', 'tanstack', []],
  ]) {
    const { outputFiles } = buildSync({
      entryPoints: [join(HERE, `dist/${entry}.js`)], bundle: true, minify: true, format: 'esm', target: 'es2022', platform: 'browser', write: false, external,
    });
    const size = gzipSync(outputFiles[0].contents, { level: 9 }).length;
    compare(t, what, size, new RegExp(`\\| ${what} \\| ([\\d,]+) \\|`));
    if (what === 'core') assert.ok(size <= 6000);
  }
});
