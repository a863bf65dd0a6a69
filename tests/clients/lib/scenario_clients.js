// The published clients behind one interface, for scenarios.test.js: open(name, subscription), rows(name) → [key, row] in
// the client's order (unless it isUnordered), hasRefreshed(name) (its second token), and problems. `tokens` makes the two
// that it is given.

import { createRequire } from 'node:module';
import { HyperstackProvider, useHyperstack } from 'hyperstack-react/dist/index.esm.js';
import { HyperStack } from 'hyperstack-typescript';
import WebSocket from 'ws';
import { PythonSdk } from './python_sdk.js';

const isOrdered = (view) => !view.endsWith('/append') && !view.endsWith('/state');
export { isOrdered };

/** arete-sdk: all subscriptions on one connection. Rows name their key in `id`. */
export class Python {
  name = 'arete-sdk';
  problems = [];

  static async start(t, server, { views, tokens }) {
    const it = new Python();
    it.sdk = PythonSdk.start(t);
    it.opened = new Map();
    await it.sdk.do('asked'); /* it has begun, so its first token is good for as long as it is */
    await it.sdk.do('connect', { url: `${server.ws}/`, views, attempts: 300, ...(tokens ? { tokens: tokens() } : {}) });
    return it;
  }

  async open(name, { view, key, ...options }) {
    this.opened.set(name, { view, key, options });
    await this.sdk.do('watch', { name, view, key, options });
  }

  async rows(name) {
    const { view, key, options } = this.opened.get(name);
    const error = this.sdk.of(name).find((each) => each.error);
    if (error) throw new Error(`${this.name}: ${JSON.stringify(error)}`);
    const data = await this.sdk.do('sync', { view, key, options });
    const rows = data === null ? [] : Array.isArray(data) ? data : [data];
    return rows.map(({ _version, ...row }) => [row.id, row]);
  }

  async hasRefreshed() {
    return (await this.sdk.do('asked')) > 1;
  }
}

/* Node 20 has none of its own. */
globalThis.WebSocket ??= class extends WebSocket {
  constructor(url) {
    super(url);
    this.binaryType = 'arraybuffer';
  }
};

/** hyperstack-typescript: a connection for each subscription, because it keeps the rows of a view in one place. */
export class Npm {
  name = 'hyperstack-typescript';
  problems = [];

  static async start(t, server, { tokens }) {
    const it = new Npm();
    Object.assign(it, { t, server, tokens, opened: new Map() });
    return it;
  }

  async open(name, { view, ...subscription }) {
    const [, mode] = view.split('/');
    const mine = { view, asked: 0 };
    const tokens = this.tokens?.();
    const getToken = async () => {
      const { token, expires_at: expiresAt } = tokens[Math.min(mine.asked++, tokens.length - 1)];
      return { token, expiresAt };
    };
    const auth = tokens && { getToken };
    const stack = { name, views: { Q: { [mode]: { mode: mode === 'state' ? 'state' : 'list', view } } } };
    const client = await HyperStack.connect(stack, { url: this.server.ws, maxEntriesPerView: null, reconnectIntervals: [20, 20, 40, 80, 160, 320], maxReconnectAttempts: 300, ...(auth ? { auth } : {}) });
    client.onSocketIssue((issue) => this.problems.push(issue));
    this.t.after(() => client.disconnect());
    client.getSubscriptionRegistry().subscribe({ view, ...subscription });
    this.opened.set(name, Object.assign(mine, { client }));
  }

  async rows(name) {
    const { client: { store }, view } = this.opened.get(name);
    const keyOf = new Map(store.keys(view).map((key) => [store.get(view, key), key]));
    return store.getAll(view).map((row) => [keyOf.get(row), row]);
  }

  async hasRefreshed(name) {
    return this.opened.get(name).asked > 1;
  }
}

const require = createRequire(import.meta.url);
const { createElement: element } = require('react');
const { create } = require('react-test-renderer');

/** hyperstack-react: a page for each subscription, which shows what its hooks give. They sort nothing. */
export class ReactPage {
  name = 'hyperstack-react';
  isUnordered = true;
  problems = [];

  static async start(t, server, { tokens }) {
    const it = new ReactPage();
    Object.assign(it, { t, server, tokens, opened: new Map() });
    return it;
  }

  async open(name, { view, key, ...params }) {
    const [, member] = view.split('/');
    const isState = member === 'state';
    const mine = { view, isState, asked: 0, data: undefined };
    const stack = { name, url: this.server.ws, views: { Q: { [member]: { mode: isState ? 'state' : 'list', view } } } };
    const Page = () => {
      const { views, client } = useHyperstack(stack);
      const { data } = isState ? views.Q[member].use({ id: key }) : views.Q[member].use(params);
      Object.assign(mine, { client, data });
      return null;
    };
    const tokens = this.tokens?.();
    const getToken = async () => {
      const { token, expires_at: expiresAt } = tokens[Math.min(mine.asked++, tokens.length - 1)];
      return { token, expiresAt };
    };
    const page = create(element(HyperstackProvider, {
      maxEntriesPerView: null, flushIntervalMs: 0, reconnectIntervals: [20, 20, 40, 80, 160, 320], maxReconnectAttempts: 300, ...(tokens ? { auth: { getToken } } : {}),
    }, element(Page)));
    this.t.after(() => page.unmount());
    this.opened.set(name, mine);
  }

  async rows(name) {
    const { client, view, isState, data } = this.opened.get(name);
    const shown = data === undefined || data === null ? [] : Array.isArray(data) ? data : [data];
    if (!client) return [];
    const { store } = client;
    /* With a `take` of 1 the hook gives a row, and no list: if the store has others, they are too many. */
    if (!isState && data !== undefined && !Array.isArray(data)) shown.push(...store.getAll(view).slice(1));
    const keyOf = new Map(store.keys(view).map((key) => [store.get(view, key), key]));
    return shown.map((row) => [keyOf.get(row), row]);
  }

  async hasRefreshed(name) {
    return this.opened.get(name).asked > 1;
  }
}
