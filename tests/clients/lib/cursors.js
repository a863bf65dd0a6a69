// Cursors of several subscriptions of one view on one connection, as far as a client can know them: a
// frame does not say for which of them it came.
//
// A frame about a key that has a subscription of its own is that one's. What else comes is of the
// subscription that shows more, if the key never had one of its own meanwhile. A batch tells only where
// just one of them can have sent it. A cursor that is not known is not used.

const WHOLE = Symbol('whole');

export class Cursors {
  #seqs = new Map();
  #owned = new Set(); /* keys that had a subscription since the one that shows more began */
  #rows = new Map(); /* key → the newest seq that the client has of it, whoever brought it */

  /** It begins without a cursor; the key is undefined for the one that shows more. */
  begin(key) {
    this.#seqs.delete(key ?? WHOLE);
    if (key === undefined) this.#owned.clear();
    else this.#owned.add(key);
  }

  forget() {
    this.#seqs.clear();
    this.#rows.clear();
  }

  /** Where the one to that key goes on, or the one that shows more. That one cannot behind a row which a subscription
   *  brought that is gone: events in it would come again. */
  of(key, keyed) {
    const seq = this.#seqs.get(key ?? WHOLE);
    const behind = key === undefined && [...this.#rows].some(([row, newest]) => !keyed.has(row) && newest > seq);
    return behind ? undefined : seq;
  }

  #owner(frame, whole, keyed) {
    if (frame.op === 'snapshot') {
      if (whole) return keyed.size === 0 && this.#owned.size === 0 ? WHOLE : undefined;
      return frame.data.length === 1 && keyed.has(frame.data[0].key) ? frame.data[0].key : undefined;
    }
    if (keyed.has(frame.key)) return frame.key;
    return whole && !this.#owned.has(frame.key) ? WHOLE : undefined;
  }

  /** A frame came while these subscriptions were there. */
  note(frame, whole, keyed) {
    /* Whatever was refused is sent afresh, and was not complete before. */
    if (frame.op === 'subscribed' && frame.resumed === false) this.forget();
    if (frame.op === 'subscribed') return;
    for (const { key, data } of frame.op === 'snapshot' ? frame.data : [frame]) if (data) this.#rows.set(key, data._seq);
    const owner = frame.seq === undefined ? undefined : this.#owner(frame, whole, keyed);
    /* A row is newer than its own cursor when another brought it, or it came without one: going on from
     * there could repeat an event that is in it. */
    for (const key of frame.op === 'snapshot' ? frame.data.map((row) => row.key) : [frame.key]) if (key !== owner) this.#seqs.delete(key);
    if (owner !== undefined) this.#seqs.set(owner, frame.seq);
  }
}
