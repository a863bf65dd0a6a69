// The hooks, in React: what a component shows is what the server has, and errors reach it.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createElement as element, StrictMode, Suspense, useState } from 'react';
import { renderToString } from 'react-dom/server';
import { act, create } from 'react-test-renderer';
import { SteleProvider, useRow, useStatus, useView } from '../dist/react.js';
import { clientOf, CONFIG, del, ends, post, range, row, Server, table, until as viewUntil, within } from './lib.js';

globalThis.IS_REACT_ACT_ENVIRONMENT = true;

async function show(t, server, component, options) {
  const client = clientOf(t, server, options);
  let renderer;
  await act(async () => {
    renderer = create(element(StrictMode, null, element(SteleProvider, { client }, element(Suspense, { fallback: 'waits' }, element(component)))));
  });
  t.after(() => act(() => renderer.unmount()));
  const text = () => JSON.stringify(renderer.toJSON());
  const until = async (holds) => {
    const look = async () => {
      while (!holds(text())) await act(() => new Promise((done) => setTimeout(done, 10)));
    };
    await within(look(), () => `${holds}; it shows ${text()}`);
  };
  return { until, text, client, unmount: () => act(() => renderer.unmount()) };
}

test('useView follows the server, over a kill; useRow is one of its rows', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await post(server, range(15, (i) => row(i)));
  const Page = () => {
    const { rows, status, keys } = useView({ view: 'E/top', take: 3 });
    const one = useRow('E/state', 'k7');
    const { connection } = useStatus();
    return element('p', null, `${status} ${connection} ${keys} ${rows.map(({ text }) => text)} one: ${one.row?.text ?? 'none'} ${one.status}`);
  };
  const page = await show(t, server, Page);
  const check = async (seven) => {
    const wanted = (await table(server, 'E/top')).slice(0, 3);
    const text = `live open ${wanted.map(([key]) => key)} ${wanted.map(([, data]) => data.text)} one: ${seven} live`;
    await page.until((shown) => shown.includes(text));
  };
  await check('row 7');
  await post(server, [del(14), row(7, { text: 'seven' }), row(20)]);
  await check('seven');
  await server.kill9();
  await page.until((shown) => shown.includes('stale waiting') || shown.includes('stale connecting'));
  await server.restart({ samePort: true });
  await post(server, del(7));
  await check('none');
});

test('with suspense a component waits for its first rows, and an error reaches it', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await post(server, row(1));
  const Page = () => {
    const { rows } = useView({ view: 'E/list' }, { suspense: true });
    const { error, status } = useView({ view: 'E/nothing' }, { suspense: true });
    return element('p', null, `${rows.length} rows, ${status}: ${error?.code}`);
  };
  globalThis.window ??= globalThis; /* as a browser has it: a server does not wait */
  const page = await show(t, server, Page);
  await page.until((shown) => shown.includes('1 rows, ended: subscription-rejected'));
});

test('a component that asks for something else shows that; one that goes listens no more', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await post(server, range(15, (i) => row(i)));
  let setTake;
  const Page = () => {
    const [take, set] = useState(2);
    setTake = set;
    const { keys, status } = useView({ view: 'E/top', take });
    return element('p', null, `${status} ${keys}`);
  };
  const page = await show(t, server, Page, { lingerMs: 50 });
  await page.until((shown) => shown.includes('live k14,k13"'));
  await act(() => setTake(3));
  await page.until((shown) => shown.includes('live k14,k13,k12"'));
  const view = page.client.view({ view: 'E/top', take: 3 });
  assert.equal(view.state.status, 'live');
  await page.unmount();
  await ends(view);
});

test('status by itself is followed, and a row that did not change is the same at each render', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await post(server, range(3, (i) => row(i)));
  let again;
  const rows = new Set();
  const Status = () => element('b', null, useStatus().connection);
  const Page = () => {
    again = useState(0)[1];
    const one = useRow('E/state', 'k1');
    if (one.status === 'live') rows.add(one);
    return element('p', null, one.status, element(Status));
  };
  const page = await show(t, server, Page);
  const alone = await show(t, server, Status);
  await alone.until((shown) => shown.includes('open'));
  await page.until((shown) => shown.includes('live') && shown.includes('open'));
  for (let i = 1; i < 4; i++) await act(() => again(i));
  assert.equal(rows.size, 1);
  await server.kill9();
  await alone.until((shown) => shown.includes('waiting') || shown.includes('connecting'));
});

test('on a server a component shows nothing yet, and does not wait', async (t) => {
  const server = await Server.forTest(t, { config: CONFIG });
  await post(server, range(3, (i) => row(i)));
  const client = clientOf(t, server);
  const view = client.view({ view: 'E/list' });
  await viewUntil(view, ({ status }) => status === 'live');
  const Page = () => {
    const { rows, status } = useView({ view: 'E/list' });
    const other = useView({ view: 'E/top' }, { suspense: true });
    return element('p', null, `${status} ${rows.length} ${other.status} ${useStatus().storage}`);
  };
  const { window } = globalThis;
  delete globalThis.window;
  t.after(() => window && (globalThis.window = window));
  assert.equal(renderToString(element(SteleProvider, { client }, element(Page))), '<p>loading 0 loading memory</p>');
});
