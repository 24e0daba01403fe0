import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, inject, it, vi } from 'vitest';
import { platformEnv } from '../kit/platform.ts';
import { POLLING } from '../kit/waiting.ts';

const ROOT = join(import.meta.dirname, '../..');

/** A copy of what was built, of which a test may spoil a file. */
describe('the service as it is built', () => {
  let home = '';
  let stop: () => Promise<unknown> = () => Promise.resolve();
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'wxkeeper-start-'));
    cpSync(join(ROOT, 'dist'), join(home, 'dist'), { recursive: true });
    cpSync(join(ROOT, 'package.json'), join(home, 'package.json'));
  });
  afterEach(async () => {
    await stop();
    rmSync(home, { recursive: true });
  });

  async function start(): Promise<{ port: number; output: () => string; exit: Promise<unknown> }> {
    const port = await freePort();
    const env = platformEnv({ urls: ['http://127.0.0.1:1'] }, inject('redisUrl'), `t${port}:`);
    const child = spawn(process.execPath, [join(home, 'dist/main.js')], {
      env: { PATH: process.env.PATH, ...env, PUBLIC_PORT: String(port) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    const exit = once(child, 'close').then(([code]: unknown[]) => code);
    stop = () => {
      child.kill('SIGKILL');
      return exit;
    };
    return { port, output: () => output, exit };
  }

  function change(file: string, to: (text: string) => string): void {
    const name = readdirSync(join(home, 'dist')).find((one) => one.startsWith(file)) ?? file;
    const path = join(home, 'dist', name);
    writeFileSync(path, to(readFileSync(path, 'utf8')));
  }

  it('needs no packages beside it', async () => {
    const { output } = await start();
    await vi.waitFor(() => expect(output()).toContain('wxkeeper started'), POLLING);
  });

  it('takes pushes while the dashboard and the API are still being loaded', async () => {
    change('main-listener-', (text) => `await new Promise(() => {});${text}`);
    const { port, output } = await start();
    const answer = () => fetch(`http://127.0.0.1:${port}/livez`).then((one) => one.text());
    await vi.waitFor(async () => {
      expect(await answer()).toBe('ok');
    }, POLLING);
    const push = await fetch(`http://127.0.0.1:${port}/callback/wx0000000000000000`, {
      method: 'POST',
      body: 'no push',
    });
    expect(push.status).toBe(404);
    expect(output()).not.toContain('wxkeeper started');
  });

  it.each(['main-listener-', 'main-authorize-', 'main-registry-'])(
    'ends at once, with 69, when %s cannot be loaded',
    async (file) => {
      change(file, (text) => `throw new Error('spoiled');${text}`);
      const { exit, output } = await start();
      expect(await exit).toBe(69);
      expect(output()).toContain('"message":"cannot start"');
      expect(output()).toContain('spoiled');
    },
  );
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}
