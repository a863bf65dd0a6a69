// A listener of version 1 (listener.js) over server-sent events, as a browser's EventSource has them: it sends the last
// id again, forgets its rows at a `subscribed` that does not say that it goes on, and cannot ask anew on a connection.

import assert from 'node:assert/strict';
import { Applier } from './applier.js';
import { EventStream } from './events.js';
import { print, parse } from './json.js';

/** The store: the rows, and the id that a browser keeps. */
export class StreamApplier extends Applier {
  lastId = '';

  apply(frame) {
    if (frame.op === 'subscribed' && frame.resumed !== true) this.drop();
    super.apply(frame);
  }

  /** The id of an event that was applied, if it had one. */
  note(id, { op, seq, resumed }) {
    if (seq !== undefined) assert.equal(id, `${seq}@${this.epoch}`);
    else assert.equal(id, op === 'subscribed' && resumed !== true ? '' : undefined);
    if (id !== undefined) this.lastId = id;
  }
}

/** The path of a subscription with these parameters, whose filters, where and sort are JSON texts; undefined when it
 * cannot be asked by HTTP. */
export function livePath({ view, key, take, skip, filters, where, sort, snapshotLimit, withSnapshot }, token) {
  const query = new URLSearchParams(token === undefined ? {} : { token });
  for (const [name, value] of Object.entries({ key, take, skip, where, sort })) if (value !== undefined) query.append(name, value);
  const asked = [...(filters ? parse(filters) : [])];
  const isScalar = ([path, value]) => !Array.isArray(value) && !(value instanceof Map) && !path.includes(':');
  if (snapshotLimit !== undefined || withSnapshot === false || !asked.every(isScalar)) return undefined;
  for (const [path, value] of asked) query.append('filter', `${path}:${print(value)}`);
  return `/v1/views/${view}/live?${query}`;
}

/** `Base` has asking(), which is called before each connection, and path(). */
export const streaming = (Base) => class extends Base {
  constructor(...args) {
    super(...args);
    this.protocol = 'server-sent events';
    this.applier = new StreamApplier();
    this.name = `${this.name} over SSE`;
  }

  async connect(server) {
    this.drawCut();
    const { lastId } = this.applier;
    const headers = lastId === '' ? {} : { 'last-event-id': lastId };
    this.renewing = false;
    this.asking();
    this.note(`>> ${this.path()} ${lastId}`);
    const each = (event, stream) => this.hear(stream, () => ({ text: event.text, json: event.json, binary: true, event }));
    const stream = await EventStream.open(server.http + this.path(), { headers, cutAfter: this.cutAfter, each });
    if (stream.status !== 200) throw new assert.AssertionError({ message: `refused: ${stream.status} ${stream.text}` });
    this.begin(stream);
    await stream.over;
    this.end();
  }

  heard(stream, message) {
    const { event } = message;
    if (event.name === 'end') return;
    assert.equal(event.name, event.json.op ?? 'error');
    super.heard(stream, message);
    this.applier.note(event.id, event.json);
  }

  restless(stream) {
    this.dawdle(stream);
  }
};
