// A client that is cut off at random (after so many bytes or frames), reads in fits and starts,
// subscribes anew now and then, and comes back for as long as its run lasts. What it asks for and what
// it makes of the frames is for those who extend it: subscribe(socket), renew(socket), take(message),
// isOpen(), and the name. This is version 1 over a WebSocket; stream_listener.js makes of it one over
// server-sent events, and named_listener.js has version 2.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkMessage, decode } from './client.js';
import { canonPlain } from './json.js';
import { patience } from './server.js';
import { Socket } from './socket.js';

/** What differs between rows and what is expected of them (key → text), or null. One that is `partial`
 * was not sent all: it may lack some. */
export function differenceOf(rows, expected, partial) {
  const found = [];
  for (const [key, want] of expected) {
    const has = rows.get(key);
    if (has === undefined) {
      if (!partial) found.push(`  ${key}: missing; expected ${want}`);
    } else if (canonPlain(has) !== want) {
      found.push(`  ${key}: has      ${canonPlain(has)}\n  ${' '.repeat(key.length)}  expected ${want}`);
    }
  }
  for (const key of rows.keys()) if (!expected.has(key)) found.push(`  ${key}: is held, but is not to be there`);
  return found.length ? found.join('\n') : null;
}

export class Listener {
  /** `run` has the server, `down` while it restarts, and turn(), a moment. */
  constructor(run, random) {
    Object.assign(this, { run, random });
    this.isWindow = false;
    this.protocol = 'version 1';
    this.cuts = 0;
    this.messages = 0;
    this.renewed = 0;
    this.events = [];
    this.stopped = false;
    this.connected = false; /* it has asked, and was not cut off since */
    this.calm = false; /* not cut off any more */
  }

  /** Whoever holds rows: itself, or the subscriptions that it has. */
  get members() {
    return [this];
  }

  note(text) {
    this.events.push(text.length > 700 ? `${text.slice(0, 700)}…` : text);
    if (this.events.length > 4000) this.events.splice(0, 2000);
  }

  async live() {
    while (!this.stopped) {
      const server = this.run.server;
      if (!server?.running || this.run.down) {
        await this.run.turn();
        continue;
      }
      try {
        await this.connect(server);
      } catch (error) {
        if (error.code === 'ERR_ASSERTION' || error.fatal) {
          this.failure = error;
          return;
        }
        await this.run.turn();
      }
    }
  }

  /** Where on the server it connects to. */
  address() {
    return '';
  }

  /** Whether, and where, this connection is to be cut off: after how many bytes, or messages. */
  drawCut() {
    const r = this.random;
    const cut = !this.calm && r.chance(0.7);
    this.cutAfter = cut && r.chance(0.6) ? r.between(1, 6000) : Infinity;
    this.framesLeft = cut && this.cutAfter === Infinity ? r.between(1, 40) : Infinity;
  }

  async connect(server) {
    this.drawCut();
    const socket = await Socket.open(server.ws + this.address(), { cutAfter: this.cutAfter });
    const ended = socket.closed;
    socket.on('violation', (error) => this.fail(error));
    socket.on('message', (bytes, isText) => this.hear(socket, () => decode(bytes, isText)));
    this.begin(socket);
    this.subscribe(socket);
    await ended;
    this.#end();
  }

  begin(socket) {
    this.socket = socket;
    if (this.stopped) socket.destroy(); /* meanwhile */
    this.renewing = false;
    this.connected = true;
  }

  #end() {
    this.connected = false;
    this.cuts++;
    this.note('-- closed');
    this.closed();
    if (this.failure) throw this.failure;
  }

  /** The connection is gone. */
  closed() {}

  /** The end of a connection of another kind. */
  end() {
    this.#end();
  }

  fail(error) {
    this.failure ??= Object.assign(error, { fatal: true });
  }

  /** `read` gives the message. */
  hear(socket, read) {
    if (this.framesLeft <= 0 || this.stopped) return;
    this.messages++;
    try {
      this.heard(socket, read());
    } catch (error) {
      this.fail(error);
      socket.destroy();
      return;
    }
    if (--this.framesLeft <= 0) {
      this.note('-- cut');
      socket.destroy();
    }
    if (!this.calm) this.restless(socket);
    this.changed?.();
  }

  /** What it makes of a message. */
  heard(socket, message) {
    checkMessage(message, { windows: this.isWindow });
    if (message.json.type === 'error') throw new assert.AssertionError({ message: `error frame: ${message.text}` });
    /* What was on its way when we asked anew is not for the new subscription. */
    if (message.json.op === 'subscribed') this.renewing = false;
    if (!this.renewing && message.json.type !== 'pong') {
      this.note(message.text);
      this.take(message);
    }
  }

  /** What it does of its own accord now and then. */
  restless(socket) {
    const r = this.random;
    if (!this.renewing && this.isOpen() && r.chance(0.03)) this.renew(socket);
    this.dawdle(socket);
  }

  dawdle(socket) {
    const r = this.random;
    if (!r.chance(0.03)) return;
    socket.pause();
    setTimeout(() => socket.resume(), r.between(1, 60));
  }

  stop() {
    this.stopped = true;
    this.socket?.destroy();
  }

  /** Wait until nothing differs (`difference` says what, or null) and `settled`; else throw, with all
   * that it saw in a file of that name, and `more`. */
  async agreed(difference, settled, file, more = '', name = this.name) {
    const until = Date.now() + patience(15_000);
    const failed = (what) => {
      const path = join(tmpdir(), file);
      writeFileSync(path, `${name}: ${what}\n${more}\n${this.events.join('\n')}\n`);
      return new Error(`${name}: ${what}\nall it saw is in ${path}; in the end:\n${this.events.slice(-16).join('\n')}\n${more}`);
    };
    for (;;) {
      if (this.failure) throw failed(this.failure.message);
      const found = difference();
      if (!found && settled()) return;
      if (Date.now() > until) throw failed(`did not converge:\n${found ?? '  nothing differs, but it is not through'}`);
      await new Promise((done) => {
        const timer = setTimeout(done, 20);
        this.changed = () => {
          clearTimeout(timer);
          setTimeout(done, 2);
        };
      });
    }
  }
}

/** One that holds rows: `applier` has them, `partial` says that it was not sent all, `projected` that it
 * is not shown all of each. */
export class RowListener extends Listener {
  changesSomething(frame, text) {
    assert.notEqual(frame.op, 'snapshot', `a snapshot after the last: ${text.slice(0, 200)}`);
    const held = this.applier.rows.get(frame.key);
    if (frame.op === 'delete') assert.ok(held !== undefined, `a delete of what it never had: ${text.slice(0, 200)}`);
    /* What a projection hides may have changed, under a seq used before. */
    else if (held !== undefined && !this.projected) {
      assert.notEqual(canonPlain(frame.data), canonPlain(held), `an upsert that changes nothing: ${text.slice(0, 300)}`);
    }
  }

  difference(expected) {
    return differenceOf(this.applier.rows, expected, this.partial);
  }
}
