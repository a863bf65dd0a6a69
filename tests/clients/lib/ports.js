// Ports that stay a test's own while nobody listens there: between the kill of a server and its restart another test may
// be given any port that the system gives. These are none of those, and each is claimed by a file.

import { mkdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

const HOUR_MS = 3_600_000;
const SPAN = 20_000;
const claimed = [];
process.on('exit', () => claimed.forEach(remove));

function remove(file) {
  try {
    unlinkSync(file);
  } catch {} /* another process did it */
}

/** The first port of those that the system gives. */
function firstGiven() {
  try {
    return Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s/)[0]);
  } catch {
    return 32_768;
  }
}

/** Claim one for this process; one that is not free is found out when a server cannot listen there. */
export function claimPort() {
  const most = Math.max(firstGiven(), 2000) - 1;
  const folder = join(tmpdir(), `stele-ports-${userInfo().uid}`);
  mkdirSync(folder, { recursive: true });
  for (;;) {
    const port = most - Math.floor(Math.random() * Math.min(SPAN, most - 1024));
    const file = join(folder, String(port));
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      if (Date.now() - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()) > HOUR_MS) remove(file); /* of a test that was killed */
      continue;
    }
    claimed.push(file);
    return port;
  }
}
