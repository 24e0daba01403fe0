import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { loadConfig, secretsOf } from '../../src/config/load.ts';
import { createLog } from '../../src/lib/log.ts';
import { createService } from '../../src/service.ts';

/** The service as a commit of this repository has it, to be run beside the one of today. */
export interface Version {
  createService: typeof createService;
  loadConfig: typeof loadConfig;
  secretsOf: typeof secretsOf;
  createLog: typeof createLog;
}

/** 0.1.0, as it was released. */
export const RELEASED = 'baf97453ef021bfb23ebdece9bdddb09c1cd8ef4';

export const TODAY: Version = { createService, loadConfig, secretsOf, createLog };

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const run = promisify(execFile);

/** @throws Error when the history of the repository is not here */
export async function loadVersion(commit: string): Promise<Version> {
  if (!/^[\w.-]+$/.test(commit)) throw new Error(`${commit} is no commit`);
  const folder = join(ROOT, '.cache', 'versions', commit);
  if (!existsSync(folder)) await unpack(commit, folder);
  const load = (path: string): Promise<unknown> =>
    import(pathToFileURL(join(folder, 'src', path)).href);
  const where = existsSync(join(folder, 'src', 'app.ts')) ? IN_010 : NOW;
  const service = (await load(where.service)) as Record<string, unknown>;
  return {
    createService: service[where.made],
    ...((await load(where.config)) as object),
    ...((await load(where.log)) as object),
  } as Version;
}

/** Where a version has its parts. */
const NOW = {
  service: 'service.ts',
  made: 'createService',
  config: 'config/load.ts',
  log: 'lib/log.ts',
};
const IN_010 = { service: 'app.ts', made: 'createApp', config: 'config.ts', log: 'log.ts' };

async function unpack(commit: string, folder: string): Promise<void> {
  const fresh = `${folder}.${process.pid}`;
  await mkdir(fresh, { recursive: true });
  const archive = join(fresh, 'archive.tar');
  try {
    const what = ['archive', '-o', archive, commit, 'src', 'package.json'];
    await run('git', ['-C', ROOT, ...what]);
    await run('tar', ['-xf', archive, '-C', fresh]);
    await rm(archive);
    await rename(fresh, folder);
  } catch (cause) {
    await rm(fresh, { recursive: true, force: true });
    throw new Error(`The code of ${commit} is not in the history of this repository.`, { cause });
  }
}
