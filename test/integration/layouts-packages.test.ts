import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { handleOf } from '../../src/credentials/refresh-token-handle.ts';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { AUTHORIZED } from '../kit/authorizers.ts';
import { read } from '../kit/observe.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  MINUTE,
  STABLE,
  type TestPlatform,
} from '../kit/platform.ts';

/**
 * Packages as they come from npm, and PHP, find in their caches what wxkeeper has put there. Those that are
 * not on this machine are left out: the packages are installed by `npm run test:consumers`.
 */

const ROOT = join(import.meta.dirname, '../..');
const PACKAGES = join(ROOT, 'bench/peers/node_modules');
const C = COMPONENT.appid;
const SECRET = 'wxk_shop_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG';
const ROUND = 15_000;
const PHP = process.env['PHP_PATH'] ?? 'php';

const run = promisify(execFile);
const hasPhp = await run(PHP, ['-v']).then(
  () => true,
  () => false,
);

let server: RedisServer;
let redis: Redis;
let platform: TestPlatform;
beforeAll(async () => {
  server = await startRedisServer({ listen: 'port' });
  redis = new Redis(server.url);
});
afterEach(async () => {
  await platform.close();
  await redis.flushall();
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

async function start(layout: object): Promise<void> {
  const layouts = [{ appids: '*', ...layout }];
  platform = await createTestPlatform({
    layouts,
    accounts: true,
    ticket: true,
    redisUrl: server.url,
  });
  const { eventCode } = platform.simulator.grant(C, AUTHORIZER);
  await platform.simulator.pushAuthorized(C, AUTHORIZER, eventCode);
  await platform.settle();
  await platform.pass(ROUND);
}

type Tokens = Partial<Record<'account' | 'ticket' | 'platform' | 'authorizer', string>>;

/** What the application gets that asks its package. */
async function asked(name: string): Promise<Tokens> {
  const script = join(ROOT, 'test/consumers/apps', `${name}-layout.cjs`);
  const { stdout } = await run(process.execPath, [script], {
    env: {
      PATH: process.env['PATH'],
      NODE_PATH: PACKAGES,
      REDIS_URL: server.url,
      PREFIX: 'node:',
      SECRET,
      PLATFORM: C,
      ACCOUNT: STABLE.appid,
      AUTHORIZER,
      REFRESH_TOKEN: handleOf(C, AUTHORIZER),
      NOW: String(platform.clock.now()),
    },
  });
  return JSON.parse(stdout) as Tokens;
}

/** What WeChat takes. */
function alive(): Tokens {
  const { simulator } = platform;
  const value = (kind: Parameters<typeof simulator.latestMint>[0], appid: string) =>
    simulator.latestMint(kind, appid)?.value ?? 'none';
  return {
    account: value('access_token', STABLE.appid),
    ticket: value('jsapi_ticket', STABLE.appid),
    platform: value('component_access_token', C),
    authorizer: value(AUTHORIZED.kind, AUTHORIZER),
  };
}

const APPS = {
  'node-easywechat': { preset: 'node-easywechat', prefix: 'node:', secret: SECRET },
  'nest-wechat': { preset: 'nest-wechat' },
};

describe.each(Object.entries(APPS))('%s', (name, layout) => {
  const has = existsSync(join(PACKAGES, name));
  it.skipIf(!has)(
    'has live tokens after a rotation, a dead token, deleted keys and a restart, and mints none',
    async () => {
      await start(layout);
      const expectAlive = async () => {
        const tokens = await asked(name);
        expect(alive()).toMatchObject(tokens);
        expect(Object.keys(tokens).length).toBeGreaterThan(2);
      };
      await expectAlive();
      const before = alive();
      platform.clock.sleepThrough(100 * MINUTE);
      await platform.pass(11 * MINUTE);
      expect(alive().platform).not.toBe(before.platform);
      await expectAlive();

      const token = { kind: 'component_access_token', subject: C } as const;
      const { seq, value } = await read(platform, token);
      const body = JSON.stringify({ errcode: 40001, seq });
      const path = `/v1/credentials/component_access_token/${C}/rejected`;
      expect(await platform.internal(path, { method: 'POST', body })).toMatchObject({
        status: 200,
      });
      expect(alive().platform).not.toBe(value);
      await expectAlive();

      const keys = await redis.keys(name === 'node-easywechat' ? 'node:*' : 'nest-wechat:*');
      expect(keys.length).toBeGreaterThan(4);
      await redis.del(...keys);
      await platform.pass(ROUND);
      await expectAlive();

      await platform.app.stop();
      await redis.del(...keys);
      await platform.addReplica();
      await platform.settle();
      await expectAlive();
    },
    60_000,
  );
});

describe('PHP', () => {
  it.skipIf(!hasPhp).each([
    [{ preset: 'yii' }, `component_access_token:${C}`, 'component_access_token'],
    [{ preset: 'yii' }, `component_pre_auth_code:${C}`, 'pre_auth_code'],
    [
      { preset: 'easywechat-5', secret: SECRET },
      `easywechat.basic_service.jssdk.ticket.jsapi.${STABLE.appid}`,
      'ticket',
    ],
    [
      { preset: 'easywechat-6', secret: SECRET },
      `official_account.access_token.${STABLE.appid}.${SECRET}.1`,
      undefined,
    ],
  ])('reads %j, %s', async (layout, key, field) => {
    await start(layout);
    const text = (await redis.get(key)) ?? '';
    const code = 'echo json_encode(unserialize(base64_decode($argv[1])), JSON_UNESCAPED_SLASHES);';
    const { stdout } = await run(PHP, ['-r', code, Buffer.from(text).toString('base64')]);
    const read: unknown = JSON.parse(stdout);
    const value = field === undefined ? read : (read as Record<string, unknown>)[field];
    const { account, ticket, platform: token } = alive();
    const code1 = platform.simulator.latestMint('pre_auth_code', C)?.value;
    expect([account, ticket, token, code1]).toContain(value);
  });
});
