// A client that is cut off at random (after so many bytes or frames), reads in fits and starts,
// subscribes anew now and then, and comes back for as long as its run lasts. What it asks for and what
// it makes of the frames is for those who extend it: subscribe(socket), renew(socket), take(message),
// isOpen(), and the name.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkMessage, decode } from './client.js';
import { canonPlain } from './json.js';
import { patience } from './server.js';
import { Socket } from './socket.js';

export class Listener {
  /** `run` has the server, `down` while it restarts, and turn(), a moment. */
  constructor(run, random) {
    Object.assign(this, { run, random });
    this.isWindow = false;
    this.cuts = 0;
    this.renewed = 0;
    this.events = [];
    this.stopped = false;
    this.connected = false; /* it has asked, and was not cut off since */
    this.calm = false; /* not cut off any more */
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
        await this.connect(server.ws);
      } catch (error) {
        if (error.code === 'ERR_ASSERTION' || error.fatal) {
          this.failure = error;
          return;
        }
        await this.run.turn();
      }
    }
  }

  async connect(url) {
    const r = this.random;
    const cut = !this.calm && r.chance(0.7);
    const cutAfter = cut && r.chance(0.6) ? r.between(1, 6000) : Infinity;
    this.framesLeft = cut && cutAfter === Infinity ? r.between(1, 40) : Infinity;
    const socket = await Socket.open(url, { cutAfter });
    this.socket = socket;
    if (this.stopped) socket.destroy(); /* meanwhile */
    const ended = socket.closed;
    socket.on('violation', (error) => this.fail(error));
    socket.on('message', (bytes, isText) => this.hear(socket, bytes, isText));
    this.renewing = false;
    this.connected = true;
    this.subscribe(socket);
    await ended;
    this.connected = false;
    this.cuts++;
    this.note('-- closed');
    if (this.failure) throw this.failure;
  }

  fail(error) {
    this.failure ??= Object.assign(error, { fatal: true });
  }

  hear(socket, bytes, isText) {
    const r = this.random;
    if (this.framesLeft <= 0 || this.stopped) return;
    try {
      const message = decode(bytes, isText);
      checkMessage(message, { windows: this.isWindow });
      if (message.json.type === 'error') throw new assert.AssertionError({ message: `error frame: ${message.text}` });
      /* What was on its way when we asked anew is not for the new subscription. */
      if (message.json.op === 'subscribed') this.renewing = false;
      if (!this.renewing && message.json.type !== 'pong') {
        this.note(message.text);
        this.take(message);
      }
    } catch (error) {
      this.fail(error);
      socket.destroy();
      return;
    }
    if (--this.framesLeft <= 0) {
      this.note('-- cut');
      socket.destroy();
    }
    if (!this.calm && !this.renewing && this.isOpen() && r.chance(0.03)) this.renew(socket);
    if (!this.calm && r.chance(0.03)) {
      socket.pause();
      setTimeout(() => socket.resume(), r.between(1, 60));
    }
    this.changed?.();
  }

  stop() {
    this.stopped = true;
    this.socket?.destroy();
  }

  /** Wait until nothing differs (`difference` says what, or null) and `settled`; else throw, with all
   * that it saw in a file of that name, and `more`. */
  async agreed(difference, settled, file, more = '') {
    const until = Date.now() + patience(15_000);
    const failed = (what) => {
      const path = join(tmpdir(), file);
      writeFileSync(path, `${this.name}: ${what}\n${more}\n${this.events.join('\n')}\n`);
      return new Error(`${this.name}: ${what}\nall it saw is in ${path}; in the end:\n${this.events.slice(-16).join('\n')}\n${more}`);
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

  /** What differs from the expected rows (key → text), or null. */
  difference(expected) {
    const { rows } = this.applier;
    const found = [];
    for (const [key, want] of expected) {
      const has = rows.get(key);
      if (has === undefined) {
        if (!this.partial) found.push(`  ${key}: missing; expected ${want}`);
      } else if (canonPlain(has) !== want) {
        found.push(`  ${key}: has      ${canonPlain(has)}\n  ${' '.repeat(key.length)}  expected ${want}`);
      }
    }
    for (const key of rows.keys()) if (!expected.has(key)) found.push(`  ${key}: is held, but is not to be there`);
    return found.length ? found.join('\n') : null;
  }
}
