// A program on a terminal of its own (through script(1)), and what the terminal shows.

import { spawn } from 'node:child_process';
import { within } from './server.js';

const quote = (word) => `'${word.replaceAll("'", "'\\''")}'`;

/** The few control sequences that we use; whatever else comes is a failure. */
class Screen {
  constructor(columns, rows) {
    Object.assign(this, { columns, rows, x: 0, y: 0, cursor: true, rest: '', styles: [] });
    this.lines = Array.from({ length: rows }, () => []);
    this.looks = Array.from({ length: rows }, () => []); /* the styles of each character */
  }

  put(text) {
    let input = this.rest + text;
    this.rest = '';
    while (input) {
      const escape = /^\x1b\[(\??)(\d*)([A-Za-z])/.exec(input);
      if (escape) {
        this.#control(escape[1] + escape[2], escape[3]);
        input = input.slice(escape[0].length);
      } else if (/^\x1b(\[\??\d*)?$/.test(input)) {
        this.rest = input;
        return;
      } else {
        const character = String.fromCodePoint(input.codePointAt(0));
        this.#print(character);
        input = input.slice(character.length);
      }
    }
  }

  #control(number, letter) {
    switch (letter) {
      case 'A': this.y = Math.max(0, this.y - Number(number || 1)); break;
      case 'H': this.x = this.y = 0; break;
      case 'K': this.lines[this.y].length = this.x; break;
      case 'J':
        if (number === '2') this.lines.forEach((line) => (line.length = 0));
        else this.lines.slice(this.y + 1).forEach((line) => (line.length = 0)), (this.lines[this.y].length = this.x);
        break;
      case 'l': this.cursor = false; break;
      case 'h': this.cursor = true; break;
      case 'm': this.styles = Number(number) ? [...this.styles, number] : []; break;
      default: throw new Error(`unknown control sequence ${number}${letter}`);
    }
  }

  #print(character) {
    if (character === '\r') this.x = 0;
    else if (character === '\n') {
      if (++this.y < this.rows) return;
      this.y--;
      this.scrolled = true;
      for (const each of [this.lines, this.looks]) each.push([]), each.shift();
    } else if (character < ' ') throw new Error(`control character ${character.charCodeAt(0)}`);
    else {
      if (this.x >= this.columns) this.wrapped = true;
      this.looks[this.y][this.x] = this.styles.join();
      this.lines[this.y][this.x++] = character;
    }
  }

  /** The styles of the first place where a text is shown: '1,33' for bold and yellow. */
  look(text) {
    for (const [y, line] of this.lines.entries()) {
      const at = Array.from(line, (c) => c ?? ' ').join('').indexOf(text);
      if (at >= 0) return this.looks[y][at];
    }
    throw new Error(`'${text}' is not shown`);
  }

  text() {
    return this.lines.map((line) => Array.from(line, (c) => c ?? ' ').join('').trimEnd()).join('\n').trimEnd();
  }
}

export class Terminal {
  constructor(t, program, args, { columns = 80, rows = 24, env } = {}) {
    this.screen = new Screen(columns, rows);
    this.waiting = [];
    const command = `stty cols ${columns} rows ${rows}; exec ${[program, ...args].map(quote).join(' ')}`;
    this.child = spawn('script', ['-qfec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, TERM: 'xterm', SHELL: '/bin/sh', ...env } });
    this.child.stdin.on('error', () => {});
    this.child.stdout.setEncoding('utf8').on('data', (text) => {
      this.screen.put(text);
      this.waiting.splice(0).forEach((done) => done());
    });
    this.ended = new Promise((done) => this.child.on('close', (code) => done(code)));
    t.after(() => this.child.kill('SIGKILL'));
  }

  /** Wait until what is shown passes the test. */
  async until(test, what) {
    while (!test(this.screen.text())) {
      await within(new Promise((done) => this.waiting.push(done)), () => `${what}; the terminal shows:\n${this.screen.text()}`);
    }
    return this.screen.text();
  }

  type(text) {
    this.child.stdin.write(text);
  }
}
