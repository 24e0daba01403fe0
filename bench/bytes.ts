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

export async function measureBytes(): Promise<Report> {
  return await onStage(async ({ redis, simulator }) => {
    const platform = await createPlatform(redis, simulator, 'bench:bytes:');
    await fillUp(platform, AUTHORIZERS);
    await platform.keeper.stop();
    const rows = await measureKeys(platform);
    const sum = rows.reduce((total, [, bytes]) => total + bytes, 0);
    return {
      bench: 'bytes',
      title: { en: 'Redis bytes of one authorizer', zh: '一个授权方占用的 Redis 字节数' },
      tables: [{ columns: ['bytes'], rows: [...rows, ['sum', sum]] }],
      lines: [
        figure(
          {
            en: `Redis bytes per authorizer (${TOKEN}-byte token, ${REFRESH_TOKEN}-byte refresh token)`,
            zh: `每个授权方的 Redis 字节数（token ${TOKEN} 字节，refresh token ${REFRESH_TOKEN} 字节）`,
          },
          ...([sum, '', GOAL] as const),
        ),
      ],
      notes: ['the history has one entry; its share of what all have together is of 1,000'],
    };
  });
}

/** Of the one that the keeper itself has made, with values as long as they may be. */
async function measureKeys({ store: { redis, keys } }: Platform): Promise<[string, number][]> {
  const id = idOf(0);
  const value = text(TOKEN);
  await redis.hset(keys.record(id), { value, refresh_token: text(REFRESH_TOKEN) });
  await redis.set(keys.mirror(id), value, 'KEEPTTL');
  const shared = [
    keys.due(KIND, COMPONENT.appid),
    keys.authorizers(COMPONENT.appid),
    keys.authorizerIndex(COMPONENT.appid),
  ];
  const own = await redis.keys(`*{${id.subject.split(':')[1] ?? ''}}*`);
  const rows: [string, number][] = [];
  for (const key of own.sort()) rows.push([key.split('{')[0] ?? key, await usage(redis, key)]);
  for (const key of shared) {
    const bytes = await usage(redis, key);
    if (bytes > 0) rows.push([`share of ${key.split('{')[0] ?? key}`, bytes / AUTHORIZERS]);
  }
  return rows.map(([name, bytes]) => [name.replace('bench:bytes:', ''), bytes]);
}

async function usage(redis: Redis, key: string): Promise<number> {
  return (await redis.memory('USAGE', key, 'SAMPLES', 0)) ?? 0;
}

function text(length: number): string {
  return randomBytes(length).toString('base64url').slice(0, length);
}
