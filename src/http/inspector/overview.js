// The overview: what is wrong, rates, and the views.

import { bytes, h, lineTile, number, put, quiet, rate, seconds, spark, table } from './dom.js';
import { between, known, quantile, rates, series, total, watch } from './data.js';
import { diagnose } from './problems.js';

const MOST = 200; /* views in the list */

const RATES = [
  ['Mutations', 'mutations_total', rate],
  ['Changes', 'change', rate],
  ['Commits', 'commits_total', rate],
  ['Frames', 'frames_published_total', rate],
  ['Sent', 'sent_bytes_total', (value) => `${bytes(value)}/s`],
  ['Requests', 'http_requests_total', rate],
];
const LEVELS = [
  ['Connections', 'connections_active'],
  ['Subscriptions', 'subscriptions_active'],
  ['Slowest lag', 'slowest_lag_changes'],
];
const LATENCIES = [['Commit latency, p99', 'commit_latency_seconds'], ['Publish latency, p99', 'publish_latency_seconds']];

function drawProblems() {
  const found = diagnose();
  if (!found.length) return h('p', { class: 'good' }, 'The server is well.');
  return h('ul', { class: 'problems' }, found.map(({ level, title, remedy }) => (
    h('li', { class: level === 'bad' && 'bad-edge' }, h('strong', { class: level }, `${level === 'bad' ? 'Problem' : 'Notice'}: `), h('strong', {}, title), h('p', {}, remedy))
  )));
}

function drawFacts({ version, uptime_seconds: uptime, epoch, seq, process }) {
  if (!version) return quiet('The rest of the status, and the metrics, need a token with the scope admin.');
  return quiet(`stele ${version}, up for ${seconds(uptime)}, head ${seq ?? '–'}, epoch ${epoch}, ${bytes(process?.resident_bytes)} of memory`);
}

function drawTiles() {
  const now = known.past.at(-1);
  if (total(now, 'change') === undefined) return quiet('No rates without the status.');
  const p99 = (name) => known.past.slice(1).map((look, i) => quantile(between(look.histograms[name], known.past[i].histograms[name]), 0.99));
  return h('ul', { class: 'tiles' },
    RATES.map(([title, name, write]) => lineTile(title, rates(name), write)),
    LEVELS.map(([title, name]) => lineTile(title, series(name), number)),
    LATENCIES.filter(([, name]) => now.histograms[name]).map(([title, name]) => lineTile(title, p99(name).map((value) => (value >= 0 ? value : null)), seconds)));
}

export const viewLink = (id) => h('a', { href: `#/view/${encodeURIComponent(id)}` }, id);

function drawViews(views, filter) {
  const found = views.filter(({ id }) => id.toLowerCase().includes(filter.toLowerCase()));
  const rows = found.slice(0, MOST).map(({ id, mode, rows: count, subscriptions, changes }) => {
    const values = changes === undefined ? [] : rates((look) => look.views.get(id));
    return [viewLink(id), mode, number(count), number(subscriptions), values.length ? rate(values.at(-1)) : '–', spark(`changes of ${id}`, values, rate)];
  });
  const caption = `Views: ${found.length > MOST ? `the first ${MOST} of ` : ''}${found.length}`;
  return table(caption, [['View'], ['Mode'], ['Rows', true], ['Subscriptions', true], ['Changes', true], ['Last minutes']], rows);
}

export function showOverview({ main, signal, follow }) {
  const [problems, facts, tiles, list] = [0, 0, 0, 0].map(() => h('div'));
  let views; /* by /v1/views, where the status does not tell them */
  const filter = h('input', { type: 'search', id: 'filter', oninput: () => draw(), onkeydown: (event) => event.key === 'Escape' && (filter.value = '') });
  main.append(problems, facts, h('h2', {}, 'Rates'), tiles, h('h2', {}, 'Views'), h('form', { class: 'line', role: 'search', onsubmit: (event) => event.preventDefault() }, h('label', { for: 'filter' }, 'Name has', filter)), list);
  function draw() {
    put(problems, drawProblems());
    if (!known.status) return;
    put(facts, drawFacts(known.status));
    put(tiles, drawTiles());
    if (known.status.views ?? views?.length) put(list, drawViews(known.status.views ?? views, filter.value));
    else if (!views) {
      views = [];
      follow(list, () => '/v1/views', (body) => drawViews(views = body.views, filter.value), { every: 0 });
    }
  }
  watch(draw, signal);
}
