// What is unhealthy, and what to do.

import { bytes, number, seconds } from './dom.js';
import { figure, grown, known } from './data.js';

/* Words of "status" in /status. */
const STATES = {
  stopping: ['The server is stopping', 'Clients connect again and resume.'],
  'disk-full': ['The disk is full: no mutations are accepted', 'Make room there. Subscribers are served, and intake goes on by itself.'],
  'disk-failed': ['The disk fails: no mutations are accepted', 'Look at dmesg, SMART and the mount. Do not restart; copy with “stele backup” to another disk.'],
  'wal-limit-exceeded': ['The write-ahead log is at its limit: no mutations are accepted', 'Some process keeps a read transaction open: find it with lsof, and end it.'],
  'database-gone': ['The database file was removed, moved or replaced', 'Do not stop the server: it alone has the data. Run the commands of “intake-stopped” in its log.'],
  'database-damaged': ['The database file is damaged', 'Stop the server, keep all files, and restore the newest backup whose “stele check” is clean.'],
  'database-unusable': ['Another program changed the database', 'The line “intake-stopped” in the log names what differs. Stop the server and undo that.'],
  'checkpoints-fail': ['Checkpoints fail: the disk refuses writes to the database’s own file', 'Look at the kernel’s log, free room and the file’s rights. Nothing is lost until the write-ahead log is full.'],
  'log-apart': ['The log cannot be reached', 'Look at the brokers; it tries again.'],
  'log-gap': ['The log lacks what comes next', 'Restore a newer backup.'],
  'log-replaced': ['The log was made anew', 'Start with a new file.'],
  'keys-stale': ['The keys of auth.jwks_url are stale: tokens signed with them are refused', 'Mend the URL, or put the public keys into auth.keys and reload.'],
};


/* [level, what, title(value), remedy]: it holds if the counter of that name grew while the page looked, or if the
 * function gives a value. */
const RULES = [
  ['bad', () => figure('disk_free_bytes') < 0.1 * figure('disk_bytes') && figure('disk_free_bytes'), (n) => `Only ${bytes(n)} of the disk are free`,
    'Make room before it is full, or lower retention_bytes and restart.'],
  ['warn', () => figure('wal_bytes') > 2 ** 30 && figure('wal_bytes'), (n) => `The write-ahead log has ${bytes(n)}`,
    'Some process keeps a read transaction open: find it with lsof, and end it.'],
  ['bad', 'commit_failures_total', (n) => `${n} transactions failed`, 'Look at “commit-failed” in the log, and run “stele check”.'],
  ['warn', () => figure('intake_pressure') > 0.8, () => 'The intake queue is nearly full', 'More mutations come than can be applied. Producers wait, nothing is lost: use larger batches.'],
  ['warn', () => known.status.lag > 1000 && known.status.lag > 0.5 * known.status.log?.changes && known.status.lag, (n) => `The slowest subscription is ${number(n)} changes behind`,
    'Its client reads slowly. Beyond the log it begins anew: keep a longer log (retention_…).'],
  ['warn', 'resumes_refused_total', (n) => `${n} cursors could not be resumed`, 'They were from before the log: keep a longer one (retention_…).'],
  ['warn', 'cursors_behind_total', (n) => `${n} cursors were ahead of this node`, 'See docs/cluster.md.'],
  ['warn', () => figure('loop_longest_pause_seconds') > 0.5 && figure('loop_longest_pause_seconds'), (n) => `The loop was busy for ${seconds(n)} in one turn`,
    'One request is very large, or the machine is overcommitted.'],
  ['warn', 'connections_refused_total', (n) => `${n} connections were refused`, 'The log names each with a code (“handshake-denied”): tokens, origins, limits.'],
  ['warn', 'limit_denials_total', (n) => `Limits refused ${n} times`, 'Look at “limit-exceeded” in the log; behind a proxy set trusted_proxies.'],
  ['warn', 'requests_refused_total', (n) => `${n} requests of producers were refused`, 'Look at “request-refused” in the log: it has the code and the reason.'],
  ['warn', 'ignored', (n) => `${n} mutations were ignored`, 'Mostly their export is not configured (“unknown-export” in the log): correct the producer, or add the export.'],
  ['warn', 'mutations_truncated_total', (n) => `Arrays lost elements by ${n} mutations`, 'To keep them, give the export a greater max_array_length, or 0.'],
  ['warn', 'errors', (n) => `${n} lines with the level error in the log`, 'docs/logs.md has the remedy for each event.'],
  ['warn', 'log_lines_lost_total', (n) => `${n} lines of the log were lost`, 'The program that reads standard error does not keep up.'],
  ['bad', 'usage_events_dropped_total', (n) => `${n} usage events were lost`, 'The spool is full: look at the usage endpoint. Bills will be too low.'],
  ['warn', () => figure('process_open_fds') > 0.8 * figure('process_max_fds'), () => 'Few descriptors are left', 'Raise LimitNOFILE of the unit (ulimit -n).'],
  ['warn', () => figure('tls_certificate_end_seconds') > 0 && figure('tls_certificate_end_seconds') < Date.now() / 1000 + 14 * 86400,
    () => 'The certificate ends in less than two weeks', 'Renew it, then reload.'],
];

/** [{level, title, remedy}], the worst first. */
export function diagnose() {
  const { status, trouble } = known;
  const found = [];
  if (trouble) found.push({ level: 'bad', title: trouble.message, remedy: trouble.status ? 'Give a token that may see the status.' : 'Look at its process, its log, and its last restart. The page goes on asking.' });
  if (!status) return found;
  if (status.status !== 'running') {
    const [title, remedy] = STATES[status.status] ?? [`The server says: ${status.status}`, 'Look for “intake-stopped” in the log: it has the cause and the remedy.'];
    found.push({ level: 'bad', title, remedy });
  }
  for (const [level, what, title, remedy] of RULES) {
    const isCounter = typeof what === 'string';
    const value = isCounter ? grown(what) : what();
    if (value) found.push({ level, title: title(isCounter ? number(value) : value), remedy });
  }
  return found.sort((a, b) => (a.level === 'bad' ? 0 : 1) - (b.level === 'bad' ? 0 : 1));
}
