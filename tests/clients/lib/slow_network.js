// A network that is slow by chance: what a test sends over TCP leaves up to STELE_DELAY ms later (40),
// in order on each connection. A test that takes it for granted that one connection's message arrives
// before another's fails under it: NODE_OPTIONS="--import $PWD/lib/slow_network.js" ./run.sh

import { Socket } from 'node:net';

const most = Number(process.env.STELE_DELAY ?? 40);

for (const name of ['_write', '_writev']) {
  const write = Socket.prototype[name];
  Socket.prototype[name] = function (...what) {
    if (!this.remotePort) return write.apply(this, what); /* a pipe to a program */
    setTimeout(() => write.apply(this, what), Math.random() * most);
  };
}
