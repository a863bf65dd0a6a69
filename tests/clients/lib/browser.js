// A real browser, driven over its debugging pipe: Chromium, without a window, a profile or a network
// of its own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { patience, within } from './server.js';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const FLAGS = [
  '--headless=new', '--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--no-proxy-server', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-extensions', '--disable-sync',
  '--remote-debugging-pipe',
];

/** The browser's program (STELE_BROWSER, or the first in PATH); undefined: there is none. */
export function browserProgram() {
  if (process.env.STELE_BROWSER) return process.env.STELE_BROWSER;
  const folders = (process.env.PATH ?? '').split(delimiter);
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export class Browser {
  #next = 1;
  #waiting = new Map();
  #tabs = new Map(); /* session → tab */
  #input = '';

  constructor(program) {
    const folder = mkdtempSync('/tmp/stele-test-'); /* a short name: its sockets are in there, too */
    this.folder = folder;
    this.stderr = '';
    this.child = spawn(program, [...FLAGS, `--user-data-dir=${folder}`], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, HOME: folder, TMPDIR: folder },
      detached: true, /* a group of its own: its helpers end with it */
    });
    this.ended = once(this.child, 'exit');
    process.on('exit', () => this.#kill());
    /* It looks for a desktop's bus, and says so, many times. */
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.stderr = (this.stderr + text).replace(/^.*dbus.*\n/gm, '').slice(-5000)));
    const [, , , commands, events] = this.child.stdio;
    this.commands = commands.on('error', () => {});
    events.setEncoding('utf8').on('data', (text) => this.#read(text));
    this.ended.then(() => {
      for (const { fail } of this.#waiting.values()) fail(new Error(`the browser ended: ${this.stderr}`));
    });
  }

  #read(text) {
    const messages = (this.#input + text).split('\0');
    this.#input = messages.pop();
    for (const message of messages.map((each) => JSON.parse(each))) {
      if (message.id === undefined) {
        this.#tabs.get(message.sessionId)?.event(message);
        continue;
      }
      const { done, fail } = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.error) fail(new Error(message.error.message));
      else done(message.result);
    }
  }

  send(method, params = {}, sessionId = undefined) {
    const id = this.#next++;
    const answer = new Promise((done, fail) => this.#waiting.set(id, { done, fail }));
    this.commands.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return within(answer, () => `${method} ${JSON.stringify(params).slice(0, 200)} in the browser; it said: ${this.stderr}`, 60_000);
  }

  /** A tab that shows this page until the test ends. */
  async open(t, url) {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const tab = new Tab(this, sessionId);
    this.#tabs.set(sessionId, tab);
    t.after(() => this.send('Target.closeTarget', { targetId }));
    for (const domain of ['Runtime', 'Network', 'Page', 'Log']) await tab.send(`${domain}.enable`);
    await tab.navigate(url);
    return tab;
  }

  #kill() {
    try {
      process.kill(-this.child.pid, 'SIGKILL');
    } catch {
      /* it has ended */
    }
  }

  async close() {
    this.#kill();
    await this.ended;
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

class Tab {
  sent = []; /* WebSocket messages of the page, */
  frames = []; /* ... and of the server, parsed, in their order */
  problems = []; /* what the console was told as an error, and uncaught exceptions */
  entries = []; /* what the browser itself reports: requests that failed, policies that were broken */
  requests = []; /* {url, headers} of each request of the page */

  constructor(browser, session) {
    this.send = (method, params) => browser.send(method, params, session);
  }

  event({ method, params }) {
    if (method === 'Network.webSocketFrameReceived') {
      const { opcode, payloadData } = params.response;
      if (opcode === 1) this.frames.push(JSON.parse(payloadData));
      if (opcode === 2) this.frames.push(JSON.parse(readBinary(Buffer.from(payloadData, 'base64'))));
    }
    if (method === 'Network.webSocketFrameSent' && params.response.opcode === 1) this.sent.push(JSON.parse(params.response.payloadData));
    if (method === 'Log.entryAdded') this.entries.push(params.entry);
    if (method === 'Network.requestWillBeSent') this.requests.push(params.request);
    if (method === 'Runtime.exceptionThrown') this.problems.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    if (method === 'Runtime.consoleAPICalled' && params.type === 'error') this.problems.push(params.args.map(({ value, description }) => value ?? description).join(' '));
  }

  /**
   * Show this page. It is parsed when this returns: before, its elements are null and its body is empty, which a busy
   * machine lasts out.
   */
  async navigate(url) {
    await this.send('Page.navigate', { url });
    await this.until('document.readyState', (state) => state !== 'loading', `${url} is parsed`);
  }

  /** The value of an expression in the page (a promise is waited for). */
  async evaluate(expression) {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Press a key, or type a text, as a keyboard does. */
  async press(key, { shift = false } = {}) {
    const [code, text] = { Tab: [9], Enter: [13, '\r'], Escape: [27], ArrowDown: [40], ' ': [32, ' '] }[key];
    const event = { key, code: key === ' ' ? 'Space' : key, windowsVirtualKeyCode: code, modifiers: shift ? 8 : 0 };
    await this.send('Input.dispatchKeyEvent', { type: text ? 'keyDown' : 'rawKeyDown', text, ...event });
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', ...event });
  }

  type(text) {
    return this.send('Input.insertText', { text });
  }

  /** How large the window is, and what its user prefers. */
  async look({ width = 1280, height = 900, scheme = 'light' } = {}) {
    await this.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: width < 500 });
    await this.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
  }

  /** The bytes of a picture of what is seen (PNG). */
  async picture() {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png' });
    return Buffer.from(data, 'base64');
  }

  /** Wait until `test` of the expression's value holds; the value. */
  async until(expression, test, what) {
    const end = Date.now() + patience(60_000);
    for (;;) {
      const value = await this.evaluate(expression);
      if (test(value)) return value;
      if (Date.now() > end) throw new Error(`${what}; ${expression}: ${JSON.stringify(value)}; ${this.problems.join('; ')}`);
      await new Promise((done) => setTimeout(done, 10));
    }
  }
}

const readBinary = (bytes) => (bytes[0] === 0x1f ? gunzipSync(bytes) : bytes).toString();
