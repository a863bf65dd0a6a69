// Seqs as producers may give them: none, the next, late ones, one that was used before.

export class Seqs {
  slot = 1000;
  index = 0;

  constructor(random) {
    this.random = random;
  }

  /** Members of a mutation, or nothing. */
  seq() {
    const r = this.random;
    const kind = r.next();
    if (kind < 0.35) return ''; /* the successor */
    if (kind < 0.7) {
      if (r.chance(0.4)) [this.slot, this.index] = [this.slot + r.between(1, 3), 0];
      return `,"slot":${this.slot},"index":${this.index++}`;
    }
    if (kind < 0.85) return `,"slot":${Math.max(0, this.slot - r.between(1, 20))},"index":${r.below(4)}`; /* late, perhaps one used before */
    return `,"slot":${this.slot},"index":${Math.max(0, this.index - 1)}`; /* shared */
  }
}
