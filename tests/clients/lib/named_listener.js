// A listener of version 2: one connection with several subscriptions that it names. Each of them (NamedMember) has a
// store (named.js), and holds rows, as a listener of version 1 does. Now and then it ends one and begins it anew, with its
// cursor or without, and asks under an id that is in use.

import assert from 'node:assert/strict';
import { canonPlain } from './json.js';
import { Listener, differenceOf } from './listener.js';
import { NamedStore } from './named.js';

/* Of each the text in JSON. */
const IDS = ['s', 'ä \\"quoted\\" \\\\', '📈'];

/* The store of a subscription goes on behind these, from the beginning. */
const LOST = ['cursor-expired', 'cursor-unknown', 'cursor-epoch-changed', 'subscription-rescoped'];

/** The rules that hold for every message of version 2. */
export function checkNamed({ json, text, binary, gzip, bytes }) {
  const tell = text.slice(0, 300);
  assert.equal(json.protocolVersion, 2, tell);
  assert.equal(binary, json.type !== 'error', `data is binary, and errors are text: ${tell}`);
  if (json.type === 'error') {
    for (const [name, type] of [['error', 'string'], ['message', 'string'], ['code', 'string'], ['retryable', 'boolean'], ['fatal', 'boolean']]) {
      assert.equal(typeof json[name], type, `error's ${name}: ${tell}`);
    }
    return;
  }
  if (gzip) assert.ok(json.op === 'snapshot' && bytes < Buffer.byteLength(text), `compressed: ${tell}`);
  if (json.op === 'delete' || json.op === 'remove') assert.equal(json.data, null, tell);
  const rows = json.op === 'snapshot' ? json.data.map(({ data }) => data) : json.op === 'upsert' || json.op === 'patch' ? [json.data] : [];
  for (const row of rows) assert.match(row._version ?? '', /^[0-9a-f]{8}:[0-9]+$/, tell);
}

const bare = ({ _version, ...row }) => row;

export class NamedMember {
  /** `query`: JSON text of its members without `after`. behaviour: resume (with its cursor), quiet (no snapshot),
   * asFrames (no snapshot when it resumes). What it holds may be less than all (`partial`), or less of each object
   * (`projected`); `isWindow`: it gets whole rows; `counts`: and each for a
   * reason; `scoped`: a token says what it sees. */
  constructor(view, query, { resume = true, quiet = false, asFrames = false, ...more } = {}) {
    Object.assign(this, { view, query, resume, quiet, asFrames, isTape: view.endsWith('/append'), partial: quiet, ...more });
    if (this.isTape) this.partial = this.quiet = this.isWindow = this.counts = false;
    this.store = new NamedStore(view);
    this.liveFrames = 0;
    this.name = `version 2: ${query}${resume ? '' : ' begins anew'}${this.quiet ? ' without a snapshot' : ''}${asFrames ? ' resumes by frames' : ''}`;
  }

  /** The message that begins it under this id, which stands in JSON. A snapshot replaces the rows that it has. */
  message(id) {
    const { store } = this;
    const after = this.resume ? store.cursor : undefined;
    const quiet = !this.isTape && (this.quiet || (this.asFrames && after !== undefined));
    if (after === undefined && (quiet || this.isTape)) store.forget();
    store.begin(JSON.parse(`"${id}"`), { quiet });
    this.id = id;
    const origin = this.isTape || store.epoch === undefined || this.connection.random.chance(0.2) ? '' : `,"epoch":${JSON.stringify(store.epoch)}`;
    const query = after === undefined ? this.query : `${this.query},"after":${JSON.stringify(after)}${origin}`;
    return `{"type":"subscribe","protocolVersion":2,"subscriptionId":"${id}","query":{${query}}${quiet ? ',"snapshot":{"enabled":false}' : ''}}`;
  }

  take(frame, text) {
    const { store } = this;
    /* Who has a scope cannot tell a row that is gone from one that is out of sight. */
    if (this.isTape || this.scoped) assert.notEqual(frame.op, this.isTape ? 'remove' : 'delete', text);
    if (!this.isTape) assert.equal(frame.offset, undefined, text);
    if (this.isWindow) assert.notEqual(frame.op, 'patch', `a patch in a window: ${text}`);
    if (this.counts && store.told && !this.partial && !store.quiet) this.#count(frame, text);
    store.take(frame);
    if (frame.op === 'snapshot' || frame.op === 'upsert') this.#versions(frame, text);
  }

  /** A window that has told all tells nothing without a reason. */
  #count(frame, text) {
    this.liveFrames++;
    if (frame.op === 'snapshot') {
      assert.ok(this.scoped && frame.authoritative, `a snapshot after the last: ${text}`);
      return;
    }
    const held = this.store.rows.get(frame.key);
    if (frame.op === 'delete' || frame.op === 'remove') assert.ok(held, `${frame.op} of what it never had: ${text}`);
    else if (held && !this.projected) assert.notEqual(canonPlain(bare(frame.data)), canonPlain(bare(held)), `an upsert that changes nothing: ${text}`);
  }

  /* One version is one object, whichever subscription of the connection brought it, and over all connections. */
  #versions(frame, text) {
    if (this.keyedByField || this.isTape) return; /* the rows of the former are of several keys */
    for (const { key, data } of frame.op === 'snapshot' ? frame.data : [frame]) {
      const name = JSON.stringify([this.view, key, data._version]);
      const row = canonPlain(data);
      const { versions } = this.connection;
      if (versions.has(name)) assert.equal(row, versions.get(name), `two objects of one version: ${text}`);
      versions.set(name, row);
    }
  }

  rows() {
    return new Map([...this.store.rows].map(([key, row]) => [key, bare(row)]));
  }

  difference(expected) {
    if (this.isTape) return this.tapeDifference(expected);
    return differenceOf(this.rows(), expected, this.partial);
  }

  /** What events make of rows; of some keys that they told in part nothing is known. */
  tapeDifference(expected) {
    const { store } = this;
    const all = store.fromStart;
    const known = (key) => all || store.whole.has(key);
    const only = (map) => new Map([...map].filter(([key]) => known(key)));
    return differenceOf(only(this.rows()), only(expected), false);
  }

  get opened() {
    return this.connected && this.store.told;
  }

  get connected() {
    return this.connection.connected;
  }

  get cuts() {
    return this.connection.cuts;
  }

  agreed(difference, settled, file, more) {
    return this.connection.agreed(difference, settled, file, more, this.name);
  }
}

export class NamedListener extends Listener {
  constructor(run, members, random) {
    super(run, random);
    this.protocol = 'version 2';
    this.subscriptions = members;
    this.name = members.map(({ name }) => name).join('; ');
    this.versions = new Map();
    this.names = 0;
    this.probed = 0; /* answers to come, because an id was in use */
    for (const member of members) member.connection = this;
  }

  get members() {
    return this.subscriptions;
  }

  get liveFrames() {
    return this.subscriptions.reduce((sum, { liveFrames }) => sum + liveFrames, 0);
  }

  subscribe(socket) {
    this.ids = new Map(); /* id → {member, leaving} */
    for (const member of this.subscriptions) this.ask(socket, member);
  }

  ask(socket, member) {
    const id = `${this.random.pick(IDS)}${++this.names}`;
    const text = member.message(id);
    this.note(`>> ${text}`);
    this.ids.set(member.store.id, { member, leaving: false });
    socket.send(text);
  }

  /** End it, and begin it anew. */
  renew(socket, member) {
    this.note(`>> unsubscribe ${member.id}`);
    this.ids.get(member.store.id).leaving = true;
    socket.send(`{"type":"unsubscribe","protocolVersion":2,"subscriptionId":"${member.id}"}`);
    this.ask(socket, member);
  }

  heard(socket, message) {
    const { json: frame, text } = message;
    const tell = text.slice(0, 300);
    checkNamed(message);
    this.note(text);
    if (frame.code === 'duplicate-subscription-id') return assert.ok(this.probed-- > 0, tell);
    const at = this.ids.get(frame.subscriptionId);
    assert.ok(at, `of no subscription: ${tell}`);
    const { member, leaving } = at;
    if (frame.op === 'unsubscribed' || (leaving && frame.code === 'unknown-subscription-id')) {
      assert.ok(leaving, `ended by itself: ${tell}`);
      this.ids.delete(frame.subscriptionId);
    } else if (frame.type === 'error') {
      assert.ok(LOST.includes(frame.code) && member.isTape && !frame.fatal, `refused: ${tell}`);
      if (!leaving) this.#beginAgain(socket, member, frame);
    } else if (!leaving) {
      member.take(frame, tell);
      /* Who wants no snapshot gets none. */
      if (member.asFrames && frame.op === 'subscribed' && frame.resumed === false) {
        member.store.forget();
        this.renew(socket, member);
      }
    }
  }

  #beginAgain(socket, member, { subscriptionId }) {
    this.ids.delete(subscriptionId);
    member.store.forget();
    this.ask(socket, member);
  }

  restless(socket) {
    const r = this.random;
    const member = r.pick(this.subscriptions);
    if (r.chance(0.03)) this.renew(socket, member);
    else if (r.chance(0.01) && !member.isTape) {
      this.probed++;
      socket.send(`{"type":"subscribe","protocolVersion":2,"subscriptionId":"${member.id}","query":{${member.query}}}`);
    }
    this.dawdle(socket);
  }
}

/** Members by some at a time. */
export function gather(members, random, make) {
  const all = [...members];
  const made = [];
  while (all.length) made.push(make(all.splice(0, random.between(1, 4)), made.length));
  return made;
}
