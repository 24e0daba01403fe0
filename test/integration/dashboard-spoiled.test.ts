import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import {
  addMerchants,
  ADMIN,
  createDashboardPlatform,
  logIn,
  type Person,
} from '../kit/dashboard.ts';
import { TOKEN } from '../kit/liveness.ts';
import { COMPONENT, type TestPlatform } from '../kit/platform.ts';
import { keysLike, remove } from '../kit/redis-shapes/whole.ts';

/** Whatever a person has written into one key, the status and the page say all the rest. */

const { appid } = COMPONENT;
const MERCHANT = 'wx00000000b0000000';
const MERCHANTS_TOKEN = authorizerToken(appid, MERCHANT);
const AS_ADMIN = { headers: { authorization: `Bearer ${ADMIN.key}` } };

type Harm = (platform: TestPlatform) => Promise<unknown>;
const text = JSON.stringify;

/** No moment that has a date, one beyond the years of four digits, one before 1970. */
const MOMENTS = [9e17, 4e14, -1];
const atOddMoment = (at: number): [what: string, harm: Harm][] => [
  [
    `a replica that was seen at ${at}`,
    ({ redis, keys }) => {
      const times = { startedAt: at, seenAt: at, stoppedAt: at };
      return redis.hset(keys.replicas, 'odd', text({ ...times, host: 'h', version: '1' }));
    },
  ],
  [
    `a job run at ${at}`,
    ({ redis, keys }) => {
      const run = { startedAt: at, tookMs: at, ok: true, summary: 'x' };
      return redis.hset(keys.jobs, TOKEN.kind, text(run));
    },
  ],
  [
    `a refresh at ${at}`,
    ({ redis, keys }) => {
      const entry = { obtained_at: at, expires_at: at, seq: 1, reason: 'cron', replica: 'x' };
      return redis.rpush(keys.history(TOKEN), text(entry));
    },
  ],
  [
    `a ticket of ${at}`,
    ({ redis, keys }) =>
      redis.hset(keys.ticketRecord(appid), {
        create_time: at,
        received_at: at,
        push_asked_at: at,
      }),
  ],
  [
    `a push under the previous key at ${at}`,
    ({ redis, keys }) =>
      redis.hset(keys.pushStats(appid), { previous_key_at: at, previous_token_at: at }),
  ],
  [
    `an authorizer due at ${at}`,
    ({ redis, keys }) => redis.zadd(keys.due('authorizer_access_token', appid), at, MERCHANT),
  ],
  [
    `a comparison asked for at ${at}`,
    ({ redis, keys }) => redis.hset(keys.reconciliation(appid), 'requested_at', at),
  ],
  [
    `an authorizer looked at at ${at}`,
    ({ redis, keys }) => redis.hset(keys.authorizers(appid), MERCHANT, text({ profile_at: at })),
  ],
];

const TEXTS = ['x', '[]', '{"class":5,"message":7,"advice":{},"rid":[]}'];
const asOddText = (odd: string): [what: string, harm: Harm][] => [
  [
    `${odd} for the last error of a credential`,
    ({ redis, keys, clock }) =>
      redis.hset(keys.record(TOKEN), {
        last_error: odd,
        failures: 2,
        last_error_at: clock.now(),
      }),
  ],
  [
    `${odd} for the last error of an authorizer`,
    ({ redis, keys }) =>
      redis.hset(keys.record(MERCHANTS_TOKEN), { last_error: odd, failures: 2, last_error_at: 1 }),
  ],
  [
    `${odd} for the error of a code`,
    ({ redis, keys, clock }) => {
      const error = odd === 'x' ? odd : (JSON.parse(odd) as unknown);
      const code = { authorized_at: 1, expires_at: clock.now() + 1e6, last_error: error };
      return redis.hset(keys.exchanges(appid), 'y', text(code));
    },
  ],
  [
    `${odd} in every hash`,
    async ({ redis, keys }) => {
      await redis.hset(keys.jobs, TOKEN.kind, odd);
      await redis.hset(keys.replicas, 'odd', odd);
      await redis.hset(keys.exchanges(appid), 'x', odd);
      await redis.hset(keys.authorizers(appid), MERCHANT, odd);
      await redis.hset(keys.reconciliation(appid), { run: odd, requested_at: odd });
      await redis.hset(keys.pushStats(appid), { accepted: odd, previous_key_at: odd });
    },
  ],
  [
    `${odd} in the record of the ticket`,
    ({ redis, keys }) =>
      redis.hset(keys.ticketRecord(appid), {
        count: odd,
        create_time: odd,
        received_at: odd,
        refused: odd,
        push_asked_at: odd,
      }),
  ],
];

const NAMES = [
  ...['ticketRecord', 'pushStats', 'exchanges', 'authorizers', 'authorizerIndex'],
  ...['reconciliation', 'events', 'ticketArrivals'],
] as ('ticketRecord' | 'pushStats' | 'events')[];
const DAMAGES: readonly [what: string, harm: Harm][] = [
  ...MOMENTS.flatMap(atOddMoment),
  ...TEXTS.flatMap(asOddText),
  ...NAMES.map((name): [string, Harm] => [
    `a string for ${name}`,
    ({ redis, keys }) => redis.set(keys[name](appid), 'x'),
  ]),
  ['a string for jobs', ({ redis, keys }) => redis.set(keys.jobs, 'x')],
  ['a string for replicas', ({ redis, keys }) => redis.set(keys.replicas, 'x')],
  ['a string for a record', ({ redis, keys }) => redis.set(keys.record(TOKEN), 'x')],
  [
    'a word for a number',
    ({ redis, keys }) => redis.hset(keys.record(TOKEN), 'expires_at', 'tomorrow'),
  ],
  [
    'the largest numbers there are',
    ({ redis, keys }) => {
      const names = 'expires_at obtained_at refused_at foreign_since quarantine_until day_calls';
      const most = names.split(' ').map((name) => [name, '999999999999999']);
      return redis.hset(keys.record(TOKEN), Object.fromEntries(most) as Record<string, string>);
    },
  ],
];

describe('the status and the dashboard survive', () => {
  let platform: TestPlatform;
  let person: Person;
  let before: Map<string, Buffer>;
  const keysThere = () => keysLike(platform.redis, `${platform.config.redisKeyPrefix}*`);
  beforeAll(async () => {
    platform = await createDashboardPlatform();
    await addMerchants(platform, ['Shop']);
    await platform.simulator.pushTicket();
    await platform.settle();
    person = await logIn(platform.app.internalPort(), ADMIN.key);
    const dump = async (key: string) => [key, await platform.redis.dumpBuffer(key)] as const;
    before = new Map(await Promise.all((await keysThere()).map(dump)));
  });
  afterAll(() => platform.close());

  it.each(DAMAGES)('%s', async (_what, harm) => {
    const { redis, logs } = platform;
    await remove(redis, await keysThere());
    for (const [key, dump] of before) await redis.restore(key, 0, dump);
    logs.length = 0;
    await harm(platform);
    const status = await platform.internal('/status', AS_ADMIN);
    expect(status.status).toBe(200);
    expect(await status.json()).toMatchObject({ redis: { state: 'ready' } });
    expect((await platform.internal('/metrics', AS_ADMIN)).status).toBe(200);
    for (const language of ['en', 'zh']) {
      const answer = await person.get('/', { 'accept-language': language });
      expect(answer.status).toBe(200);
      // Without what is random: it spells NaN once in a few thousand pages.
      const page = (await answer.text()).replace(/(?:nonce|name="csrf" value)="[^"]*"/g, '');
      expect(page).toContain(`id="ticket-${appid}"`);
      expect(page).toContain('id="jobs"');
      expect(page).not.toMatch(/NaN|Infinity|undefined|\[object/);
      expect(page.replace(/<[^>]*>/g, ' ')).not.toMatch(/-\d+ (?:d|h|min|s|天|小时|分钟|秒)\b/);
    }
    const failed = /could not be drawn|page failed|request failed/;
    expect(logs.filter(({ message }) => failed.test(message))).toEqual([]);
  });
});
