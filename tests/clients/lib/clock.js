// The clocks of a server in the test's hand: they run on as ever, and a test sets how far they are
// ahead of the machine's (tests/shim/clock_shim.c), also while the server runs.
//
//   const clock = new Clock(folder);
//   const server = await Server.start({ env: clock.env, ... });
//   clock.set(-3000);             // the wall clock goes 3,000 s behind

import { closeSync, existsSync, openSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BINARY } from './server.js';

const SHIM = process.env.STELE_CLOCK_SHIM ?? join(dirname(BINARY), 'libclock_shim.so');

export class Clock {
  wall = 0; /* seconds ahead of the machine's */
  monotonic = 0;

  /** A clock whose file lies in `folder`, under `name`. */
  constructor(folder, name = 'clock') {
    if (!existsSync(SHIM)) throw new Error(`${SHIM} is not there: build all of the project, or set STELE_CLOCK_SHIM`);
    this.file = join(folder, name);
    closeSync(openSync(this.file, 'w'));
    this.set(0);
  }

  /** What the server's environment needs. A sanitizer's library wants to be the first one otherwise. */
  get env() {
    const asan = process.env.ASAN_OPTIONS ? `${process.env.ASAN_OPTIONS}:` : '';
    return { LD_PRELOAD: SHIM, STELE_TEST_CLOCK: this.file, ASAN_OPTIONS: `${asan}verify_asan_link_order=0` };
  }

  /** Seconds that the wall clock, and the monotonic one, are ahead of the machine's from now on. */
  set(wall, monotonic = this.monotonic) {
    [this.wall, this.monotonic] = [wall, monotonic];
    const bytes = Buffer.alloc(16);
    bytes.writeBigInt64LE(BigInt(Math.round(wall * 1000)) * 1_000_000n, 0);
    bytes.writeBigInt64LE(BigInt(Math.round(monotonic * 1000)) * 1_000_000n, 8);
    const file = openSync(this.file, 'r+');
    writeSync(file, bytes, 0, bytes.length, 0);
    closeSync(file);
  }

  /** What the server takes the time to be, in milliseconds since 1970. */
  now() {
    return Date.now() + this.wall * 1000;
  }
}
