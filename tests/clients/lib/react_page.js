// The page of browser.test.js: a list of hyperstack-react in React, nothing more. It is bundled for
// the browser; `page` is what the test holds of it.

import { createElement as element, useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { HyperstackProvider, useHyperstack } from 'hyperstack-react/dist/index.esm.js';

const view = (name) => ({ mode: 'list', view: name });
const stack = {
  name: 'page',
  url: new URLSearchParams(location.search).get('stele'),
  views: { E: { list: view('E/list'), top: view('E/top'), append: view('E/append') } },
};

/* shown: {view, params}, or null for nothing; changed: (ms since the show, rows) at every change of the list */
globalThis.page = { shown: null, changes: [], began: 0 };

function Rows({ name, params }) {
  const { views } = useHyperstack(stack);
  const { data } = views.E[name].use(params);
  return element('ul', null, (data ?? []).map((row) => element('li', { key: row.id, id: row.id }, row.text)));
}

function App() {
  const [shown, show] = useState(null);
  const { isConnected, client } = useHyperstack(stack);
  useEffect(() => {
    page.isConnected = isConnected;
  }, [isConnected]);
  page.client = client;
  page.show = (next) => {
    page.began = performance.now();
    page.changes = [];
    show(next);
  };
  /* The same component with other parameters, as a page that pages; another view is another component. */
  return shown ? element(Rows, { key: shown.view, name: shown.view, params: shown.params }) : element('p', null, 'nothing');
}

/** Wait for a row of Fence/list, on the page's own connection. */
page.fence = (id) => {
  const { client } = page;
  page.fences ??= client.getSubscriptionRegistry().subscribe({ view: 'Fence/list' });
  return new Promise((done) => {
    const look = () => client.store.get('Fence/list', id) && done(stop());
    const stop = client.store.onUpdate(look);
    look();
  });
};

/** What somebody sees: id → text. */
page.seen = () => Object.fromEntries([...document.querySelectorAll('li')].map((row) => [row.id, row.textContent]));

new MutationObserver(() => {
  page.changes.push([performance.now() - page.began, document.querySelectorAll('li').length]);
}).observe(document.body, { childList: true, subtree: true });

createRoot(document.getElementById('root')).render(
  element(HyperstackProvider, { reconnectIntervals: [20, 40, 80], maxReconnectAttempts: 1000, maxEntriesPerView: null }, element(App)),
);
