import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { COMPONENT } from './rig/component.ts';
import { createPlatform, fillUp, idOf, KIND, type Platform } from './rig/platform.ts';
import { figure, type Report } from './rig/report.ts';
import { onStage } from './rig/stage.ts';

/** What one authorizer takes in Redis: its own keys, and its share of those that all have together. */

const AUTHORIZERS = 1_000;
/** Bytes of a token, and of a refresh token: as long as WeChat's longest. */
const TOKEN = 512;
const REFRESH_TOKEN = 100;
const GOAL = 1_400;
/**
 * Bytes of the longest value of a hash that Redis keeps in its compact form: its own default, and what
 * docker-compose.yml says, which a record fits in.
 */
const LISTPACK_VALUES = [64, 1_024] as const;

export async function measureBytes(): Promise<Report> {
  return await onStage(async ({ redis, simulator }) => {
    const columns = new Map<number, Map<string, number>>();
    for (const longest of LISTPACK_VALUES) {
      await redis.config('SET', 'hash-max-listpack-value', longest);
      const prefix = `bench:bytes:${longest}:`;
      const platform = await createPlatform(redis, simulator, prefix);
      await fillUp(platform, AUTHORIZERS);
      await platform.keeper.stop();
      columns.set(longest, await measureKeys(platform, prefix));
    }
    const names = [...new Set([...columns.values()].flatMap((rows) => [...rows.keys()]))];
    const cells = (name: string) =>
      LISTPACK_VALUES.map((longest) => columns.get(longest)?.get(name) ?? 0);
    const sums = LISTPACK_VALUES.map((longest) =>
      [...(columns.get(longest)?.values() ?? [])].reduce((sum, bytes) => sum + bytes, 0),
    );
    const [plain = NaN, compact = NaN] = sums;
    const [, longest] = LISTPACK_VALUES;
    return {
      bench: 'bytes',
      title: { en: 'Redis bytes of one authorizer', zh: '一个授权方占用的 Redis 字节数' },
      tables: [
        {
          columns: LISTPACK_VALUES.map((value) => `hash-max-listpack-value ${value}`),
          rows: [
            ...names.map((name): [string, ...number[]] => [name, ...cells(name)]),
            ['sum', ...sums],
          ],
        },
      ],
      lines: [
        figure(
          {
            en: `Redis bytes per authorizer (${TOKEN}-byte token, ${REFRESH_TOKEN}-byte refresh token)`,
            zh: `每个授权方的 Redis 字节数（token ${TOKEN} 字节，refresh token ${REFRESH_TOKEN} 字节）`,
          },
          ...([plain, '', GOAL] as const),
        ),
        figure(
          {
            en: `the same with hash-max-listpack-value ${longest}, as in docker-compose.yml`,
            zh: `同上，hash-max-listpack-value 为 ${longest}（docker-compose.yml 的设置）`,
          },
          ...([compact, '', GOAL] as const),
        ),
      ],
      notes: ['the history has one entry; its share of what all have together is of 1,000'],
    };
  });
}

/** Of the one that the keeper itself has made, with values as long as they may be. */
async function measureKeys(
  { store: { redis, keys } }: Platform,
  prefix: string,
): Promise<Map<string, number>> {
  const id = idOf(0);
  const value = text(TOKEN);
  await redis.hset(keys.record(id), { value, refresh_token: text(REFRESH_TOKEN) });
  await redis.set(keys.mirror(id), value, 'KEEPTTL');
  const shared = [
    keys.due(KIND, COMPONENT.appid),
    keys.authorizers(COMPONENT.appid),
    keys.authorizerIndex(COMPONENT.appid),
  ];
  const own = await redis.keys(`${prefix}*{${id.subject.split(':')[1] ?? ''}}*`);
  const rows = new Map<string, number>();
  const nameOf = (key: string) => (key.split('{')[0] ?? key).slice(prefix.length);
  for (const key of own.sort()) rows.set(nameOf(key), await usage(redis, key));
  for (const key of shared) {
    const bytes = await usage(redis, key);
    if (bytes > 0) rows.set(`share of ${nameOf(key)}`, bytes / AUTHORIZERS);
  }
  return rows;
}

async function usage(redis: Redis, key: string): Promise<number> {
  return (await redis.memory('USAGE', key, 'SAMPLES', 0)) ?? 0;
}

function text(length: number): string {
  return randomBytes(length).toString('base64url').slice(0, length);
}
