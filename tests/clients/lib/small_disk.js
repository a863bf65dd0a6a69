// A file system of a few mebibytes, to be filled.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Its folder, until the test ends and `end` has run; null: the test is skipped, as nothing can be mounted here. */
export function smallDisk(t, mebibytes, end = () => {}) {
  const folder = mkdtempSync(join(tmpdir(), 'stele-test-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'stele-test', folder], { stdio: 'pipe' });
  } catch (error) {
    rmdirSync(folder);
    t.skip(`no tmpfs can be mounted here: ${String(error.stderr ?? error).trim()}`);
    return null;
  }
  t.after(async () => {
    await end();
    execFileSync('umount', ['-l', folder]);
    rmdirSync(folder);
  });
  return folder;
}

/** Leave so many mebibytes free. */
export function fillDisk(folder, mebibytes = 0) {
  const { bavail, bsize } = statfsSync(folder);
  writeFileSync(join(folder, 'filler'), Buffer.alloc(bavail * bsize - mebibytes * 1024 * 1024), { flag: 'a' });
}
