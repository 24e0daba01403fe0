import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  startRedisServer,
  type RedisServer,
  type RedisServerOptions,
} from '../../../src/sandbox/redis/launch.ts';

const LAUNCHER = new URL('../../../src/sandbox/redis/launch.ts', import.meta.url).href;

let folder: string;
const servers: RedisServer[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wxkeeper-test-'));
});

afterEach(async () => {
  vi.unstubAllEnvs();
  for (const server of servers.splice(0)) await server.stop();
  await rm(folder, { recursive: true, force: true });
});

async function launch(options?: RedisServerOptions): Promise<RedisServer> {
  const server = await startRedisServer(options);
  servers.push(server);
  return server;
}

async function ask<T>(server: RedisServer, question: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(server.url, { maxRetriesPerRequest: 1, commandTimeout: 2_000 });
  try {
    return await question(redis);
  } finally {
    redis.disconnect();
  }
}

/** An orphan that nobody has waited for yet is a zombie: dead, though its number is taken. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    if (process.platform !== 'linux') return true;
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function eventually(isSo: () => boolean, what: string): Promise<void> {
  for (let waited = 0; !isSo(); waited += 20) {
    if (waited > 10_000) throw new Error(`never happened: ${what}`);
    await sleep(20);
  }
}

describe('startRedisServer', () => {
  it('listens on a socket in a folder of its own and leaves nothing behind', async () => {
    const server = await launch();
    const home = dirname(server.socketPath ?? '');

    expect(server.url).toBe(server.socketPath);
    expect(server.port).toBeUndefined();
    expect(Buffer.byteLength(server.url)).toBeLessThan(104);
    expect(statSync(home).mode & 0o777).toBe(0o700);
    expect(await ask(server, (redis) => redis.set('k', 'v'))).toBe('OK');
    expect(await ask(server, (redis) => redis.config('GET', 'maxmemory-policy'))).toContain(
      'noeviction',
    );

    const pid = server.pid();
    await server.stop();
    expect(isAlive(pid)).toBe(false);
    expect(existsSync(home)).toBe(false);
    await server.stop();
    await expect(server.start()).rejects.toThrow('stopped for good');
  });

  it('listens on a free loopback port, and on the same one again', async () => {
    const server = await launch({ listen: 'port' });
    expect(server.url).toBe(`redis://127.0.0.1:${server.port ?? 0}`);
    expect(await ask(server, (redis) => redis.config('GET', 'bind'))).toContain('127.0.0.1');

    const before = server.pid();
    await expect(server.start()).rejects.toThrow('running already');
    await server.kill();
    expect(isAlive(before)).toBe(false);
    await server.start();
    expect(server.pid()).not.toBe(before);
    expect(await ask(server, (redis) => redis.ping())).toBe('PONG');
  });

  it('keeps its data over kill -9 with appendOnly', async () => {
    const server = await launch({ appendOnly: true });
    await ask(server, (redis) => redis.set('k', 'kept'));
    await server.kill();
    await server.start();
    expect(await ask(server, (redis) => redis.get('k'))).toBe('kept');
  });

  it('forgets its data over kill -9 without appendOnly', async () => {
    const server = await launch();
    await ask(server, (redis) => redis.set('k', 'lost'));
    await server.kill();
    await server.start();
    expect(await ask(server, (redis) => redis.get('k'))).toBeNull();
  });

  it('keeps a data folder that was given, also for the next server', async () => {
    const dir = join(folder, 'data', 'redis');
    const first = await launch({ dir, appendOnly: true });
    await ask(first, (redis) => redis.set('k', 'kept'));
    await first.stop();
    const second = await launch({ dir, appendOnly: true });
    expect(await ask(second, (redis) => redis.get('k'))).toBe('kept');
  });

  it('refuses a data folder that another server is writing to', async () => {
    const first = await launch({ dir: folder, appendOnly: true });
    await expect(launch({ dir: folder })).rejects.toThrow(
      `${folder} is in use by another Redis, process ${first.pid()}`,
    );
    // A stale pid file must not lock anybody out.
    await first.kill();
    expect(await readdir(folder)).toContain('redis.pid');
    await launch({ dir: folder });
  });

  it('says why Redis did not start, and leaves nothing behind', async () => {
    // A place of its own: others start servers, too.
    vi.stubEnv('TMPDIR', folder);
    await expect(launch({ args: ['--maxmemory-policy', 'nonsense'] })).rejects.toThrow(
      /did not start: it ended.*maxmemory-policy/s,
    );
    expect(await temporaryFolders()).toEqual([]);
  });

  it('passes extra arguments on', async () => {
    const server = await launch({ args: ['--databases', '3'] });
    expect(await ask(server, (redis) => redis.config('GET', 'databases'))).toContain('3');
  });

  it('offers a redis-cli command that works when pasted', async () => {
    for (const listen of ['socket', 'port'] as const) {
      const server = await launch({ listen });
      const { stdout } = await promisify(execFile)('/bin/sh', ['-c', `${server.cli} PING`]);
      expect(stdout.trim()).toBe('PONG');
    }
  });
});

async function temporaryFolders(): Promise<string[]> {
  const names = await readdir(tmpdir());
  return names.filter((name) => name.startsWith('wxkeeper-redis-')).sort();
}

/** A process that starts a server, runs `rest` and then tells us about the server. */
async function launcher(rest: string) {
  const script = `
    const { startRedisServer } = await import(${JSON.stringify(LAUNCHER)});
    const server = await startRedisServer();
    ${rest}
    // Last: whoever has read it may send a signal, and its handler is in place.
    console.log(JSON.stringify({ pid: server.pid(), socket: server.socketPath }));`;
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '--eval', script],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    },
  );
  const output: string[] = [];
  child.stdout.on('data', (chunk) => output.push(String(chunk)));
  await eventually(() => output.join('').includes('}'), 'the launcher has a server');
  const server = JSON.parse(output.join('')) as { pid: number; socket: string };
  return { child, server, said: () => output.join('') };
}

describe('a launcher that goes', () => {
  it.each(['SIGKILL', 'SIGINT', 'SIGTERM'] as const)(
    'by %s takes Redis with it',
    async (signal) => {
      const { child, server } = await launcher('setInterval(() => undefined, 1000);');
      expect(isAlive(server.pid)).toBe(true);
      process.kill(-(child.pid ?? 0), signal);
      await eventually(() => !isAlive(server.pid), 'Redis is gone');
      await eventually(() => !existsSync(dirname(server.socket)), 'its folder is gone');
    },
  );

  it('by coming to its end is not held up, and takes Redis with it', async () => {
    const { child, server } = await launcher('');
    if (child.exitCode === null) await once(child, 'exit');
    expect(child.exitCode).toBe(0);
    await eventually(() => !isAlive(server.pid), 'Redis is gone');
    await eventually(() => !existsSync(dirname(server.socket)), 'its folder is gone');
  });

  it('keeps Redis through Ctrl-C until it has drained', async () => {
    const { child, server, said } = await launcher(`
      const rest = setInterval(() => undefined, 1000);
      process.once('SIGINT', async () => {
        await new Promise((resolve) => setTimeout(resolve, 300));
        process.kill(server.pid(), 0);
        console.log('drained');
        await server.stop();
        clearInterval(rest);
      });`);
    process.kill(-(child.pid ?? 0), 'SIGINT');
    // Not `exit`: its last words may still be in the pipe then.
    await once(child, 'close');
    expect(said()).toContain('drained');
    expect(isAlive(server.pid)).toBe(false);
    expect(existsSync(dirname(server.socket))).toBe(false);
  });
});
