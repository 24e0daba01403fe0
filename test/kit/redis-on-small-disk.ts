import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findOnPath, findRedis } from '../../src/sandbox/redis/binary.ts';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';

/** A real Redis with an append-only file that can be told to find its disk full. */
export interface RedisOnSmallDisk {
  server: RedisServer;
  /** From now on the running process cannot make any file longer. */
  fillDisk(): Promise<void>;
  freeDisk(): Promise<void>;
  stop(): Promise<void>;
}

export const WHY_NOT = 'prlimit (of util-linux, on Linux only) is not here';

const run = promisify(execFile);

/** @returns undefined without prlimit */
export async function startRedisOnSmallDisk(args: string[]): Promise<RedisOnSmallDisk | undefined> {
  const prlimit = await findOnPath('prlimit');
  if (prlimit === undefined) return undefined;
  const { command, libraryPath } = await findRedis();
  const folder = await mkdtemp(join(tmpdir(), 'wxkeeper-small-disk-'));
  const wrapper = join(folder, 'redis-server');
  const libraries = libraryPath === undefined ? '' : `export LD_LIBRARY_PATH='${libraryPath}'\n`;
  // The signal would kill it; without it a write fails, as on a full disk.
  await writeFile(wrapper, `#!/bin/sh\ntrap '' XFSZ\n${libraries}exec '${command}' "$@"\n`);
  await chmod(wrapper, 0o700);
  const server = await startNamed(wrapper, args);
  const limit = async (bytes: string) => {
    await run(prlimit, ['--pid', String(server.pid()), `--fsize=${bytes}:unlimited`]);
  };
  return {
    server,
    fillDisk: () => limit('1'),
    freeDisk: () => limit('unlimited'),
    async stop() {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function startNamed(binary: string, args: string[]): Promise<RedisServer> {
  const { REDIS_SERVER_BIN: before } = process.env;
  process.env['REDIS_SERVER_BIN'] = binary;
  try {
    return await startRedisServer({ listen: 'port', appendOnly: true, args });
  } finally {
    if (before === undefined) delete process.env['REDIS_SERVER_BIN'];
    else process.env['REDIS_SERVER_BIN'] = before;
  }
}
