import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { startRedisServer, type RedisServer } from '../../../src/sandbox/redis/launch.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { SETTINGS } from '../../../src/config/settings.ts';
import { createKeys } from '../../../src/store/redis/keys.ts';
import {
  COMPONENT,
  createTestPlatform,
  platformEnv,
  type TestPlatform,
} from '../../kit/platform.ts';
import { createRedisPair } from '../../kit/redis-pair.ts';
import { POLLING } from '../../kit/waiting.ts';
import { ruleOf, RULES, shellBlocks, type Block } from './commands.ts';
import { ROOT } from './markdown.ts';

/** The commands of the documents, typed as they are printed. `npm test` is one of them. */

const run = promisify(execFile);
const blocks = shellBlocks();
const commands = blocks.flatMap((block) => block.commands);
/** The account in the examples. */
const AUTHORIZER = 'wxfedcba9876543210';
const PATH = process.env['PATH'] ?? '';

describe('every command of a document', () => {
  it('is run by a test, or needs what no test has: see commands.ts', () => {
    expect(commands.length).toBeGreaterThan(60);
    const unknown = commands.filter((command) => ruleOf(command) === undefined);
    expect(unknown).toEqual([]);
  });

  it('has no rule that is not needed any more', () => {
    const used = new Set(commands.map(ruleOf));
    const unused = RULES.filter((rule) => !used.has(rule) && rule.optional !== true);
    expect(unused.map(({ command }) => command.source)).toEqual([]);
  });

  it.each(RULES.flatMap(({ test }) => (test === undefined ? [] : [test])))(
    'is in the test that its rule names: %s, by %s',
    (file, text) => {
      expect(existsSync(join(ROOT, file))).toBe(true);
      expect(readFileSync(join(ROOT, file), 'utf8')).toContain(text);
    },
  );

  it('sets no setting that does not exist', () => {
    const names = SETTINGS.flatMap(({ name }) => [name, `${name}_FILE`]);
    const set = commands
      .filter(({ line }) => /^(?:export )?[A-Z][A-Z_]+=/.test(line))
      .flatMap(({ line }) => [...line.matchAll(/([A-Z][A-Z_]+)=/g)].map(([, name = '']) => name));
    expect(set.length).toBeGreaterThan(5);
    expect(set.filter((name) => !names.includes(name))).toEqual([]);
  });
});

/** A shell in which the commands find this machine's service and Redis where readers have theirs. */
interface Shell {
  type(code: string): Promise<string>;
  redis: RedisServer;
  folder: string;
  close(): Promise<void>;
}

async function openShell(options: { server?: RedisServer } = {}): Promise<Shell> {
  const redis = options.server ?? (await startRedisServer());
  const folder = await mkdtemp(join(tmpdir(), 'wxkeeper-commands-'));
  const command = async (name: string, start: string) => {
    // With the old PATH, or one of that name would find itself.
    const script = `#!/bin/sh\nPATH='${PATH}'\nexec ${start} "$@"\n`;
    await writeFile(join(folder, name), script);
    await chmod(join(folder, name), 0o755);
  };
  // Whatever is refused ends the shell with an error, which by themselves neither of them does.
  await command('redis-cli', `env ${absolute(redis.cli)} -e`);
  await command('curl', `${await find('curl')} --fail-with-body -sS`);
  return {
    redis,
    folder,
    async type(code) {
      const env = { ...process.env, ...variables, PATH: `${folder}:${PATH}` };
      const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', code], { cwd: folder, env });
      return stdout;
    },
    async close() {
      if (options.server === undefined) await redis.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const variables: Record<string, string> = {};

/** The command line of a private copy is written for this folder. */
function absolute(cli: string): string {
  return cli.replaceAll(/(^|[ =])(\.cache\/)/g, `$1${ROOT}$2`);
}

async function find(name: string): Promise<string> {
  return (await run('bash', ['-c', `command -v ${name}`])).stdout.trim();
}

describe('with a service, a simulated WeChat and a Redis', () => {
  let shell: Shell;
  let platform: TestPlatform;

  beforeAll(async () => {
    shell = await openShell();
    platform = await createTestPlatform({
      redisUrl: shell.redis.url,
      env: {
        REDIS_KEY_PREFIX: 'wx:',
        PUBLIC_BASE_URL: 'https://wx.example.com',
        COMPONENT_RETURN_URLS: 'https://shop.example.com/wechat',
      },
    });
    Object.assign(variables, {
      WXKEEPER_KEY: platform.apiKey,
      APPID: COMPONENT.appid,
      AUTHORIZER,
      S: `${platform.simulator.url}/_simulator`,
    });
  });
  afterAll(async () => {
    await platform.close();
    await shell.close();
  });

  const wanted = (when: string) => (block: Block) =>
    block.commands.some((command) => ruleOf(command)?.run === when);

  /** The lines of a block that are run here, with the addresses of this test in them. */
  function typed({ commands: lines }: Block, when: string): string {
    return lines
      .filter((command) => ruleOf(command)?.run === when)
      .map(({ line }) => line)
      .join('\n')
      .replaceAll('http://127.0.0.1:3001', `http://127.0.0.1:${platform.app.internalPort()}`)
      .replaceAll('http://127.0.0.1:8787', platform.simulator.url)
      .replace('BLOCK 5000', 'BLOCK 5');
  }

  it.each(blocks.filter(wanted('before the first ticket')))(
    'before the first ticket: $path, $code',
    async (block) => {
      expect(await shell.type(typed(block, 'before the first ticket'))).toBe('1\n');
    },
  );

  it.each(blocks.filter(wanted('in turn')))('$path: $code', async (block) => {
    const { simulator, settle, redis } = platform;
    const keys = createKeys('wx:');
    if ((await redis.exists(keys.ticketMirror(COMPONENT.appid))) === 0) {
      await simulator.pushTicket();
      const { eventCode } = simulator.grant(COMPONENT.appid, AUTHORIZER);
      await simulator.pushAuthorized(COMPONENT.appid, AUTHORIZER, eventCode);
    }
    // Each reader begins without a stream of events, and may ask for a ticket, once a minute.
    const lease = keys.lease('start_push_ticket', COMPONENT.appid);
    await redis.del(keys.events(COMPONENT.appid), lease);
    await settle();
    const printed = await shell.type(typed(block, 'in turn'));
    if (block.code.includes('/status')) expect(printed).toMatch(/^ok$|"verdict":"ok"/m);
  });
});

describe('by tests of their own', () => {
  it('Token and key have the form that the settings demand', async () => {
    const [block] = blocks.filter(({ path }) => path === 'docs/console-setup.md');
    const shell = await openShell();
    try {
      const [token = '', key = ''] = (await shell.type(block?.code ?? '')).split('\n');
      const env = platformEnv({ urls: ['http://127.0.0.1:1'] }, 'redis://127.0.0.1', 'wx:');
      const settings = { COMPONENT_TOKEN: token, COMPONENT_ENCODING_AES_KEY: key };
      expect(loadConfig({ ...env, ...settings }).components).toMatchObject([
        { token, encodingAesKey: key },
      ]);
    } finally {
      await shell.close();
    }
  });

  const operating = blocks.filter(({ path }) => path === 'docs/operating.md');
  const blockWith = (text: string) =>
    operating.find(({ code }) => code.includes(text)) ?? expect.fail(`no block with ${text}`);

  it('a dump of Redis is taken and restored', async () => {
    // Otherwise it waits 5 s for others who might want a dump, too.
    const server = await startRedisServer({ args: ['--repl-diskless-sync-delay', '0'] });
    const shell = await openShell({ server });
    const [dump] = blockWith('--rdb').commands;
    const [start, configure, look] = blockWith('--dbfilename').commands;
    try {
      await shell.type('redis-cli SET kept value');
      await shell.type(dump?.line ?? '');
      const [, ...args] = start?.line.split(' ') ?? [];
      const options = { dir: shell.folder };
      const first = await startRedisServer({ ...options, args });
      const restoring = await openShell({ server: first });
      await restoring.type(configure?.line ?? '');
      await vi.waitFor(async () => {
        expect(await restoring.type(look?.line ?? '')).toContain('in_progress:0');
      }, POLLING);
      await first.stop();
      await restoring.close();
      const again = await startRedisServer({ ...options, appendOnly: true });
      const restored = await openShell({ server: again });
      expect(await restored.type('redis-cli GET kept')).toBe('value\n');
      await restored.close();
      await again.stop();
    } finally {
      await shell.close();
      await server.stop();
    }
  });

  it('a user of Redis has two passwords for a while', async () => {
    const shell = await openShell();
    const [add, remove] = blockWith('NEW-PASSWORD').commands;
    // Whoever is refused goes on as the user without a name.
    const whoIs = (password: string) =>
      shell.type(`redis-cli --user wxkeeper --pass ${password} ACL WHOAMI`);
    try {
      await shell.type("redis-cli ACL SETUSER wxkeeper on '>OLD-PASSWORD' +acl");
      await shell.type(add?.line ?? '');
      expect(await whoIs('OLD-PASSWORD')).toBe('wxkeeper\n');
      expect(await whoIs('NEW-PASSWORD')).toBe('wxkeeper\n');
      await shell.type(remove?.line ?? '');
      expect(await whoIs('NEW-PASSWORD')).toBe('wxkeeper\n');
      expect(await whoIs('OLD-PASSWORD')).toBe('default\n');
    } finally {
      await shell.close();
    }
  });

  it('a failover of Redis that was planned', async () => {
    const pair = await createRedisPair();
    const shell = await openShell({ server: pair.master });
    const [look, failover] = blockWith('FAILOVER').commands;
    try {
      await vi.waitFor(async () => {
        const printed = await shell.type(look?.line ?? '');
        expect(printed).toMatch(/connected_slaves:1\r?\n.*state=online/);
      }, POLLING);
      await shell.type(failover?.line ?? '');
      await vi.waitFor(async () => {
        expect(await shell.type(look?.line ?? '')).toContain('role:slave');
      }, POLLING);
    } finally {
      await shell.close();
      await pair.close();
    }
  });
});
