import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/lib/clock.ts';
import { startRedisServer } from '../../../src/sandbox/redis/launch.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { createKeys } from '../../../src/store/redis/keys.ts';
import { neededCommands, testStore } from '../../../src/store/redis/self-test.ts';
import { createTokenEncryption } from '../../../src/store/redis/token-encryption.ts';
import { createStoreTime } from '../../../src/store/redis/time.ts';
import { CODE, TOKEN } from '../../kit/liveness.ts';
import { COMPONENT, createTestPlatform, MINUTE, type TestPlatform } from '../../kit/platform.ts';
import { readDocument, ROOT, type Document } from './markdown.ts';

/** The examples of the documents, executed against a running service and simulator. */

const run = promisify(execFile);
const reading = readDocument('docs/reading-credentials.md');
const typescript = codeIn(reading, 'ts');

function codeIn({ codeBlocks }: Document, language: string): string[] {
  return codeBlocks.filter((one) => one.language === language).map(({ code }) => code);
}

describe('the TypeScript examples', () => {
  let platform: TestPlatform;
  let folder: string;

  beforeAll(async () => {
    platform = await createTestPlatform();
    await platform.simulator.pushTicket();
    await platform.settle();
    // Inside the repository, where ioredis and the types are found.
    await mkdir(join(ROOT, '.cache'), { recursive: true });
    folder = await mkdtemp(join(ROOT, '.cache', 'examples-'));
    const tsconfig = { extends: '../../tsconfig.json', include: ['*.ts'] };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(tsconfig));
    const prefix = platform.config.redisKeyPrefix;
    for (const [index, name] of ['report.ts', 'client.ts', 'cached.ts'].entries()) {
      const code = typescript[index]?.replaceAll('`wx:', `\`${prefix}`);
      await writeFile(join(folder, name), code ?? '');
    }
  });
  afterAll(async () => {
    await platform.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function execute(name: string, code: string): Promise<unknown> {
    const file = join(folder, name);
    await writeFile(file, code);
    const { stdout } = await run(process.execPath, ['--import', 'tsx', file], {
      cwd: ROOT,
      env: {
        ...process.env,
        REDIS_URL: platform.config.redis.url,
        WXKEEPER_URL: `http://127.0.0.1:${platform.app.internalPort()}`,
        WXKEEPER_KEY: platform.apiKey,
        APPID: COMPONENT.appid,
      },
    });
    return JSON.parse(stdout);
  }

  it('are three, and the README shows the one that the first is built on', () => {
    expect(typescript).toHaveLength(3);
    // The other one is of the client: `test/integration/package.test.ts`.
    expect(codeIn(readDocument('README.md'), 'ts')[0]).toBe(typescript[1]);
  });

  it('pass the type check of this project', async () => {
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    await run(process.execPath, [tsc, '-p', folder]).catch((error: unknown) => {
      throw new Error((error as { stdout: string }).stdout);
    });
  });

  it('read the token from Redis, and over HTTP when Redis has nothing', async () => {
    const code = `
      import { componentAccessToken, overHttp } from './client.ts';
      const appid = process.env.APPID ?? '';
      const token = await componentAccessToken(appid);
      const { value } = await overHttp('component_access_token', appid);
      const refusal = await overHttp('no_such_kind', appid).catch((error: Error) => error.message);
      console.log(JSON.stringify({ token, value, refusal }));
      process.exit();`;
    const value = platform.simulator.latestMint('component_access_token')?.value;
    const refusal = expect.stringMatching(/^wxkeeper: 404 .*not_found/) as unknown;
    expect(await execute('token.ts', code)).toEqual({ token: value, value, refusal });
    await platform.redis.del(platform.keys.mirror(TOKEN));
    expect(await execute('token.ts', code)).toMatchObject({ token: value });
  });

  it('get another pre_auth_code each time, whichever way it comes', async () => {
    const code = `
      import { overHttp, preAuthCode } from './client.ts';
      const appid = process.env.APPID ?? '';
      const codes = [await preAuthCode(appid), await preAuthCode(appid)];
      codes.push((await overHttp('pre_auth_code', appid)).value, await preAuthCode(appid));
      console.log(JSON.stringify(codes));
      process.exit();`;
    const first = await platform.redis.get(platform.keys.mirror(CODE));
    const codes = (await execute('code.ts', code)) as string[];
    expect(codes[0]).toBe(first);
    expect(new Set(codes).size).toBe(4);
    expect(codes.every((one) => platform.simulator.isLive('pre_auth_code', one))).toBe(true);
  });

  it('keep a token for a minute, then ask by ETag', async () => {
    const code = `
      import { cachedToken } from './cached.ts';
      const appid = process.env.APPID ?? '';
      const [realFetch, realNow] = [fetch, Date.now];
      const statuses: number[] = [];
      globalThis.fetch = async (...request) => {
        const response = await realFetch(...request);
        statuses.push(response.status);
        return response;
      };
      const tokens = [await cachedToken(appid), await cachedToken(appid)];
      Date.now = () => realNow() + 61_000;
      tokens.push(await cachedToken(appid), await cachedToken(appid));
      console.log(JSON.stringify({ statuses, tokens: [...new Set(tokens)] }));`;
    const value = platform.simulator.latestMint('component_access_token')?.value;
    expect(await execute('cache.ts', code)).toEqual({ statuses: [200, 304], tokens: [value] });
  });

  it('report a dead token once, and call WeChat again with another one', async () => {
    const code = `
      import { withToken } from './report.ts';
      const appid = process.env.APPID ?? '';
      const used: string[] = [];
      const answer = await withToken(appid, async (token) => {
        used.push(token);
        const path = '/cgi-bin/component/api_create_preauthcode?component_access_token=';
        const body = JSON.stringify({ component_appid: appid });
        const url = '${platform.simulator.url}' + path + encodeURIComponent(token);
        const response = await fetch(url, { method: 'POST', body });
        return (await response.json()) as { errcode?: number; pre_auth_code?: string };
      });
      console.log(JSON.stringify({ errcode: answer.errcode ?? 0, used }));
      process.exit();`;
    const dead = platform.simulator.latestMint('component_access_token')?.value;
    // A complaint about a value younger than a minute would be put off.
    await platform.pass(2 * MINUTE);
    platform.simulator.mintElsewhere('component_access_token');
    const result = await execute('dead.ts', code);
    const value = platform.simulator.latestMint('component_access_token')?.value;
    expect(result).toEqual({ errcode: 0, used: [dead, value] });
  });
});

describe('the other examples', () => {
  it('load each CONFIG_FILE of the production guide', async () => {
    await mkdir(join(ROOT, '.cache'), { recursive: true });
    const folder = await mkdtemp(join(ROOT, '.cache', 'examples-'));
    try {
      const file = join(folder, 'config.json');
      const load = async (json: string) => {
        await writeFile(file, json);
        return loadConfig({ REDIS_URL: 'redis://127.0.0.1', CONFIG_FILE: file });
      };
      const [platforms = '', accounts = ''] = codeIn(readDocument('docs/production.md'), 'json');
      const { components, apiKeys } = await load(platforms);
      expect(components).toHaveLength(2);
      expect(apiKeys.map(({ id }) => id)).toEqual(['shop']);
      expect((await load(accounts)).accounts.map(({ accessToken }) => accessToken)).toEqual([
        'stable',
        'classic',
      ]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('make a user of Redis that may do what it must and no more', async () => {
    const server = await startRedisServer();
    const clients = [new Redis(server.url)];
    const connect = (username: string) => {
      const client = new Redis(server.url, { username, password: 'PASSWORD' });
      clients.push(client);
      return client;
    };
    try {
      const lines = readDocument('docs/production.md').text.match(/^ACL SETUSER .+$/gm) ?? [];
      // The second one is for sentinels.
      await clients[0]?.call('ACL', ...(lines[0] ?? '').split(' ').slice(1));
      const keys = createKeys('wx:');
      const time = createStoreTime(systemClock);
      const store = {
        redis: connect('wxkeeper'),
        keys,
        time,
        encryption: createTokenEncryption([]),
      };
      expect(await testStore(store)).toMatchObject({ forbidden: [], evicts: false });
      await expect(store.redis.get('other')).rejects.toThrow('NOPERM');
      for (const command of [
        ...['FLUSHALL', 'FLUSHDB', 'KEYS *', 'SCAN 0', 'CONFIG GET *', 'MONITOR', 'SHUTDOWN'],
        ...['CLIENT PAUSE 1', 'CLIENT KILL TYPE normal', 'CLIENT NO-EVICT on', 'DEBUG SLEEP 0'],
        ...['SCRIPT FLUSH', 'FUNCTION FLUSH', 'REPLICAOF NO ONE', 'SWAPDB 0 1', 'ACL LIST'],
        ...['UNLINK wx:a', 'RESTORE wx:a 0 0', 'SORT wx:a', 'MIGRATE a 1 wx:a 0 1'],
      ]) {
        const [name = '', ...args] = command.split(' ');
        const answer = await store.redis.call(name, ...args).then(String, String);
        expect(`${command}: ${answer}`).toMatch(/NOPERM|DEBUG command not allowed/);
      }
      const needed = neededCommands(keys).map(([name]) => name.toLowerCase());
      const allowed = [...(lines[0] ?? '').matchAll(/ \+([a-z|]+)/g)].map(([, name]) => name);
      // A REDIS_URL may name a database, and a cluster is asked where its slots are.
      const ofClient = ['client|setname', 'cluster|info', 'cluster|slots', 'select'];
      expect(allowed).toEqual([...new Set([...needed, ...ofClient])].sort());
    } finally {
      for (const client of clients) client.disconnect();
      await server.stop();
    }
  });

  it('show an answer with the fields it really has', async () => {
    const [json = ''] = codeIn(reading, 'json');
    const platform = await createTestPlatform();
    try {
      await platform.simulator.pushTicket();
      await platform.settle();
      const path = `/v1/credentials/component_access_token/${COMPONENT.appid}`;
      const answer = (await (await platform.internal(path)).json()) as object;
      expect(Object.keys(JSON.parse(json) as object)).toEqual(Object.keys(answer));
    } finally {
      await platform.close();
    }
  });

  it('name every field of the status', async () => {
    const platform = await createTestPlatform({
      env: { PUBLIC_BASE_URL: 'https://wx.example.com' },
    });
    try {
      platform.simulator.addFault({
        api: 'api_create_preauthcode',
        fault: { type: 'errcode', errcode: 61004 },
      });
      await platform.simulator.pushTicket();
      await platform.settle();
      const fields = fieldNames(await (await platform.internal('/status')).json());
      expect(fields.size).toBeGreaterThan(50);
      for (const path of ['docs/status.md', 'docs/status.zh-CN.md']) {
        const { prose } = readDocument(path);
        const named = new Set(
          [...prose.matchAll(/`([\w.[\]]+)`/g)].flatMap(([, name = '']) => name.split(/[.[\]]+/)),
        );
        expect([...fields].filter((field) => !named.has(field))).toEqual([]);
      }
    } finally {
      await platform.close();
    }
  });

  it('steer the simulator with requests that it accepts', async () => {
    const platform = await createTestPlatform();
    try {
      const { text } = readDocument('docs/simulator.md');
      const requests = [...text.matchAll(/-d '([^']+)' "\$S\/([\w-]+)"/g)];
      expect(requests.length).toBeGreaterThan(8);
      for (const [, body = '', path = ''] of requests) {
        const url = `${platform.simulator.url}/_simulator/${path}`;
        const answer = await fetch(url, { method: 'POST', body });
        expect(`${path} ${body}: ${answer.status}`).toBe(`${path} ${body}: 200`);
        // A rule must not spoil the request after it.
        if (path === 'faults') await fetch(url, { method: 'DELETE' });
      }
    } finally {
      await platform.close();
    }
  });
});

function fieldNames(value: unknown, names = new Set<string>()): Set<string> {
  if (Array.isArray(value)) for (const one of value) fieldNames(one, names);
  else if (typeof value === 'object' && value !== null) {
    for (const [name, one] of Object.entries(value)) {
      names.add(name);
      fieldNames(one, names);
    }
  }
  return names;
}
