// The smaller screens: clients, producers, storage and the configuration.

import { bytes, cut, h, lineTile, moment, number, put, quiet, rate, seconds, svg, table, tile } from './dom.js';
import { viewLink } from './overview.js';
import { between, figure, known, quantile, rates, series, watch } from './data.js';

const tiles = (...all) => h('ul', { class: 'tiles' }, all.flat());

/** A list of the server as a table, page by page. */
function followPages({ main, follow }, path, title, columns, rowOf) {
  const box = h('div');
  const before = [];
  let last;
  const turn = (name, step) => h('button', { type: 'button', disabled: true, onclick: () => again(step()) }, name);
  const first = turn('First', () => before.splice(0));
  const next = turn('Next', () => before.push(last));
  main.append(h('h2', {}, title), box, h('p', {}, first, ' ', next));
  const again = follow(box, () => `${path}?limit=100${before.length ? `&after=${encodeURIComponent(before.at(-1))}` : ''}`, (body) => {
    const list = body[title.toLowerCase()];
    if (list.length) last = list.at(-1).id ?? list.at(-1).name;
    first.disabled = !before.length;
    next.disabled = !body.more;
    return table(`${title}: ${list.length}${body.more ? ', and more' : ''}`, columns, list.map(rowOf));
  });
}

// ---- clients ----

/* What is asked of a view, as text. */
const drawQuery = ({ key, query, skip, take }) => [key && `key ${key}`, query && `where ${query}`, take && `rows ${(skip ?? 0) + 1} to ${(skip ?? 0) + take}`].filter(Boolean).join(', ');

const drawSubscription = (it) => h('div', {}, viewLink(it.view), ` ${drawQuery(it)} ${it.state}, ${number(it.lag?.changes)} changes behind`);

export function showClients(screen) {
  const figures = h('div');
  screen.main.append(figures);
  watch(() => {
    const { clients: count, subscribers, subscriptions, lag, windows: w, connections } = known.status ?? {};
    if (count === undefined) return put(figures, quiet('Figures of clients need a token with the scope admin.'));
    return put(figures, tiles(
      tile('Connections', number(count)), tile('Subscribers', number(subscribers)), tile('Subscriptions', number(subscriptions)),
      lineTile('Slowest lag, changes', series('slowest_lag_changes'), number, lag), tile('Windows, members', `${number(w.count)}, ${number(w.members)}`),
      tile('Refused connections', number(connections.refused))));
  }, screen.signal);
  const columns = [['Client'], ['Address'], ['Subject'], ['Protocol'], ['Since (UTC)'], ['Lag, changes', true], ['Lag, time', true], ['Sent', true], ['Waiting', true], ['Subscriptions']];
  followPages(screen, '/v1/clients', 'Clients', columns, ({ id, address, subject, protocol, since, lag, sent, queued, state, subscriptions, subscription_count: count }) => [
    `${id}${state === 'open' ? '' : `, ${state}`}`, address, subject ?? '–', protocol, moment(since), number(lag?.changes), seconds(lag?.seconds), bytes(sent), bytes(queued),
    [(subscriptions ?? []).slice(0, 10).map(drawSubscription), count > 10 && `and ${count - 10} more`],
  ]);
  const shared = [['Window'], ['View'], ['Query'], ['Members', true], ['Rows', true], ['Bytes', true], ['Refreshes', true], ['Rows read', true], ['Last refresh', true], ['All refreshes', true]];
  followPages(screen, '/v1/windows', 'Windows', shared, (it) => [
    String(it.id), viewLink(it.view), drawQuery(it), number(it.members), number(it.rows), bytes(it.bytes), number(it.refreshes), number(it.rows_read), seconds(it.refresh_ms / 1000), seconds(it.total_ms / 1000),
  ]);
}

// ---- producers ----

export function showProducers(screen) {
  const columns = [['Name'], ['Last batch', true], ['Seq'], ['Time (UTC)'], ['Mark']];
  followPages(screen, '/v1/producers', 'Producers', columns, ({ name, batch, seq, time, mark }) => [cut(name, 256), String(batch), seq ?? '–', moment(time * 1000), mark ?? '']);
}

// ---- storage ----

const HISTOGRAMS = {
  commit_duration_seconds: 'A transaction until it is on disk',
  commit_latency_seconds: 'A request until its commit',
  publish_latency_seconds: 'A request until its frames are ready',
  loop_pause_seconds: 'A turn of the loop',
};

function bars(title, { bounds, counts, count }) {
  const from = counts.findIndex((value) => value > 0);
  const to = counts.findLastIndex((value) => value > 0);
  const shown = from < 0 ? [] : counts.slice(from, to + 1);
  const most = Math.max(...shown, 1);
  const edge = (i) => (i < 0 ? '0 s' : bounds[i] === Infinity ? 'more' : seconds(bounds[i]));
  const label = count ? `${title}: ${number(count)} values between ${edge(from - 1)} and ${edge(to)}` : `${title}: no values`;
  return h('figure', {},
    svg('svg', { class: 'bars', viewBox: `0 0 ${Math.max(shown.length, 1)} 10`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
      shown.map((value, i) => svg('rect', { x: i + 0.05, width: 0.9, y: 10 - (value / most) * 10, height: (value / most) * 10 }))),
    h('figcaption', {}, label));
}

function drawHistograms() {
  const [first, now] = [known.past[0], known.past.at(-1)];
  if (!Object.keys(now?.histograms ?? {}).length) return quiet('Latencies need the metrics.');
  const found = Object.entries(HISTOGRAMS).filter(([name]) => now.histograms[name]);
  const lately = (name) => between(now.histograms[name], first === now ? undefined : first.histograms[name]);
  const rows = found.map(([name, title]) => [title, ...[lately(name), now.histograms[name]].flatMap((it) => [0.5, 0.99].map((part) => seconds(quantile(it, part)))), number(now.histograms[name].count)]);
  return [
    table('Latencies', [['What'], ['p50 lately', true], ['p99 lately', true], ['p50 since start', true], ['p99 since start', true], ['Count', true]], rows),
    h('div', { class: 'cards' }, found.map(([name, title]) => h('section', { 'aria-label': title }, bars(title, lately(name).count ? lately(name) : now.histograms[name])))),
  ];
}

export function showStorage({ main, signal }) {
  const box = h('div');
  main.append(box);
  watch(() => {
    const { log, disk } = known.status ?? {};
    if (!log) return put(box, quiet('Figures of the storage need a token with the scope admin.'));
    return put(box,
      h('h2', {}, 'The log'), tiles(
        tile('Changes', number(log.changes)), lineTile('Bytes', series('log_bytes'), bytes, log.bytes),
        tile('From change', String(log.floor + 1)), tile('To change', String(known.status.last_change))),
      h('h2', {}, 'The disk'), tiles(
        tile('State', disk.state), tile('Database', bytes(disk.database_bytes)), lineTile('Write-ahead log', series('wal_bytes'), bytes, disk.wal_bytes),
        tile('Free', `${bytes(disk.free_bytes)} of ${bytes(figure('disk_bytes'))}`)),
      h('h2', {}, 'Commits'), tiles(
        lineTile('Commits', rates('commits_total'), rate), tile('In all', number(figure('commits_total'))),
        tile('Failed', number(figure('commit_failures_total'))), tile('Queue', `${number(known.status.queue.requests)} requests, ${bytes(known.status.queue.bytes)}`),
        tile('Checkpoints, failed', `${number(figure('checkpoints_total'))}, ${number(figure('checkpoint_failures_total'))}`)),
      drawHistograms());
  }, signal);
}

// ---- the configuration ----

const drawConfiguration = (body) => {
  const isPlain = ([, value]) => typeof value !== 'object';
  return [
    quiet('The values in force, without secrets.'),
    table('Settings', [['Setting'], ['Value']], Object.entries(body).filter(isPlain).map(([name, value]) => [name, String(value)])),
    Object.entries(body).filter((entry) => !isPlain(entry)).map(([name, value]) => [h('h2', {}, name), h('pre', { tabindex: 0, 'aria-label': `JSON of ${name}` }, JSON.stringify(value, null, 2))]),
  ];
};

export function showConfiguration({ main, follow }) {
  const box = h('div');
  main.append(box);
  follow(box, () => '/config', drawConfiguration, { every: 0 });
}
