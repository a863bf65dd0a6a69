// A small seeded generator (mulberry32): the same seed, the same run.

export class Random {
  constructor(seed) {
    this.state = (seed * 0x9e3779b1) >>> 0;
    for (let i = 0; i < 4; i++) this.next();
  }

  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  /** An integer from 0 to n − 1. */
  below(n) {
    return Math.floor(this.next() * n);
  }

  between(low, high) {
    return low + this.below(high - low + 1);
  }

  chance(p) {
    return this.next() < p;
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  /** A stream of its own, so that what one part draws does not move the others. */
  fork(salt) {
    return new Random((Math.floor(this.next() * 4294967296) ^ salt) >>> 0);
  }
}
