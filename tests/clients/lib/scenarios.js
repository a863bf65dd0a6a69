// What the published clients are asked to show, and what each of them must then have: one list, for all of them
// (scenarios.test.js). A step feeds mutations, opens subscriptions, stops the server, or checks. A check names the keys
// that each subscription shows, in order; an append view has none. (Keys of a list are not for all of them.)

const put = (key, patch, more = {}) => ({ export: 'Q', key, patch: { id: key, ...patch }, ...more });
const patch = (key, members, more = {}) => ({ export: 'Q', key, patch: members, ...more });
const gone = (key) => ({ export: 'Q', key, op: 'delete' });

const feed = (...mutations) => ({ feed: mutations });
const open = (subscriptions) => ({ open: subscriptions });
const check = (keys) => ({ check: keys });
const many = (n, f) => Array.from({ length: n }, (_, i) => f(i));

const VIEWS = {
  strongest: { pipeline: [{ sort: { by: 'mag', order: 'desc' } }] },
  top3: { pipeline: [{ sort: { by: 'mag', order: 'desc' } }, { take: 3 }] },
  weak: { pipeline: [{ filter: { field: 'mag', lt: 3 } }, { sort: 'mag' }] },
};
const EXPORTS = { Q: { views: VIEWS } };
const BASE = feed(put('a', { mag: 1, type: 'x' }), put('b', { mag: 6, type: 'y' }), put('c', { mag: 3, type: 'x' }), put('d', { mag: 2, type: 'y' }));

export const SCENARIOS = [
  {
    name: 'list',
    exports: EXPORTS,
    steps: [
      open({ empty: { view: 'Q/list' } }),
      check({ empty: [] }),
      BASE,
      open({ all: { view: 'Q/list' } }),
      check({ all: ['d', 'c', 'b', 'a'], empty: ['d', 'c', 'b', 'a'] }),
      feed(patch('a', { deep: { list: [1], x: null }, tenth: 0.1 }), patch('a', { deep: { list: [2, 3] } }, { append: ['deep.list'] }), gone('b'), put('e', { wide: 'é "\\ 😀' })),
      check({ all: ['e', 'a', 'd', 'c'], empty: ['e', 'a', 'd', 'c'] }),
      feed(put('b', { mag: 7 }), put('c', { only: true }, { op: 'upsert' }), patch('e', { wide: 1 }), gone('d')),
      check({ all: ['e', 'c', 'b', 'a'], empty: ['e', 'c', 'b', 'a'] }),
      feed(...many(300, (i) => put(`k${i}`, { text: 'x'.repeat(i), list: [i] }))),
      feed(...many(296, (i) => gone(`k${i}`))),
      open({ late: { view: 'Q/list' } }),
      check({ all: ['k299', 'k298', 'k297', 'k296', 'e', 'c', 'b', 'a'], late: ['k299', 'k298', 'k297', 'k296', 'e', 'c', 'b', 'a'] }),
    ],
  },
  {
    name: 'state',
    exports: EXPORTS,
    steps: [
      BASE,
      open({ a: { view: 'Q/state', key: 'a' }, later: { view: 'Q/state', key: 'later' } }),
      check({ a: ['a'], later: [] }),
      feed(patch('a', { n: [1] }), patch('a', { n: [2] }, { append: ['n'] }), put('later', { n: 1 })),
      check({ a: ['a'], later: ['later'] }),
      feed(gone('a'), put('later', { whole: 1 }, { op: 'upsert' })),
      check({ a: [], later: ['later'] }),
      feed(put('a', { again: true })),
      check({ a: ['a'], later: ['later'] }),
    ],
  },
  {
    name: 'append',
    exports: EXPORTS,
    steps: [
      open({ before: { view: 'Q/append' } }),
      check({ before: [] }),
      BASE,
      feed(patch('a', { log: [1, 2] }), patch('a', { log: [3] }, { append: ['log'] }), gone('b')),
      open({ tape: { view: 'Q/append' } }),
      check({ before: ['a', 'c', 'd'], tape: ['a', 'c', 'd'] }),
      feed(patch('a', { log: [4] }, { append: ['log'] }), put('b', { mag: 0 }), put('c', { only: 1 }, { op: 'upsert' }), gone('d')),
      check({ before: ['a', 'b', 'c'], tape: ['a', 'b', 'c'] }),
    ],
  },
  {
    name: 'sorted',
    exports: EXPORTS,
    steps: [
      BASE,
      open({ strongest: { view: 'Q/strongest' }, top: { view: 'Q/top3' }, weak: { view: 'Q/weak' } }),
      check({ strongest: ['b', 'c', 'd', 'a'], top: ['b', 'c', 'd'], weak: ['a', 'd'] }),
      feed(patch('a', { mag: 5 }), put('e', { mag: 2.5 })),
      check({ strongest: ['b', 'a', 'c', 'e', 'd'], top: ['b', 'a', 'c'], weak: ['d', 'e'] }),
      feed(gone('b'), patch('d', { mag: 9 }), patch('c', { text: 'in its place' })),
      check({ strongest: ['d', 'a', 'c', 'e'], top: ['d', 'a', 'c'], weak: ['e'] }),
    ],
  },
  {
    name: 'windows',
    exports: EXPORTS,
    steps: [
      BASE,
      open({
        first: { view: 'Q/strongest', take: 2 }, next: { view: 'Q/strongest', take: 2, skip: 2 }, newest: { view: 'Q/list', take: 2 },
        rest: { view: 'Q/list', take: 9, skip: 2 }, second: { view: 'Q/top3', take: 1, skip: 1 },
      }),
      check({ first: ['b', 'c'], next: ['d', 'a'], newest: ['d', 'c'], rest: ['b', 'a'], second: ['c'] }),
      feed(patch('a', { mag: 9 })),
      check({ first: ['a', 'b'], next: ['c', 'd'], newest: ['a', 'd'], rest: ['c', 'b'], second: ['b'] }),
      feed(gone('b'), put('e', { mag: 4 }), put('f', { mag: 3.5 })),
      check({ first: ['a', 'e'], next: ['f', 'c'], newest: ['f', 'e'], rest: ['a', 'd', 'c'], second: ['e'] }),
    ],
  },
  {
    name: 'filters',
    exports: EXPORTS,
    steps: [
      BASE,
      open({
        x: { view: 'Q/list', filters: { type: 'x' } }, none: { view: 'Q/list', filters: { type: 'z' } },
        strongest: { view: 'Q/strongest', filters: { type: 'y' }, take: 1 }, deep: { view: 'Q/list', filters: { 'geo.place': 'here' } },
      }),
      check({ x: ['c', 'a'], none: [], strongest: ['b'], deep: [] }),
      feed(patch('a', { type: 'y', mag: 8 }), patch('d', { type: 'x' }), put('e', { type: 'z', geo: { place: 'here' } })),
      check({ x: ['d', 'c'], none: ['e'], strongest: ['a'], deep: ['e'] }),
      feed(gone('e'), patch('c', { geo: { place: 'here' } }), patch('a', { type: 'x' })),
      check({ x: ['a', 'c', 'd'], none: [], strongest: ['b'], deep: ['c'] }),
    ],
  },
  ...['kill9', 'terminate'].map((how) => ({
    name: `restart (${how})`,
    exports: EXPORTS,
    steps: [
      BASE,
      open({ all: { view: 'Q/list' }, tape: { view: 'Q/append' }, c: { view: 'Q/state', key: 'c' }, strongest: { view: 'Q/strongest' }, top: { view: 'Q/top3' } }),
      check({ all: ['d', 'c', 'b', 'a'], tape: ['a', 'b', 'c', 'd'], c: ['c'], strongest: ['b', 'c', 'd', 'a'], top: ['b', 'c', 'd'] }),
      feed(patch('a', { log: [1] }), gone('b')),
      { restart: how },
      feed(patch('a', { log: [2] }, { append: ['log'] }), put('b', { mag: 4 }), gone('c'), put('e', { mag: 5 })),
      check({ all: ['e', 'b', 'a', 'd'], tape: ['a', 'b', 'd', 'e'], c: [], strongest: ['e', 'b', 'd', 'a'], top: ['e', 'b', 'd'] }),
      { restart: how },
      feed(patch('a', { log: [3], mag: 10 }, { append: ['log'] }), put('c', { mag: 7 }), gone('e')),
      check({ all: ['c', 'a', 'b', 'd'], tape: ['a', 'b', 'c', 'd'], c: ['c'], strongest: ['a', 'c', 'b', 'd'], top: ['a', 'c', 'b'] }),
    ],
  })),
  {
    name: 'tokens',
    exports: { Q: { scope: 'team', views: VIEWS } },
    scopes: [['red'], ['blue']] /* of the first token, and of the one that replaces it */,
    steps: [
      feed(put('a', { mag: 1, team: 'red' }), put('b', { mag: 2, team: 'blue' }), put('c', { mag: 3 }), put('d', { mag: 4, team: 'green' })),
      open({ all: { view: 'Q/list' }, strongest: { view: 'Q/strongest' }, first: { view: 'Q/strongest', take: 1 } }),
      check({ all: ['c', 'a'], strongest: ['c', 'a'], first: ['c'] }),
      feed(patch('a', { mag: 5 }), patch('b', { mag: 6 })),
      check({ all: ['a', 'c'], strongest: ['a', 'c'], first: ['a'] }),
      { refresh: true },
      check({ all: ['b', 'c'], strongest: ['b', 'c'], first: ['b'] }),
      feed(patch('a', { team: 'blue' }), patch('c', { team: 'red' }), put('e', { mag: 9, team: 'blue' })),
      check({ all: ['e', 'a', 'b'], strongest: ['e', 'b', 'a'], first: ['e'] }),
    ],
  },
];
