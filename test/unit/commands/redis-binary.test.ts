import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findRedis } from '../../../src/sandbox/redis/launch.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wxkeeper-test-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function fakeServer(path: string, script: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  return path;
}

describe('findRedis', () => {
  it('takes REDIS_SERVER_BIN before all else', async () => {
    const command = await fakeServer(join(folder, 'mine'), 'echo "Valkey server v=8.1.4 sha=0"');
    const found = await findRedis({ env: { REDIS_SERVER_BIN: command }, root: folder });
    expect(found).toEqual({ command, source: 'REDIS_SERVER_BIN', version: '8.1.4' });
  });

  it('does not look further when REDIS_SERVER_BIN is wrong', async () => {
    const cases: [string, string][] = [
      [join(folder, 'absent'), 'which is not an executable file'],
      ['no-such-redis', 'which is not an executable file'],
      [await fakeServer(join(folder, 'liar'), 'true'), 'it does not tell a Redis version'],
      [await fakeServer(join(folder, 'broken'), 'echo no libfoo >&2; exit 127'), 'no libfoo'],
    ];
    for (const [name, complaint] of cases) {
      const finding = findRedis({ env: { ...process.env, REDIS_SERVER_BIN: name }, root: folder });
      await expect(finding).rejects.toThrow(`REDIS_SERVER_BIN names ${name}, which`);
      await expect(finding).rejects.toThrow(complaint);
    }
  });

  it('takes valkey-server from PATH, and passes over a Redis that is too old', async () => {
    const bin = join(folder, 'bin');
    await fakeServer(join(bin, 'redis-server'), 'echo "Redis server v=6.0.16 sha=0"');
    const command = await fakeServer(join(bin, 'valkey-server'), 'echo "Server v=7.2.11 sha=0"');
    const lines: string[] = [];
    const say = (line: string) => void lines.push(line);
    const found = await findRedis({ env: { PATH: bin }, root: folder, say });
    expect(found).toEqual({ command, source: 'path', version: '7.2.11' });
    expect(lines).toEqual([
      `passing over ${join(bin, 'redis-server')}: it is version 6.0.16, and 7.0 or newer is needed`,
    ]);
  });

  it('uses a private copy that runs, with its libraries', async () => {
    const root = join(folder, '.cache', 'redis', 'root', 'usr');
    await mkdir(join(root, 'lib', 'x86_64-linux-gnu'), { recursive: true });
    const command = await fakeServer(
      join(root, 'bin', 'redis-server'),
      'test -n "$LD_LIBRARY_PATH" && echo "Redis server v=7.0.15 sha=0"',
    );
    const found = await findRedis({ env: { PATH: folder, REDIS_FETCH: '0' }, root: folder });
    expect(found).toEqual({
      command,
      libraryPath: join(root, 'lib', 'x86_64-linux-gnu'),
      source: 'cache',
      version: '7.0.15',
    });
  });

  it('does not trust a private copy that does not run', async () => {
    const copy = join(folder, '.cache', 'redis', 'root', 'usr', 'bin', 'redis-server');
    await fakeServer(copy, 'exit 127');
    const finding = findRedis({ env: { PATH: folder, REDIS_FETCH: '0' }, root: folder });
    await expect(finding).rejects.toThrow('No Redis server found');
  });

  it('tells how to get a Redis when there is none', async () => {
    const finding = findRedis({ env: { PATH: folder, REDIS_FETCH: '0' }, root: folder });
    await expect(finding).rejects.toThrow('No Redis server found (REDIS_FETCH=0 forbids');
    for (const way of ['apt-get install', 'brew install', 'WSL', 'docker', 'REDIS_URL=']) {
      await expect(finding).rejects.toThrow(way);
    }
    await expect(findRedis({ env: { PATH: folder }, root: folder })).rejects.toThrow(
      'takes Linux with apt-get and dpkg-deb',
    );
  });

  it('fetches nothing halfway: what apt-get complains of is told, and no folder stays', async () => {
    const bin = join(folder, 'bin');
    await fakeServer(join(bin, 'apt-get'), 'echo "E: no such package" >&2; exit 100');
    await fakeServer(join(bin, 'dpkg-deb'), 'exit 0');
    const lines: string[] = [];
    const finding = findRedis({
      env: { PATH: bin },
      root: folder,
      say: (line) => void lines.push(line),
    });
    if (process.platform === 'linux') {
      await expect(finding).rejects.toThrow('fetching one failed: E: no such package');
      expect(lines).toHaveLength(1);
      expect(await readdir(join(folder, '.cache'))).toEqual([]);
    } else {
      await expect(finding).rejects.toThrow('takes Linux');
    }
  });
});
