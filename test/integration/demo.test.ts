import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, inject, it, type ExpectStatic } from 'vitest';
import { DEMO_COMPONENT } from '../../src/sandbox/demo/component.ts';

/**
 * The built demo as a process of its own: what a newcomer sees, and that nothing stays behind.
 * `npm run build` must have been run; `npm test` does so.
 */

const DEMO = fileURLToPath(new URL('../../dist/commands/demo.js', import.meta.url));
const LONG_MS = 120_000;

interface Demo {
  pid: number;
  /** All output so far. */
  output(): string;
  /** Resolves with exit code or signal, and the processes it had started by then. */
  ended: Promise<number | NodeJS.Signals | null>;
  /** Resolves when the output matches. */
  says(pattern: RegExp): Promise<RegExpExecArray>;
  /** Everything it has started, directly or not, and what these have been given as arguments. */
  descendants(): Promise<Process[]>;
  /** Names of what lies in its folder for temporary files. */
  leftovers(): Promise<string[]>;
}

interface Process {
  pid: number;
  parent: number;
  state: string;
  command: string;
}

let folder: string;
const started: ChildProcess[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wxkeeper-test-'));
});

afterAll(async () => {
  // Of a test that failed; the guards of such a demo tidy up after it.
  for (const child of started) child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

/** Every process of this machine: from /proc where there is one, as slim images have no ps. */
async function processes(): Promise<Process[]> {
  if (process.platform !== 'linux') {
    const { stdout } = await promisify(execFile)('ps', ['-eo', 'pid=,ppid=,stat=,args=']);
    return stdout.split('\n').flatMap((line) => {
      const [, pid, parent, state = '', command = ''] =
        /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? [];
      return pid === undefined
        ? []
        : [{ pid: Number(pid), parent: Number(parent), state, command }];
    });
  }
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      // It may end while it is being looked at.
      const [stat, command] = await Promise.all(
        ['stat', 'cmdline'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')),
      );
      const [, state = '', parent] = /\) (\S) (\d+)/.exec(stat ?? '') ?? [];
      return { pid: Number(pid), parent: Number(parent), state, command: command ?? '' };
    }),
  );
  return found.filter(({ state }) => state !== '');
}

/** Those of them that run still; who waits for its parent to take notice is dead. */
async function survivors(of: readonly Process[]): Promise<Process[]> {
  const running = await processes();
  return of.filter(({ pid, command }) =>
    running.some((one) => one.pid === pid && one.command === command && !one.state.startsWith('Z')),
  );
}

async function eventually<T>(find: () => Promise<T | undefined> | T | undefined, what: string) {
  const giveUpAt = performance.now() + 60_000;
  for (;;) {
    const found = await find();
    if (found !== undefined) return found;
    if (performance.now() > giveUpAt) throw new Error(`never happened: ${what}`);
    await sleep(50);
  }
}

/** Its own Redis, unless the tests are to use a running one or another shape. */
function redisEnv(): Record<string, string> {
  const { TEST_REDIS_URL: running = '', TEST_REDIS_SHAPE: shape = 'single' } = process.env;
  if (running === '' && shape === 'single') return {};
  const { env, admin } = inject('redis');
  // It reads events and removes its keys, too, which is not for the user of wxkeeper.
  return 'url' in admin ? { ...env, REDIS_URL: admin.url } : env;
}

async function start(args: readonly string[], env = redisEnv()): Promise<Demo> {
  const home = await mkdtemp(join(folder, 'd'));
  const given = ['PATH', 'HOME', 'REDIS_SERVER_BIN'].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const child = spawn(process.execPath, [DEMO, ...args], {
    env: {
      ...Object.fromEntries(given),
      TMPDIR: home,
      ...env,
    },
    // A group of its own, so that a signal can go to all of it, as from a terminal.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  const pid = child.pid ?? 0;
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  }
  return {
    pid,
    output: () => text,
    ended: new Promise((resolve) => child.once('close', (code, signal) => resolve(code ?? signal))),
    says: (pattern) =>
      eventually(
        () => {
          if (child.exitCode !== null)
            throw new Error(`it ended without ${String(pattern)}: ${text}`);
          return pattern.exec(text) ?? undefined;
        },
        `the demo says ${String(pattern)}`,
      ),
    async descendants() {
      const all = await processes();
      const found = [pid];
      for (const one of found) {
        found.push(...all.filter(({ parent }) => parent === one).map((child) => child.pid));
      }
      return all.filter((one) => one.pid !== pid && found.includes(one.pid));
    },
    leftovers: () => readdir(home),
  };
}

/** The service's process among those that the demo has started. */
function serviceIn(descendants: readonly Process[]): Process {
  const service = descendants.find(({ command }) => command.includes('main.js'));
  if (service === undefined) throw new Error('the demo has no service');
  return service;
}

function expectNoSecrets(expect: ExpectStatic, text: string): void {
  const { secret, token, encodingAesKey } = DEMO_COMPONENT;
  for (const canary of [secret, token, encodingAesKey, 'ticket@@@', 'preauthcode@@@']) {
    expect(text).not.toContain(canary);
  }
  // WeChat's values are longer than any other word that is printed.
  expect(text.match(/[A-Za-z0-9_+=-]{60,}/g) ?? []).toEqual([]);
}

async function expectNothingLeft(
  expect: ExpectStatic,
  demo: Demo,
  descendants: readonly Process[],
): Promise<void> {
  expect(descendants.length).toBeGreaterThan(1);
  expect(await survivors(descendants)).toEqual([]);
  expect(await demo.leftovers()).toEqual([]);
}

describe.concurrent('npm run demo', { timeout: LONG_MS }, () => {
  it('shows the main job at work, says so and exits 0', async ({ expect }) => {
    const demo = await start(['--seconds', '30', '--divide-times-by', '300']);
    await demo.says(/component_access_token refreshed \(seq 2\)/);
    const descendants = await demo.descendants();
    const code = await demo.ended;
    const text = demo.output();
    expect(text).toContain('All is well.');
    expect(code).toBe(0);
    expect(text).not.toContain('FAILED');
    expect(text).toMatch(/tickets received +\d\d/);
    expect(text).toMatch(/equals the value in Redis +yes \(\d+ of \d+ reads\)/);
    expect(text).toMatch(/dead or missing credentials seen +0 in \d+ looks/);
    expect(text).toContain('30 s are too short to see component_access_token refreshed more than');
    expectNoSecrets(expect, text);
    await expectNothingLeft(expect, demo, descendants);
  });

  it('prints lines that work when pasted, and ends in order on Ctrl-C', async ({ expect }) => {
    const demo = await start(['--divide-times-by', '300']);
    await demo.says(/pre_auth_code obtained/);
    const descendants = await demo.descendants();
    const commands = [...demo.output().matchAll(/^ {4}((?:curl|\S*redis-cli|LD_).*)$/gm)];
    expect(commands.length).toBeGreaterThan(6);
    for (const [, command = ''] of commands) {
      if (!(await canRun(command))) continue;
      const { stdout } = await promisify(execFile)('/bin/sh', ['-c', command]);
      expect(stdout.trim(), command).not.toBe('');
      expect(stdout, command).not.toMatch(/"error"|^\(nil\)|^-2$/m);
    }
    // To the whole group, as a terminal does: the service must not hear of it.
    process.kill(-demo.pid, 'SIGINT');
    expect(await demo.ended).toBe(0);
    expect(demo.output()).toContain('Everything is stopped, and nothing is left behind.');
    expect(demo.output()).not.toContain('ended by itself');
    expectNoSecrets(expect, demo.output());
    await expectNothingLeft(expect, demo, descendants);
  });

  it('exits 1 and says what failed when WeChat gives nothing', async ({ expect }) => {
    const demo = await start(['--seconds', '20', '--divide-times-by', '600']);
    const [, url = ''] = await demo.says(/(http:\S+\/_simulator\/faults)/);
    await fetch(url, {
      method: 'POST',
      body: JSON.stringify({
        api: '*',
        times: 'forever',
        fault: { type: 'errcode', errcode: 45009 },
      }),
    });
    expect(await demo.ended).toBe(1);
    const text = demo.output();
    expect(text).toMatch(/FAILED {2}component_access_token refreshed/);
    expect(text).toMatch(/FAILED {2}status ok at the end/);
    expect(text).toMatch(/\d of 9 checks failed/);
    expect(await demo.leftovers()).toEqual([]);
  });

  it('exits 1 with the last log lines when the service dies', async ({ expect }) => {
    const demo = await start(['--divide-times-by', '600']);
    await demo.says(/pre_auth_code obtained/);
    const descendants = await demo.descendants();
    process.kill(serviceIn(descendants).pid, 'SIGKILL');
    expect(await demo.ended).toBe(1);
    expect(demo.output()).toMatch(
      /The service ended by itself \(by SIGKILL\)\. Its last log lines:/,
    );
    // Which ones depends on how much it has logged by now.
    expect(demo.output()).toMatch(/\n {2}\{"time":.*"message":"[^"]+".*\}/);
    expectNoSecrets(expect, demo.output());
    await expectNothingLeft(expect, demo, descendants);
  });

  it('takes everything with it when it is killed', async ({ expect }) => {
    const demo = await start(['--divide-times-by', '600']);
    await demo.says(/pre_auth_code obtained/);
    const descendants = await demo.descendants();
    process.kill(demo.pid, 'SIGKILL');
    expect(await demo.ended).toBe('SIGKILL');
    await eventually(
      async () => ((await survivors(descendants)).length === 0 ? true : undefined),
      'all its processes are gone',
    );
    await eventually(
      async () => ((await demo.leftovers()).length === 0 ? true : undefined),
      'its folders are gone',
    );
  });

  it.for<[string, string[], Record<string, string>, number, RegExp]>([
    ['an unknown flag', ['--nonsense'], {}, 64, /--nonsense[\s\S]*--help/],
    ['too short a time', ['--seconds', '3'], {}, 64, /from 20 to 86400/],
    ['a folder with data', ['--data', dirname(DEMO)], { REDIS_URL: '' }, 64, /is not empty/],
    [
      'two kinds of Redis',
      ['--data', 'x'],
      { REDIS_URL: 'redis://h' },
      64,
      /REDIS_URL names another/,
    ],
    ['no Redis', [], { REDIS_URL: '', REDIS_SERVER_BIN: '/nowhere/redis' }, 69, /REDIS_SERVER_BIN/],
    ['a dead Redis', [], { REDIS_URL: 'redis://:password@127.0.0.1:1' }, 69, /does not answer/],
  ])('refuses %s', async ([, args, env, code, message], { expect }) => {
    const demo = await start(args, env);
    expect(await demo.ended).toBe(code);
    expect(demo.output()).toMatch(message);
    expect(demo.output()).not.toContain('password');
    expect(await demo.leftovers()).toEqual([]);
  });
});

/** Not everything that is offered is on every machine that runs tests. */
async function canRun(command: string): Promise<boolean> {
  const needed = command.startsWith('curl') ? 'curl' : 'redis-cli';
  if (command.startsWith('LD_')) return true;
  return promisify(execFile)('/bin/sh', ['-c', `command -v ${needed}`]).then(
    () => !command.includes('$REDIS_URL'),
    () => false,
  );
}
