import type { RedisServer } from '../src/sandbox/redis/launch.ts';
import { measureRestoring } from '../test/kit/restoring.ts';
import type { Report } from './rig/report.ts';

/** `restored`: how long it takes until everything is as before when Redis was emptied. */

export async function reportRestoring(redis: Pick<RedisServer, 'url'>): Promise<Report> {
  const one = await measureRestoring(redis);
  const authorizers = one.authorizers.toLocaleString('en');
  return {
    bench: 'restored',
    title: {
      en: `Redis emptied, replicas restarted, ${authorizers} authorizers`,
      zh: `Redis 被清空、副本全部重启，${authorizers} 个授权方`,
    },
    tables: [
      {
        columns: [''],
        rows: [
          ['simulated s until refresh tokens are back', one.refreshTokensAfter],
          ['simulated s until every token is live', one.tokensAfter],
          ['calls for the list', one.listCalls],
          ['calls for tokens', one.tokenCalls],
          ['real ms', one.realMs],
        ],
      },
    ],
    lines: [],
    notes: [],
  };
}
