// The page of browser.test.js, bundled for the browser; `page` is what the test holds of it.

import { SteleClient } from '../dist/index.js';

const parameters = new URLSearchParams(location.search);
const query = { view: 'E/list' };
const began = performance.now();

const client = new SteleClient({
  url: parameters.get('stele'),
  backoff: { first: 0.05, most: 0.5 },
  ...(parameters.has('token') && { token: () => fetch('/token').then((response) => response.text()) }),
});
const view = client.view(query);

const page = { client, view, first: null };
globalThis.page = page;
view.subscribe((state) => {
  if (state.rows.length && !page.first) page.first = { status: state.status, rows: state.rows.length, connection: client.status.connection, ms: performance.now() - began };
  document.body.innerHTML = state.rows.map(({ n, text }) => `<p>${n} ${text}</p>`).join('');
});

/** What it shows, once it is live: key → row. */
page.shown = () => view.state.status === 'live' && Object.fromEntries(view.state.keys.map((key, i) => [key, view.state.rows[i]]));
