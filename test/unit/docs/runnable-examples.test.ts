import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config.ts';
import { CODE, TOKEN } from '../../support/liveness.ts';
import { COMPONENT, createStation, type Station } from '../../support/station.ts';
import { readDocument, ROOT, type Document } from './markdown.ts';

/** The examples of the documents, executed against a running service and simulator. */

const run = promisify(execFile);
const reading = readDocument('docs/reading-credentials.md');
const typescript = codeIn(reading, 'ts');

function codeIn({ codeBlocks }: Document, language: string): string[] {
  return codeBlocks.filter((one) => one.language === language).map(({ code }) => code);
}

describe('the TypeScript examples', () => {
  let station: Station;
  let folder: string;

  beforeAll(async () => {
    station = await createStation();
    await station.simulator.pushTicket();
    await station.settle();
    // Inside the repository, where ioredis and the types are found.
    await mkdir(join(ROOT, '.cache'), { recursive: true });
    folder = await mkdtemp(join(ROOT, '.cache', 'examples-'));
    const tsconfig = { extends: '../../tsconfig.json', include: ['*.ts'] };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(tsconfig));
    const prefix = station.config.redisKeyPrefix;
    for (const [index, name] of ['client.ts', 'cached.ts'].entries()) {
      const code = typescript[index]?.replaceAll('`wx:', `\`${prefix}`);
      await writeFile(join(folder, name), code ?? '');
    }
  });
  afterAll(async () => {
    await station.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function execute(name: string, code: string): Promise<unknown> {
    const file = join(folder, name);
    await writeFile(file, code);
    const { stdout } = await run(process.execPath, ['--import', 'tsx', file], {
      cwd: ROOT,
      env: {
        ...process.env,
        REDIS_URL: station.config.redisUrl,
        WXKEEPER_URL: `http://127.0.0.1:${station.app.internalPort()}`,
        WXKEEPER_KEY: station.apiKey,
        APPID: COMPONENT.appid,
      },
    });
    return JSON.parse(stdout);
  }

  it('are two, and the README shows the first of them', () => {
    expect(typescript).toHaveLength(2);
    expect(codeIn(readDocument('README.md'), 'ts')).toEqual([typescript[0]]);
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
    const value = station.simulator.latestMint('component_access_token')?.value;
    const refusal = expect.stringMatching(/^wxkeeper: 404 .*not_found/) as unknown;
    expect(await execute('token.ts', code)).toEqual({ token: value, value, refusal });
    await station.redis.del(station.keys.mirror(TOKEN));
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
    const first = await station.redis.get(station.keys.mirror(CODE));
    const codes = (await execute('code.ts', code)) as string[];
    expect(codes[0]).toBe(first);
    expect(new Set(codes).size).toBe(4);
    expect(codes.every((one) => station.simulator.isLive('pre_auth_code', one))).toBe(true);
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
    const value = station.simulator.latestMint('component_access_token')?.value;
    expect(await execute('cache.ts', code)).toEqual({ statuses: [200, 304], tokens: [value] });
  });
});

describe('the other examples', () => {
  it('load the CONFIG_FILE of the production guide', async () => {
    const [json = ''] = codeIn(readDocument('docs/production.md'), 'json');
    await mkdir(join(ROOT, '.cache'), { recursive: true });
    const folder = await mkdtemp(join(ROOT, '.cache', 'examples-'));
    try {
      const file = join(folder, 'config.json');
      await writeFile(file, json);
      const config = loadConfig({ REDIS_URL: 'redis://127.0.0.1', CONFIG_FILE: file });
      expect(config.components).toHaveLength(2);
      expect(config.apiKeys.map(({ id }) => id)).toEqual(['shop']);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('show an answer with the fields it really has', async () => {
    const [json = ''] = codeIn(reading, 'json');
    const station = await createStation();
    try {
      await station.simulator.pushTicket();
      await station.settle();
      const path = `/v1/credentials/component_access_token/${COMPONENT.appid}`;
      const answer = (await (await station.internal(path)).json()) as object;
      expect(Object.keys(JSON.parse(json) as object)).toEqual(Object.keys(answer));
    } finally {
      await station.close();
    }
  });

  it('name every field of the status', async () => {
    const station = await createStation({ env: { PUBLIC_BASE_URL: 'https://wx.example.com' } });
    try {
      station.simulator.addFault({
        api: 'api_create_preauthcode',
        fault: { type: 'errcode', errcode: 61004 },
      });
      await station.simulator.pushTicket();
      await station.settle();
      const fields = fieldNames(await (await station.internal('/status')).json());
      expect(fields.size).toBeGreaterThan(50);
      for (const path of ['docs/status.md', 'docs/status.zh-CN.md']) {
        const { prose } = readDocument(path);
        const named = new Set(
          [...prose.matchAll(/`([\w.[\]]+)`/g)].flatMap(([, name = '']) => name.split(/[.[\]]+/)),
        );
        expect([...fields].filter((field) => !named.has(field))).toEqual([]);
      }
    } finally {
      await station.close();
    }
  });

  it('steer the simulator with requests that it accepts', async () => {
    const station = await createStation();
    try {
      const { text } = readDocument('docs/simulator.md');
      const requests = [...text.matchAll(/-d '([^']+)' "\$S\/([\w-]+)"/g)];
      expect(requests.length).toBeGreaterThan(8);
      for (const [, body = '', path = ''] of requests) {
        const url = `${station.simulator.url}/_simulator/${path}`;
        const answer = await fetch(url, { method: 'POST', body });
        expect(`${path} ${body}: ${answer.status}`).toBe(`${path} ${body}: 200`);
        // A rule must not spoil the request after it.
        if (path === 'faults') await fetch(url, { method: 'DELETE' });
      }
    } finally {
      await station.close();
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
