// The page of browser.test.js, bundled for the browser; `page` is what the test holds of it.

import { SteleClient } from '../dist/index.js';

const parameters = new URLSearchParams(location.search);
const query = { view: 'E/list' };

const client = new SteleClient({
  url: parameters.get('stele'),
  backoff: { first: 0.05, most: 0.5 },
  ...(parameters.has('user') && { user: parameters.get('user') }),
  ...(parameters.has('token') && { token: () => fetch('/token').then((response) => response.text()) }),
});
const view = client.view(query);

const page = { client, view, first: null };
globalThis.page = page;

/** Milliseconds since the page's script began. */
const now = () => performance.now() - performance.getEntriesByName('script')[0].startTime;

view.subscribe((state) => {
  const isFirst = state.rows.length > 0 && !page.first;
  if (isFirst) page.first = { status: state.status, rows: state.rows.length, told: now() };
  document.body.innerHTML = state.rows.map(({ n, text }) => `<p>${n} ${text}</p>`).join('');
  if (!isFirst) return;
  void document.body.offsetHeight; /* lays it out */
  page.first.shown = now();
  requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel(); /* a task behind the frame */
    port1.onmessage = () => (page.first.painted = now());
    port2.postMessage(null);
  });
});

/** What it shows, once it is live: key → row. */
page.shown = () => view.state.status === 'live' && Object.fromEntries(view.state.keys.map((key, i) => [key, view.state.rows[i]]));
