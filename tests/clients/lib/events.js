// Server-sent events, read as the standard has it (https://html.spec.whatwg.org, 9.2.6), from a
// socket of Node's http. It keeps all events, and the last id; or it hands each out, and can be cut off.

import { once } from 'node:events';
import { get as getPlain } from 'node:http';
import { get as getOverTls } from 'node:https';
import { within } from './server.js';

export class EventStream {
  /** Resolves with the head of the answer: a stream, or {status, headers, text} where it is none. */
  static async open(url, { headers = {}, each, cutAfter = Infinity, ...options } = {}) {
    const stream = new EventStream();
    Object.assign(stream, { each, cutAfter });
    const get = url.startsWith('https:') ? getOverTls : getPlain;
    stream.request = get(url, { agent: false, headers: { accept: 'text/event-stream', ...headers }, ...options });
    stream.request.on('error', () => {}); /* of later; the first one is awaited */
    const [answer] = await within(once(stream.request, 'response'), `GET ${url}`);
    answer.setEncoding('utf8');
    if (answer.headers['content-type']?.startsWith('text/event-stream')) return stream.#read(answer);
    let text = '';
    for await (const part of answer) text += part;
    return { status: answer.statusCode, headers: answer.headers, text, json: text.startsWith('{') ? JSON.parse(text) : undefined };
  }

  #read(answer) {
    Object.assign(this, { answer, status: answer.statusCode, headers: answer.headers, events: [], comments: 0, lastId: undefined, retry: undefined, taken: 0, ended: false });
    this.rest = '';
    this.event = {};
    answer.on('data', (text) => this.#take(text));
    answer.on('error', () => {});
    this.over = new Promise((done) => answer.on('close', () => {
      this.ended = true;
      this.wake?.();
      done();
    }));
    return this;
  }

  #take(whole) {
    if (this.cutAfter <= 0) return;
    const text = whole.slice(0, this.cutAfter);
    this.cutAfter -= whole.length;
    if (this.cutAfter <= 0) this.destroy();
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop();
    for (const line of lines) this.#line(line);
    this.wake?.();
  }

  #line(line) {
    if (line === '') {
      if (this.event.data !== undefined) {
        if (this.event.id !== undefined) this.lastId = this.event.id;
        const event = { name: this.event.name ?? 'message', id: this.event.id, text: this.event.data, json: JSON.parse(this.event.data) };
        if (this.each) this.each(event, this);
        else this.events.push(event);
      }
      this.event = {};
      return;
    }
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (field === '') this.comments++;
    else if (field === 'event') this.event.name = value;
    else if (field === 'data') this.event.data = this.event.data === undefined ? value : `${this.event.data}\n${value}`;
    else if (field === 'id') this.event.id = value;
    else if (field === 'retry') this.retry = Number(value);
    else throw new Error(`a line of an event stream: ${JSON.stringify(line)}`);
  }

  async #until(isThere, what) {
    while (!isThere()) {
      if (this.ended) throw new Error(`the stream ended before ${what}; it told ${JSON.stringify(this.events.slice(-3))}`);
      await within(new Promise((done) => (this.wake = done)), () => `${what}, behind ${this.events.length} events: ${JSON.stringify(this.events.slice(-3))}`);
    }
  }

  /** The next event. */
  async next(what = 'the next event') {
    await this.#until(() => this.events.length > this.taken, what);
    return this.events[this.taken++];
  }

  /** Events up to the first for which `is` holds. */
  async upTo(is, what = 'an event') {
    const all = [];
    for (;;) {
      const event = await this.next(what);
      all.push(event);
      if (is(event)) return all;
    }
  }

  complete() {
    return this.upTo(({ json }) => json.complete === true, 'the end of the snapshot');
  }

  async comment(count = 1) {
    await this.#until(() => this.comments >= count, 'a comment');
  }

  async end() {
    while (!this.ended) await within(new Promise((done) => (this.wake = done)), 'the end of the stream');
  }

  close() {
    this.request.destroy();
  }

  destroy() {
    this.cutAfter = 0;
    this.close();
  }

  pause() {
    this.answer.pause();
  }

  resume() {
    this.answer.resume();
  }
}
