// The same scenarios (lib/scenarios.js) for the published clients of both versions of the protocol, unmodified, against
// one server at the same time: at each check all of them have the same rows, in the same order, and SQL has them.

import assert from 'node:assert/strict';
import test from 'node:test';
import { canonDouble, canonPlain, parse } from './lib/json.js';
import { missing } from './lib/python_sdk.js';
import { Npm, Python, ReactPage, isOrdered } from './lib/scenario_clients.js';
import { SCENARIOS } from './lib/scenarios.js';
import { Server, eventually, patience, sqlView } from './lib/server.js';
import { newKey, tokenOf, unixNow } from './lib/token.js';

const WRITER = 'writer-token-0123456789';

class Play {
  constructor(t, { exports, scopes }) {
    Object.assign(this, { t, exports, scopes, asked: new Map() });
  }

  /* The clients ask for the next token 60 s before the end of the one that they have. */
  async begin() {
    const key = newKey();
    const claims = { iss: 'https://issuer.example', aud: 'stele' };
    const auth = this.scopes && { mode: 'signed', keys: [key.x], issuer: claims.iss, audience: claims.aud, tokens: [{ token: WRITER, scope: 'write' }] };
    this.server = await Server.forTest(this.t, { config: { exports: this.exports, ...(auth ? { auth } : {}) } });
    const token = (row_scopes, seconds) => ({ token: tokenOf(key, { ...claims, row_scopes, exp: unixNow() + seconds }), expires_at: unixNow() + seconds });
    const tokens = this.scopes && (() => this.scopes.map((scopes, i) => token(scopes, i === 0 ? 60 + patience(6) : 3600)));
    const views = ['list', 'state', 'append', ...Object.keys(this.exports.Q.views)].map((view) => `Q/${view}`);
    this.clients = await Promise.all([Python, Npm, ReactPage].map((Client) => Client.start(this.t, this.server, { views, tokens })));
  }

  async feed(mutations) {
    const headers = this.scopes ? { authorization: `Bearer ${WRITER}` } : {};
    const response = await fetch(`${this.server.http}/v1/mutations`, { method: 'POST', headers, body: mutations.map((each) => JSON.stringify(each)).join('\n') });
    assert.equal(response.status, 200, await response.text());
  }

  async open(subscriptions) {
    for (const [name, subscription] of Object.entries(subscriptions)) {
      this.asked.set(name, subscription);
      for (const client of this.clients) await client.open(name, subscription);
    }
  }

  async restart(how) {
    await this.server[how]();
    await this.server.restart({ samePort: true });
  }

  /** What a client is to have, as text: the keys of the check, each with the row that SQL has. */
  wanted(client, name, keys, rows) {
    const texts = keys.map((key) => `${key} ${canonDouble(parse(rows.get(key).data))}`);
    return this.isOrdered(client, name) ? texts : texts.sort();
  }

  isOrdered(client, name) {
    return isOrdered(this.asked.get(name).view) && !client.isUnordered;
  }

  async has(client, name) {
    const texts = (await client.rows(name)).map(([key, row]) => `${key} ${canonPlain(row)}`);
    return this.isOrdered(client, name) ? texts : texts.sort();
  }

  async check(expected) {
    const rows = await sqlView(this.server.db, 'Q/list');
    const until = Date.now() + patience(30_000);
    for (const [name, keys] of Object.entries(expected)) {
      for (const client of this.clients) {
        const want = this.wanted(client, name, keys, rows);
        /* It asks for its next token when it is time, on a slow machine before what is checked here. */
        const isLate = async () => this.scopes && !this.refreshed && client.hasRefreshed(name);
        let has = await this.has(client, name);
        while (JSON.stringify(has) !== JSON.stringify(want) && Date.now() < until && !(await isLate())) {
          await new Promise((done) => setTimeout(done, 10));
          has = await this.has(client, name);
        }
        if (!(await isLate())) assert.deepEqual(has, want, `${client.name}: ${name}, ${JSON.stringify(this.asked.get(name))}`);
        assert.deepEqual(client.problems, [], client.name);
      }
    }
  }

  /** The clients refresh by themselves. */
  async refresh() {
    for (const name of this.asked.keys()) {
      for (const client of this.clients) await eventually(() => client.hasRefreshed(name), `${client.name} asks for the next token`);
    }
    this.refreshed = true;
  }

  async play(steps) {
    await this.begin();
    for (const step of steps) for (const [what, with_] of Object.entries(step)) await this[what](with_);
  }
}

for (const scenario of SCENARIOS) {
  test(`arete-sdk, hyperstack-typescript and hyperstack-react: ${scenario.name}`, { skip: missing }, (t) => new Play(t, scenario).play(scenario.steps));
}
