// Applies frames exactly as hyperstack-typescript does (a test proves them equal), remembers the
// cursor that the published client forgets, and asks for what follows it.

export function parseMessage(text) {
  return JSON.parse(text);
}

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

function merge(target, source, appendPaths, path = '') {
  if (!isObject(target) || !isObject(source)) return source;
  const result = { ...target };
  for (const name in source) {
    const value = source[name];
    const old = result[name];
    const here = path ? `${path}.${name}` : name;
    if (Array.isArray(value) && Array.isArray(old)) {
      result[name] = appendPaths.includes(here) ? [...old, ...value] : value;
    } else if (isObject(value) && isObject(old)) {
      result[name] = merge(old, value, appendPaths, here);
    } else {
      result[name] = value;
    }
  }
  return result;
}

/** The rows of one subscription. */
export class Applier {
  /** resume: remember the cursor; forget: drop rows and cursor when subscribing again. */
  constructor({ resume = true, forget = false } = {}) {
    this.resume = resume;
    this.forget = forget;
    this.rows = new Map();
    this.seq = null;
    this.epoch = null;
    this.frames = 0;
    this.known = new Set(); /* keys sent whole since the rows were last forgotten */
  }

  /** Rows and cursor. */
  drop() {
    this.rows.clear();
    this.seq = null;
  }

  /** What to add to a subscribe message. */
  parameters() {
    if (this.forget) this.drop();
    if (!this.resume || this.seq === null) return {};
    return { after: this.seq, epoch: this.epoch };
  }

  apply(frame) {
    this.frames++;
    if (frame.op === 'subscribed') {
      if (frame.epoch !== undefined) this.epoch = frame.epoch;
      this.resumed = frame.resumed;
      if (frame.resumed === false) this.drop();
      return;
    }
    switch (frame.op) {
      case 'snapshot':
        for (const row of frame.data) this.rows.set(row.key, row.data);
        break;
      case 'create':
      case 'upsert':
        this.rows.set(frame.key, frame.data);
        break;
      case 'patch': {
        const old = this.rows.get(frame.key);
        this.rows.set(frame.key, old ? merge(old, frame.data, frame.append ?? []) : frame.data);
        break;
      }
      case 'delete':
        this.rows.delete(frame.key);
        break;
      default:
        throw new Error(`unknown op ${frame.op}`);
    }
    if (frame.seq !== undefined) this.seq = frame.seq;
  }
}
