// The page of docs/quickstart.md in Chromium, from the server's own folder: it shows the orders as they come, change and
// go, and again after kill -9.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { Browser, browserProgram } from './lib/browser.js';
import { post } from './lib/feed.js';
import { ROOT, Server, scratch } from './lib/server.js';

const skip = browserProgram() ? false : 'no chromium is installed (tools/setup test brings it)';
let browser;
before(() => {
  if (!skip) browser = new Browser(browserProgram());
});
after(() => browser?.close());

const order = (key, patch) => ({ export: 'Order', key, patch });
const shows = (tab, ...lines) => tab.until('[...document.querySelectorAll("li")].map((item) => item.textContent).join("|")', (text) => text === lines.join('|'), lines.join('|'));

test('the page of the quickstart', { skip }, async (t) => {
  const server = await Server.forTest(t, { config: { static_files: join(ROOT, 'examples/quickstart') } });
  await post(server, [order('1', { customer: 'Ada', total: 12.5 })]);
  const tab = await browser.open(t, `${server.http}/`);
  await shows(tab, '1: Ada, 12.5');
  await post(server, [order('2', { customer: '<b>Grace</b>', total: 99 }), order('1', { total: 13 })]);
  await shows(tab, '1: Ada, 13', '2: <b>Grace</b>, 99');
  await server.kill9();
  await server.restart({ samePort: true });
  await post(server, [{ export: 'Order', key: '1', op: 'delete' }, order('3', { customer: 'Edsger', total: 7 })]);
  await shows(tab, '2: <b>Grace</b>, 99', '3: Edsger, 7');
  assert.deepEqual(tab.problems, []);
});

const client = (name) => join(ROOT, 'clients/typescript/src', name);
const modules = (name) => fileURLToPath(new URL(`node_modules/${name}`, import.meta.url));
test('the page with React and stele-client', { skip: skip || (existsSync(client('index.ts')) ? false : 'there is no client for TypeScript') }, async (t) => {
  const printed = readFileSync(join(ROOT, 'docs/quickstart.md'), 'utf8').match(/```jsx\n(.*?)\n```/s)[1];
  assert.ok(readFileSync(join(ROOT, 'examples/quickstart/react.jsx'), 'utf8').includes(printed), 'what docs/quickstart.md shows is in the file');
  const folder = scratch(t);
  await build({
    entryPoints: [join(ROOT, 'examples/quickstart/react.jsx')], outfile: join(folder, 'page.js'), bundle: true, format: 'iife', platform: 'browser',
    jsx: 'automatic', define: { 'process.env.NODE_ENV': '"production"' }, logLevel: 'silent',
    alias: { 'stele-client/react': client('react.ts'), 'stele-client': client('index.ts'), react: modules('react'), 'react-dom': modules('react-dom') },
  });
  writeFileSync(join(folder, 'index.html'), '<!doctype html><title>Orders</title><link rel=icon href=data:,><div id=root></div><script src=page.js></script>');
  const server = await Server.forTest(t, { config: { static_files: folder } });
  await post(server, [order('1', { customer: 'Ada', total: 12.5 }), order('2', { customer: 'Grace', total: 99 })]);
  const tab = await browser.open(t, `${server.http}/`);
  await shows(tab, 'Grace: 99', 'Ada: 12.5');
  await post(server, [order('1', { total: 100 })]);
  await shows(tab, 'Ada: 100', 'Grace: 99');
  await server.kill9();
  await server.restart({ samePort: true });
  await post(server, [order('3', { customer: 'Edsger', total: 99.5 }), { export: 'Order', key: '2', op: 'delete' }]);
  await shows(tab, 'Ada: 100', 'Edsger: 99.5');
  assert.deepEqual(tab.problems.filter((text) => !/WebSocket/.test(text)), []);
});
