// HTTP by the byte: what no decent client sends, and how it comes.

import { connect } from 'node:net';
import { within } from './server.js';

/** Sends bytes as they are; the answer is whole when its header has come and `more` matches. */
export class Raw {
  constructor(port) {
    this.text = '';
    this.tcp = connect(port, '127.0.0.1');
    this.tcp.setEncoding('utf8').on('data', (text) => (this.text += text));
    this.tcp.on('error', () => {});
  }

  send(text) {
    this.tcp.write(text);
  }

  /** The server is ready for the body that was announced by Expect: 100-continue. */
  async proceeds() {
    while (!this.text.includes('100 Continue')) await within(new Promise((done) => this.tcp.once('data', () => setImmediate(done))), () => `the server to take the body: ${this.text}`);
    this.text = '';
  }

  async answer(more = /^HTTP\/1\.1 \d+[^]*\r\n\r\n/) {
    const ended = new Promise((done) => this.tcp.once('close', done));
    while (!more.test(this.text)) {
      const news = new Promise((done) => this.tcp.once('data', () => setImmediate(done)));
      const end = await within(Promise.race([news, ended.then(() => 'end')]), () => `an answer behind: ${this.text}`);
      if (end === 'end') break;
    }
    this.tcp.destroy();
    return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(this.text)?.[1] ?? 0), code: /^X-Error-Code: (\S+)/m.exec(this.text)?.[1], text: this.text };
  }
}

export const ask = (port, request) => {
  const raw = new Raw(port);
  raw.send(request);
  return raw.answer();
};
