// A disk in the test's hand (tests/shim/disk_shim.c says what each fault is): so many syncs of the write-ahead log
// fail, the database file takes nothing, writes come short or break off in the middle, the log cannot be cut, a copy
// that the server makes waits.

import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BINARY } from './server.js';

const FAULTS = ['failing', 'database', 'short', 'torn', 'half', 'cuts', 'copy'];

export class Disk {
  constructor(folder) {
    this.file = join(folder, 'disk');
    writeFileSync(this.file, Buffer.alloc(4 * FAULTS.length));
  }

  /** What the server's environment needs. */
  get env() {
    const asan = process.env.ASAN_OPTIONS ? `${process.env.ASAN_OPTIONS}:` : '';
    return { LD_PRELOAD: join(dirname(BINARY), 'libdisk_shim.so'), STELE_TEST_DISK: this.file, ASAN_OPTIONS: `${asan}verify_asan_link_order=0` };
  }
}

/* How many of them are still to come; setting it begins anew. */
for (const [i, name] of FAULTS.entries()) {
  Object.defineProperty(Disk.prototype, name, {
    get() {
      return readFileSync(this.file).readInt32LE(4 * i);
    },
    set(count) {
      const bytes = Buffer.alloc(4);
      bytes.writeInt32LE(count);
      const file = openSync(this.file, 'r+');
      writeSync(file, bytes, 0, 4, 4 * i);
      closeSync(file);
    },
  });
}
