// A strict reader of the Prometheus text format 0.0.4: what it takes, Prometheus takes.

import assert from 'node:assert/strict';

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const NUMBER = /^(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|NaN|[+-]Inf)$/;

/** One label's value, from behind its opening quote: [value, index behind the closing one]. */
function labelValue(line, at) {
  let value = '';
  for (;;) {
    const c = line[at++];
    assert.notEqual(c, undefined, `a label value without an end: ${line}`);
    if (c === '"') return [value, at];
    if (c !== '\\') {
      value += c;
      continue;
    }
    const escaped = { '\\': '\\', '"': '"', n: '\n' }[line[at++]];
    assert.notEqual(escaped, undefined, `an escape that there is not: ${line}`);
    value += escaped;
  }
}

/** `name{label="value",…} number` → {name, labels, value}. */
function sample(line) {
  let at = line.search(/[{ ]/);
  assert.ok(at > 0, `no sample: ${line}`);
  const name = line.slice(0, at);
  assert.match(name, NAME, line);
  const labels = {};
  if (line[at] === '{') {
    at++;
    while (line[at] !== '}') {
      const equals = line.indexOf('="', at);
      assert.ok(equals > at, `no label: ${line}`);
      const label = line.slice(at, equals);
      assert.match(label, /^[a-zA-Z_][a-zA-Z0-9_]*$/, line);
      assert.ok(!(label in labels), `${label} twice: ${line}`);
      [labels[label], at] = labelValue(line, equals + 2);
      if (line[at] === ',') at++;
      else assert.equal(line[at], '}', `behind a label: ${line}`);
    }
    at++;
  }
  assert.equal(line[at], ' ', line);
  const number = line.slice(at + 1);
  assert.match(number, NUMBER, line);
  return { name, labels, value: Number(number.replace('Inf', 'Infinity')) };
}

const without = (labels, ...names) => JSON.stringify(Object.entries(labels).filter(([name]) => !names.includes(name)).sort());

function checkHistogram(family) {
  const series = new Map();
  for (const { name, labels, value } of family.samples) {
    const key = without(labels, 'le');
    const one = series.get(key) ?? { buckets: [] };
    series.set(key, one);
    const part = name.slice(family.name.length);
    if (part === '_bucket') {
      assert.ok('le' in labels, `${family.name}: a bucket without le`);
      one.buckets.push([Number(labels.le.replace('Inf', 'Infinity')), value]);
    } else if (part === '_sum' || part === '_count') {
      one[part] = value;
    } else {
      assert.fail(`${family.name} is a histogram and has a sample ${name}`);
    }
  }
  for (const [labels, { buckets, _sum, _count }] of series) {
    const tell = `${family.name} ${labels}`;
    assert.ok(buckets.length > 1, tell);
    for (let i = 1; i < buckets.length; i++) {
      assert.ok(buckets[i][0] > buckets[i - 1][0], `${tell}: buckets in order`);
      assert.ok(buckets[i][1] >= buckets[i - 1][1], `${tell}: cumulative`);
    }
    assert.equal(buckets.at(-1)[0], Infinity, `${tell}: the last bucket is +Inf`);
    assert.equal(buckets.at(-1)[1], _count, `${tell}: +Inf is the count`);
    assert.ok(_sum >= 0, `${tell}: a sum`);
  }
}

/** The whole text → Map(name → {name, type, help, samples: [{name, labels, value}]}). */
export function parse(text) {
  assert.ok(text.endsWith('\n'), 'the last line has no end');
  const families = new Map();
  const seen = new Set();
  let current;
  for (const line of text.slice(0, -1).split('\n')) {
    const meta = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    if (meta) {
      const [, what, name, rest] = meta;
      assert.match(name, NAME, line);
      if (what === 'HELP') {
        assert.ok(!families.has(name), `HELP twice, or a family in two places: ${name}`);
        assert.doesNotMatch(rest.replace(/\\[\\n]/g, ''), /\\/, `an escape that there is not: ${line}`);
        current = { name, help: rest, samples: [] };
        families.set(name, current);
      } else {
        assert.equal(current?.name, name, `TYPE without its HELP: ${line}`);
        assert.equal(current.type, undefined, `TYPE twice: ${line}`);
        assert.equal(current.samples.length, 0, `TYPE behind samples: ${line}`);
        assert.match(rest, /^(counter|gauge|histogram)$/, line);
        current.type = rest;
      }
      continue;
    }
    assert.ok(!line.startsWith('#') && line !== '', `neither a sample nor a comment of ours: '${line}'`);
    const one = sample(line);
    const id = one.name + without(one.labels);
    assert.ok(!seen.has(id), `a series twice: ${line}`);
    seen.add(id);
    assert.ok(current?.type, `a sample before its TYPE: ${line}`);
    const own = current.type === 'histogram' ? one.name.startsWith(`${current.name}_`) : one.name === current.name;
    assert.ok(own, `${line} stands among ${current.name}`);
    if (current.type === 'counter') assert.ok(one.value >= 0, line);
    current.samples.push(one);
  }
  for (const family of families.values()) {
    assert.ok(family.type, `${family.name} has no TYPE`);
    if (family.type === 'counter') assert.match(family.name, /_total$/, `${family.name} is a counter`);
    if (family.type === 'histogram') checkHistogram(family);
  }
  return families;
}

/** The value of the one sample with these labels (others may be there too); undefined: none. */
export function value(families, name, labels = {}) {
  const base = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
  return base?.samples.find((s) => s.name === name && Object.entries(labels).every(([l, v]) => s.labels[l] === v))?.value;
}
