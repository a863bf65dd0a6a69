// What the page asks the server, and what it keeps of the answers: no more than the last minutes.

const KEY = 'stele.token';
export const PERIOD = 2000; /* ms between two looks at the server */
const KEPT = 120; /* looks that are kept */
const MOST_VIEWS = 200; /* views of which rates are kept */

// ---- the token ----

let token = sessionStorage.getItem(KEY) ?? '';
let refused = new Map(); /* paths that this token does not open, with the refusal: they are not asked again */

export const hasToken = () => token !== '';

export function setToken(text) {
  token = text;
  refused = new Map();
  if (text) sessionStorage.setItem(KEY, text);
  else sessionStorage.removeItem(KEY);
}

// ---- requests ----

export const pathOfView = (id) => `/v1/views/${id.split('/').map(encodeURIComponent).join('/')}`;

const refusal = (status, code, message) => Object.assign(new Error(message), { status, code });

export const isAboutToken = ({ code }) => /^(token|invalid-static|scope)/.test(code);

/* A token that is refused again and again counts as guessing, and each refusal is a line of the audit. */
const group = (path) => (path.startsWith('/v1/') ? path.split(/[/?]/, 3).join('/') : path);

/**
 * Ask for a path of the server: {body, tag}; body is undefined if it is as it was with `tag`. Throws an error with
 * the server's words, its code and the status; the status is 0 if there is no answer.
 */
export async function ask(path, { tag, signal, text = false } = {}) {
  if (refused.has(group(path))) throw refused.get(group(path));
  let answer;
  try {
    answer = await fetch(new URL(`..${path}`, document.baseURI), {
      headers: { ...(token && { Authorization: `Bearer ${token}` }), ...(tag && { 'If-None-Match': tag }) },
      cache: 'no-store', credentials: 'omit', redirect: 'error', signal,
    });
    if (answer.status === 304) return { tag };
    if (answer.ok) return { body: text ? await answer.text() : await answer.json(), tag: answer.headers.get('etag') };
  } catch (error) {
    if (signal?.aborted) throw error;
    throw refusal(0, 'no-answer', 'the server does not answer');
  }
  const said = await answer.json().catch(() => ({}));
  const error = refusal(answer.status, said.code ?? '', said.message ?? `status ${answer.status}`);
  if (isAboutToken(error)) refused.set(group(path), error);
  throw error;
}

/** Call `work` now and every `ms` while the page is seen, never twice at a time, until the signal. */
export async function repeat(work, ms, signal) {
  while (!signal.aborted) {
    if (!document.hidden) await work();
    await new Promise((done) => setTimeout(done, ms));
  }
}

// ---- /metrics ----

/** Prometheus' text: the sum of each name (without "stele_"), and the histograms: {bounds, counts (of each bucket alone), count}. */
function readMetrics(text) {
  const sums = {};
  const histograms = {};
  for (const line of text.split('\n')) {
    const [, name, label, number] = /^(?:stele_)?([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    const [, base] = /(.*)_bucket$/.exec(name) ?? [];
    const value = Number(number);
    if (base) {
      const it = (histograms[base] ??= { bounds: [], counts: [], count: 0 });
      it.bounds.push(Number(/le="([^"]*)"/.exec(label)[1].replace('+Inf', 'Infinity')));
      it.counts.push(value - it.count);
      it.count = value;
    } else if (name) {
      sums[name] = (sums[name] ?? 0) + value;
      if (label === 'level="error"') sums.errors = value;
    }
  }
  return { sums, histograms };
}

/** What came between two looks. */
export function between(now, before) {
  if (!now || !before || before.count > now.count) return now;
  return { ...now, counts: now.counts.map((count, i) => count - before.counts[i]), count: now.count - before.count };
}

/** The value below which a part of a histogram lies, within its bucket by proportion. */
export function quantile({ bounds, counts, count } = {}, part) {
  let left = count * part;
  if (!count) return NaN;
  for (let i = 0; i < counts.length; i++) {
    const low = i ? bounds[i - 1] : 0;
    if (left <= counts[i]) return bounds[i] === Infinity ? low : low + (bounds[i] - low) * (left / (counts[i] || 1));
    left -= counts[i];
  }
  return bounds.at(-2);
}

// ---- the last looks ----

/** What is known of the server now. `past`: the last looks, the newest last. */
export const known = { status: undefined, trouble: undefined, past: [] };
const watchers = new Set();

/** Call `draw` after each look, and now, until the signal. */
export function watch(draw, signal) {
  watchers.add(draw);
  signal.addEventListener('abort', () => watchers.delete(draw), { once: true });
  if (known.status || known.trouble) draw();
}

/** A figure in a look, summed over its labels, or undefined; and in all looks that are kept. */
export const total = (look, name) => look?.sums[name];
export const series = (name) => known.past.map((look) => total(look, name));
/** A figure now. */
export const figure = (name) => total(known.past.at(-1), name);

function remember(status, metrics) {
  const { sums, histograms } = readMetrics(metrics ?? '');
  const look = { at: Date.now(), uptime: status.uptime_seconds, sums, histograms, views: new Map() };
  sums.change = status.last_change;
  sums.ignored = status.mutations?.ignored;
  for (const { id, changes } of (status.views ?? []).slice(0, MOST_VIEWS)) look.views.set(id, changes);
  if (known.past.at(-1)?.uptime > look.uptime) known.past = []; /* it was started again: its counters too */
  known.past.push(look);
  if (known.past.length > KEPT) known.past.shift();
}

/** Rates per second of a counter between the last looks; gaps are null. A name, or a function of a look. */
export function rates(what) {
  const read = typeof what === 'string' ? (look) => total(look, what) : what;
  return known.past.slice(1).map((look, i) => {
    const before = known.past[i];
    const grown = read(look) - read(before);
    return grown >= 0 ? (grown * 1000) / (look.at - before.at) : null;
  });
}

/** How much a counter grew within the looks that are kept. */
export const grown = (name) => (figure(name) ?? 0) - (total(known.past[0], name) ?? 0);

async function look() {
  try {
    const { body } = await ask('/status');
    const { body: metrics } = await ask('/metrics', { text: true }).catch(() => ({}));
    known.status = body;
    known.trouble = undefined;
    remember(body, metrics);
  } catch (error) {
    known.trouble = error;
  }
  for (const draw of [...watchers]) draw();
}

export const lookOn = (signal) => repeat(look, PERIOD, signal);
export const lookNow = look;
