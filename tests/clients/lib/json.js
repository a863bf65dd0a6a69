// JSON with exact numbers. A number keeps its text; an integer beyond ±(2^53 − 1) becomes the
// string of its digits, as the protocol says. Objects are Maps, so that any member name is safe.

export class Num {
  constructor(raw) {
    this.raw = raw;
  }
}

const WIDE = 9007199254740991n;
const number = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const integer = /^-?[0-9]+$/;
const space = /[ \t\n\r]*/y;
const string = /"(?:[^"\\\u0000-\u001f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"/y;

/** Parse one JSON text: Map, Array, string, Num, boolean or null. */
export function parse(text) {
  let at = 0;
  const fail = (what) => {
    throw new SyntaxError(`${what} at ${at}: ${text.slice(at, at + 40)}`);
  };
  const skip = () => {
    space.lastIndex = at;
    space.test(text);
    at = space.lastIndex;
  };
  const match = (pattern, what) => {
    pattern.lastIndex = at;
    if (!pattern.test(text)) fail(`not ${what}`);
    const found = text.slice(at, pattern.lastIndex);
    at = pattern.lastIndex;
    return found;
  };
  const value = () => {
    skip();
    switch (text[at]) {
      case '{': {
        const object = new Map();
        at++;
        skip();
        if (text[at] === '}') {
          at++;
          return object;
        }
        for (;;) {
          skip();
          const name = JSON.parse(match(string, 'a name'));
          if (object.has(name)) fail(`duplicate member ${name}`);
          skip();
          if (text[at++] !== ':') fail('no colon');
          object.set(name, value());
          skip();
          const c = text[at++];
          if (c === '}') return object;
          if (c !== ',') fail('no comma');
        }
      }
      case '[': {
        const array = [];
        at++;
        skip();
        if (text[at] === ']') {
          at++;
          return array;
        }
        for (;;) {
          array.push(value());
          skip();
          const c = text[at++];
          if (c === ']') return array;
          if (c !== ',') fail('no comma');
        }
      }
      case '"':
        return JSON.parse(match(string, 'a string'));
      case 't':
        if (text.startsWith('true', at)) return (at += 4), true;
        return fail('not a value');
      case 'f':
        if (text.startsWith('false', at)) return (at += 5), false;
        return fail('not a value');
      case 'n':
        if (text.startsWith('null', at)) return (at += 4), null;
        return fail('not a value');
      default: {
        const raw = match(number, 'a value');
        if (integer.test(raw)) {
          const n = BigInt(raw);
          if (n > WIDE || n < -WIDE) return raw;
        }
        return new Num(raw);
      }
    }
  };
  const result = value();
  skip();
  if (at !== text.length) fail('trailing bytes');
  return result;
}

const exact = (num) => num.raw;
const asDouble = (num) => JSON.stringify(Number(num.raw));

function write(value, sorted, num) {
  if (value instanceof Map) {
    let members = [...value];
    if (sorted) members.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
    return `{${members.map(([k, v]) => `${JSON.stringify(k)}:${write(v, sorted, num)}`).join(',')}}`;
  }
  if (Array.isArray(value)) return `[${value.map((v) => write(v, sorted, num)).join(',')}]`;
  if (value instanceof Num) return num(value);
  return JSON.stringify(value);
}

/** Compact text, members in their order, numbers as written. */
export const print = (value) => write(value, false, exact);
/** The same with members sorted: equal values have equal text. */
export const canon = (value) => write(value, true, exact);
/** Sorted, numbers as a JavaScript client sees them. */
export const canonDouble = (value) => write(value, true, asDouble);

/** Sorted compact text of a plain JavaScript value (what a client holds). */
export function canonPlain(value) {
  if (Array.isArray(value)) return `[${value.map(canonPlain).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    return `{${Object.keys(value).sort().map((k) => `${JSON.stringify(k)}:${canonPlain(value[k])}`).join(',')}}`;
  }
  return JSON.stringify(value);
}

/** Plain value → exact value, for building expectations from literals. */
export function fromPlain(value) {
  if (Array.isArray(value)) return value.map(fromPlain);
  if (value !== null && typeof value === 'object') {
    return new Map(Object.entries(value).map(([k, v]) => [k, fromPlain(v)]));
  }
  return typeof value === 'number' ? new Num(JSON.stringify(value)) : value;
}
