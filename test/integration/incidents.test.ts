import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { createHeartbeat } from '../../src/status/heartbeat.ts';
import { PROBLEMS, type ProblemCode } from '../../src/status/problems.ts';
import type { StatusSnapshot } from '../../src/status/schema.ts';
import { titleOf } from '../../src/status/wording.ts';
import { VERSION } from '../../src/lib/version.ts';
import { receiversOfAllKinds, ROUND } from '../kit/alerting.ts';
import { createManualClock } from '../kit/clock.ts';
import { logIn } from '../kit/dashboard.ts';
import { jsonRoute, sendMessage } from '../kit/delivering.ts';
import { examinePlatform } from '../kit/doctor.ts';
import { scrape } from '../kit/metrics.ts';
import {
  COMPONENT,
  createTestPlatform,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import { alertsFiring, hasPromtool } from '../kit/promtool.ts';
import { post } from '../kit/public-listener.ts';
import { encryptPush, ticketXml } from '../kit/push-envelope.ts';
import { becomes } from '../kit/redis-trouble.ts';
import { startTarget, status, type Answering, type Target } from '../kit/targets.ts';
import { moveDeliveries, waitingIn } from '../../src/store/deliveries/queue.ts';

/**
 * What goes wrong at night, and what a person is told of it: the verdict of the status and of the
 * dashboard, the message of each kind of webhook, the alert of Prometheus and the line of the doctor must
 * be the same sentence.
 */

const PATH = `/v1/credentials/component_access_token/${COMPONENT.appid}`;

interface Incident {
  code: ProblemCode;
  happens: (platform: TestPlatform) => Promise<void> | void;
}

/** WeChat refuses the next refresh of the platform's token, which is due two minutes later. */
const refused = (errcode: number, errmsg?: string) => async (platform: TestPlatform) => {
  const fault = { type: 'errcode', errcode, ...(errmsg === undefined ? {} : { errmsg }) } as const;
  platform.simulator.addFault({ api: 'api_component_token', times: 'forever', fault });
  await beforeRefresh(platform);
};

async function beforeRefresh(platform: TestPlatform): Promise<void> {
  for (const minutes of [55, 49]) {
    platform.clock.sleepThrough(minutes * MINUTE);
    await platform.simulator.pushTicket();
    await platform.settle();
  }
  // Until after the next tick.
  await platform.pass(11 * MINUTE);
}

async function foreignMint(platform: TestPlatform): Promise<void> {
  platform.simulator.mintElsewhere('component_access_token');
  const { seq } = (await (await platform.internal(PATH)).json()) as { seq: number };
  const body = JSON.stringify({ seq, errcode: 40001 });
  await platform.internal(`${PATH}/rejected`, { method: 'POST', body });
  await platform.pass(6 * MINUTE);
}

/** Three users write, to an application that answers so. */
const answersTo = (how: Answering) => async (platform: TestPlatform) => {
  target.answer(how);
  for (const id of [1, 2, 3]) await sendMessage(platform, { MsgId: id });
};

/** What a person reads first. */
function headlineOf(page: string): string {
  const [, inner = ''] = /<h1[^>]*>(.*?)<\/h1>/s.exec(page) ?? [];
  return inner.replace(/<[^>]*>/g, '').replaceAll('&#39;', "'");
}

const INCIDENTS: Readonly<Record<string, Incident>> = {
  'tickets stop': {
    code: 'ticket_silent',
    happens: ({ clock }) => clock.sleepThrough(26 * MINUTE),
  },
  'the AppSecret was reset': { code: 'secret_refused', happens: refused(40125) },
  'the address was taken off the whitelist': {
    code: 'address_not_whitelisted',
    happens: refused(61004, 'access clientip is not registered request ip: 203.0.113.7'),
  },
  'the quota is used up': { code: 'quota_exhausted', happens: refused(45009) },
  'Redis is down': {
    code: 'store_unavailable',
    happens: async (platform) => {
      await server.stop();
      await becomes(platform, 503);
    },
  },
  'Redis may evict': {
    code: 'redis_may_evict',
    happens: async (platform) => {
      await platform.redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
      await platform.pass(11 * MINUTE);
    },
  },
  'somebody else refreshes': {
    code: 'foreign_refresher',
    happens: async (platform) => {
      await platform.pass(2 * MINUTE);
      await foreignMint(platform);
      await foreignMint(platform);
    },
  },
  'a replica is killed': {
    code: 'replica_lost',
    happens: async ({ store, pass }) => {
      await createHeartbeat(store, 'gateway-2-17-c0de', VERSION).beat();
      await pass(MINUTE + 1_000);
    },
  },
  'the EncodingAESKey was changed in the console': {
    code: 'pushes_refused',
    happens: async (platform) => {
      for (let time = 0; time < 3; time += 1) {
        const timestamp = Math.floor(platform.clock.now() / 1000);
        const xml = ticketXml({ createTime: timestamp });
        const key = 'ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210abcdefg';
        await post(platform, encryptPush(xml, { timestamp, key, nonce: `n${time}` }));
      }
    },
  },
  'an application is down': { code: 'target_failing', happens: answersTo(status(500)) },
  'an application is gone': { code: 'target_stopped', happens: answersTo(status(410)) },
  'users wait for a reply in vain': {
    code: 'replies_failing',
    happens: answersTo((_request, response) => response.end('<html>')),
  },
  'an application was down for too long': {
    code: 'deliveries_dropped',
    happens: async (platform) => {
      await answersTo(status(500))(platform);
      const { store } = platform;
      const { appid } = COMPONENT;
      for (const where of ['fresh', 'again'] as const) {
        const ids = await waitingIn(store, appid, 'json', where);
        await moveDeliveries(store, appid, 'json', 'give_up', where, ids);
      }
      target.answer((_request, response) => response.end());
      await sendMessage(platform, { MsgId: 4 });
      await platform.pass(MINUTE);
    },
  },
  'an application mints by itself': {
    code: 'layout_overwritten',
    happens: async (platform) => {
      await platform.pass(ROUND);
      await platform.redis.set(`app:component_access_token_${COMPONENT.appid}`, 'of its own');
      await platform.pass(ROUND);
    },
  },
  'keys of applications may not be written any more': {
    code: 'layout_failing',
    happens: async (platform) => {
      await platform.redis.acl('SETUSER', 'default', 'resetkeys', '~test*');
    },
  },
  "this machine's clock is two minutes off": {
    code: 'clock_skew',
    happens: ({ clock }) => clock.jumpWallClock(2 * MINUTE),
  },
  'WeChat cannot be reached': {
    code: 'wechat_unreachable',
    happens: async (platform) => {
      await platform.simulator.killHost(0);
      await beforeRefresh(platform);
    },
  },
};

const clock = createManualClock();
let webhooks: Awaited<ReturnType<typeof receiversOfAllKinds>>;
let target: Target;
let server: RedisServer;
let platform: TestPlatform;

beforeAll(async () => {
  target = await startTarget();
  webhooks = await receiversOfAllKinds(clock, {
    routes: [jsonRoute(target, { reply: true })],
    layouts: [{ preset: 'silenceper', prefix: 'app:', appids: '*' }],
  });
});
afterAll(async () => {
  await webhooks.close();
  await target.close();
});
afterEach(async () => {
  await platform.close();
  await server.stop();
});

describe('when', () => {
  describe.each(Object.entries(INCIDENTS))('%s', (_name, { code, happens }) => {
    it(`everybody says "${titleOf(code, 'en')}"`, async () => {
      server = await startRedisServer();
      const { receivers } = webhooks;
      const env = { ...webhooks.env, DELIVERY_NETWORKS: '127.0.0.0/8' };
      platform = await createTestPlatform({ clock, redisUrl: server.url, env });
      platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
      await platform.simulator.pushTicket();
      await platform.settle();
      for (const one of receivers) one.messages.length = 0;

      await happens(platform);
      await platform.pass(PROBLEMS[code].afterSeconds * 1_000 + 3 * ROUND);

      const title = { en: titleOf(code, 'en'), zh: titleOf(code, 'zh') };
      for (const lang of ['en', 'zh'] as const) {
        const status = await platform.internal(`/status?lang=${lang}`);
        const { summary, problems } = (await status.json()) as StatusSnapshot;
        expect(summary).toContain(title[lang]);
        expect(problems[0]).toMatchObject({ code, title: title[lang] });
      }
      const person = await logIn(platform.app.internalPort(), platform.apiKey);
      const page = await (await person.get('/', { 'accept-language': 'en' })).text();
      expect(headlineOf(page)).toContain(title.en);

      for (const { kind, messages, refusals } of receivers) {
        const told = messages.filter(({ text }) =>
          text.includes(title[kind === 'json' ? 'en' : 'zh']),
        );
        expect([kind, told.length, refusals]).toEqual([kind, 1, []]);
      }

      if (hasPromtool()) {
        const firing = await alertsFiring(await scrape(platform), clock.now());
        expect(firing).toContain(PROBLEMS[code].alert);
      }

      const checks = await examinePlatform(platform);
      const lines = checks.filter((check) => check.code === code);
      expect(lines.map(({ state }) => state)).not.toContain('ok');
      expect(lines.map(({ seen }) => seen.en).join('\n')).toContain(title.en);
      expect(lines.map(({ seen }) => seen.zh).join('\n')).toContain(title.zh);
    });
  });
});
