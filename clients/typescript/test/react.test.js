// The hooks, in React: what a component shows is what the server has, and errors reach it.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createElement as element, StrictMode, Suspense } from 'react';
import { act, create } from 'react-test-renderer';
import { SteleProvider, useRow, useStatus, useView } from '../dist/react.js';
import { clientOf, CONFIG, del, post, range, row, Server, table, within } from './lib.js';

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
  return { until, text };
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
