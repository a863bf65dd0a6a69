// Server-sent events, read as the standard has it (https://html.spec.whatwg.org, 9.2.6), from a
// socket of Node's http. It keeps all events, and the last id.

import { once } from 'node:events';
import { get } from 'node:http';
import { within } from './server.js';

export class EventStream {
  /** Resolves with the head of the answer: a stream, or {status, headers, text} where it is none. */
  static async open(url, { headers = {}, ...options } = {}) {
    const stream = new EventStream();
    stream.request = get(url, { agent: false, headers: { accept: 'text/event-stream', ...headers }, ...options });
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
    answer.on('close', () => {
      this.ended = true;
      this.wake?.();
    });
    return this;
  }

  #take(text) {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop();
    for (const line of lines) this.#line(line);
    this.wake?.();
  }

  #line(line) {
    if (line === '') {
      if (this.event.data !== undefined) {
        if (this.event.id !== undefined) this.lastId = this.event.id;
        this.events.push({ name: this.event.name ?? 'message', id: this.event.id, text: this.event.data, json: JSON.parse(this.event.data) });
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
}
