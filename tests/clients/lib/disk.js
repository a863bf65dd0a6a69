// A disk in the test's hand: syncs of the write-ahead log fail when it says so (tests/shim/sync_shim.c).

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BINARY } from './server.js';

export class Disk {
  constructor(folder) {
    this.file = join(folder, 'disk');
    closeSync(openSync(this.file, 'w'));
    this.failing = 0;
  }

  /** What the server's environment needs. */
  get env() {
    const asan = process.env.ASAN_OPTIONS ? `${process.env.ASAN_OPTIONS}:` : '';
    return { LD_PRELOAD: join(dirname(BINARY), 'libsync_shim.so'), STELE_TEST_SYNC: this.file, ASAN_OPTIONS: `${asan}verify_asan_link_order=0` };
  }

  /** How many syncs are still to fail. */
  get failing() {
    return readFileSync(this.file).readInt32LE(0);
  }

  set failing(count) {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(count);
    const file = openSync(this.file, 'r+');
    writeSync(file, bytes, 0, 4, 0);
    closeSync(file);
  }
}
