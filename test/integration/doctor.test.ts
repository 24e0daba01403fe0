import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { Redis } from 'ioredis';
import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  inject,
  it,
  onTestFinished,
  vi,
} from 'vitest';
import { runDoctor } from '../../src/commands/doctor/run.ts';
import { COMPONENT, platformEnv } from '../kit/platform.ts';
import { killServices, nodeArguments, startService } from '../kit/service.ts';

/** The doctor and a service to examine: a process of its own, as a person starts it. */

type Settings = Record<string, string>;

/** The whole command, with its process. */
async function doctorProcess(args: readonly string[], env: Readonly<Settings>) {
  const child = spawn(process.execPath, [...nodeArguments('commands/doctor'), ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const text = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (chunk: string) => (text[name] += chunk));
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...text };
}

let text = { stdout: '', stderr: '' };
beforeEach(() => {
  text = { stdout: '', stderr: '' };
  vi.spyOn(console, 'log').mockImplementation((line) => void (text.stdout += `${String(line)}\n`));
  vi.spyOn(console, 'error').mockImplementation(
    (line) => void (text.stderr += `${String(line)}\n`),
  );
  return () => vi.restoreAllMocks();
});

/** The same without the process. */
async function doctor(args: readonly string[], env: Readonly<Settings>) {
  text = { stdout: '', stderr: '' };
  const code = await runDoctor(args, env);
  return { code, ...text };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const prefix = `test${randomBytes(6).toString('hex')}:`;
/** The settings of a trial: WeChat is on this machine, and nobody is there yet. */
let trial: Settings;
/** The same, with the port that the service has. */
let running: Settings;

beforeAll(async () => {
  const urls = [`http://127.0.0.1:${await freePort()}`];
  trial = platformEnv({ urls }, inject('redisUrl'), prefix);
  const { public_port: port } = await startService(trial).line('wxkeeper started');
  running = { ...trial, PUBLIC_PORT: String(port) };
});
afterAll(async () => {
  await killServices();
  const redis = new Redis(inject('redisUrl'));
  const left = await redis.keys(`${prefix}*`);
  if (left.length > 0) await redis.del(left);
  redis.disconnect();
});

const steps = (output: string, mark: string) =>
  output.split('\n').filter((line) => line.startsWith(`  ${mark}`));

describe('npm run doctor -- release-check', () => {
  it('passes a good instance: one line for each step of each account', async () => {
    const { code, stdout, stderr } = await doctor(['release-check'], running);
    expect(stderr).toBe('');
    expect(steps(stdout, 'FAILED')).toEqual([]);
    expect(steps(stdout, 'ok')).toHaveLength(70);
    expect(stdout).toContain('official account wx570bc396a51b8ff8 (gh_3c884a361561)');
    expect(stdout).toContain('All 70 steps passed.');
    expect(code).toBe(0);
    for (const secret of [COMPONENT.secret, COMPONENT.token, COMPONENT.encodingAesKey]) {
      expect(stdout).not.toContain(secret);
    }
  });

  it('passes it again at once, though it holds the token of the first visit', async () => {
    const { code, stdout } = await doctor(['release-check'], running);
    expect(steps(stdout, 'FAILED')).toEqual([]);
    expect(code).toBe(0);
  });

  it('names what fails and what to do, and ends with 1', async () => {
    const other = { ...running, COMPONENT_TOKEN: 'anotherToken', COMPONENT_PREVIOUS_TOKEN: '' };
    const { code, stdout } = await doctor(['release-check'], other);
    expect(code).toBe(1);
    expect(steps(stdout, 'FAILED')).toHaveLength(70);
    expect(stdout).toMatch(
      /FAILED .* ticket +the answer is status 401\n +What to do: .*compare its Token/,
    );
    expect(stdout).toContain('70 of 70 steps FAILED.');
  });

  it('ends at once when no instance is there', async () => {
    const env = { ...trial, PUBLIC_PORT: String(await freePort()) };
    const { code, stdout } = await doctor(['release-check'], env);
    expect(code).toBe(1);
    expect(steps(stdout, 'FAILED')).toHaveLength(1);
    expect(stdout).toContain('ECONNREFUSED');
  });

  it('asks for the address when the settings do not tell the port', async () => {
    const { code, stderr } = await doctor(['release-check'], trial);
    expect(code).toBe(1);
    expect(stderr).toContain('--callback');
  });

  it.each([
    ['https://api.weixin.qq.com', 'the true WeChat'],
    ['http://127.0.0.1:1,http://127.0.0.1:2', 'two of them'],
  ])('explains how to begin when WECHAT_API_BASE_URLS is %s: %s', async (urls) => {
    const env = { ...platformEnv({ urls: [urls] }, 'redis://127.0.0.1:1', 'x:'), PUBLIC_PORT: '1' };
    const { code, stdout, stderr } = await doctor(['release-check'], env);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain('WECHAT_API_BASE_URLS=http://127.0.0.1:3900');
    expect(stderr).toContain('REDIS_KEY_PREFIX');
  });

  it('says that the place of the pretended WeChat is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const urls = [`http://127.0.0.1:${(server.address() as AddressInfo).port}`];
    const env = { ...platformEnv({ urls }, 'redis://127.0.0.1:1', 'x:'), PUBLIC_PORT: '1' };
    const { code, stderr } = await doctor(['release-check'], env);
    expect(code).toBe(1);
    expect(stderr).toContain('something listens there already');
  });

  it('knows two forms of pushes, and no third', async () => {
    const { code, stderr } = await doctor(['release-check', '--format', 'yaml'], trial);
    expect(code).toBe(64);
    expect(stderr).toContain('--format must be xml or json, not "yaml"');
  });

  it('names wrong settings, as the service does', async () => {
    const { code, stderr } = await doctor(['release-check'], { REDIS_URL: '' });
    expect(code).toBe(78);
    expect(stderr).toContain('REDIS_URL is required');
  });
});

describe('npm run doctor, as a process', () => {
  it('prints one JSON document and nothing else, and ends with 1 when something failed', async () => {
    const { code, stdout, stderr } = await doctorProcess(['--json'], trial);
    expect([code, stderr]).toEqual([1, '']);
    const report = JSON.parse(stdout) as { ok: boolean; checks: { code: string | null }[] };
    expect(report.ok).toBe(false);
    const codes = report.checks.map((check) => check.code);
    expect(codes).toContain('wechat_unreachable');
    expect(stdout).not.toContain(COMPONENT.secret);
  });
});
