import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { GROUPS, type Check } from '../../src/commands/doctor/check.ts';
import { jsonReport, textReport } from '../../src/commands/doctor/report.ts';
import type { FaultRule } from '../../src/sandbox/wechat/faults.ts';
import { titleOf } from '../../src/status/wording.ts';
import { admitPlatform, examinePlatform, lines, troubles } from '../kit/doctor.ts';
import {
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
  type TestPlatformOptions,
} from '../kit/platform.ts';
import { examine } from '../../src/commands/doctor/examine.ts';

/** The doctor's lines about WeChat, clocks, whitelist, tickets and the rest, on a whole arrangement. */

let platform: TestPlatform;

async function begin(options: TestPlatformOptions = {}): Promise<void> {
  platform = await createTestPlatform({ simulator: { hosts: 2 }, ...options });
  platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
}

async function becomeHealthy(): Promise<void> {
  expect(await platform.simulator.pushTicket()).toMatchObject({ accepted: true });
  await platform.settle();
}

/** What a test Redis always is: without an append-only file. */
const OF_TESTS = [
  'warn settings PUBLIC_BASE_URL -',
  'warn redis persistence -',
  'warn callback DNS name -',
];

describe('an installation that is well', () => {
  beforeAll(async () => {
    await begin();
    await becomeHealthy();
  });
  afterAll(() => platform.close());

  it('has a line for each thing, in every group, and nothing failed', async () => {
    const checks = await examinePlatform(platform);
    expect(troubles(checks)).toEqual(OF_TESTS);
    expect([...new Set(checks.map(({ group }) => group))]).toEqual(Object.keys(GROUPS));
    expect(lines(checks, 'wechat').map(({ seen }) => seen.en)).toEqual([
      expect.stringMatching(/^DNS \d+ ms, TCP \d+ ms, HTTP \d+ ms$/),
      expect.stringMatching(/^DNS/),
      '1 of 10000 calls for component_access_token were made today',
    ]);
    expect(lines(checks, 'whitelist')[0]?.seen.en).toBe('WeChat takes calls from this address');
    expect(lines(checks, 'tickets')[0]?.seen.en).toBe('the last one came 0 minutes ago');
    expect(lines(checks, 'callback', '/')[1]?.seen.en).toMatch(
      /^answers as it should .as seen from/,
    );
    expect(lines(checks, 'status')[0]?.seen.en).toMatch(/^1 running/);
  });

  it('issues nothing at WeChat and writes nothing to Redis', async () => {
    const { simulator, redis, config } = platform;
    const dump = async () => {
      const keys = (await redis.keys(`${config.redisKeyPrefix}*`)).sort();
      return Promise.all(keys.map(async (key) => [key, (await redis.dump(key)).length]));
    };
    const before = { mints: simulator.ledger.mints.length, dump: await dump() };
    const calls = simulator.ledger.calls.length;
    await examinePlatform(platform);
    expect({ mints: simulator.ledger.mints.length, dump: await dump() }).toEqual(before);
    const made = simulator.ledger.calls.slice(calls).map(({ api }) => api);
    expect([...new Set(made)]).toEqual(['quota/get']);
  });

  it.each(['en', 'zh'] as const)('is reported without a secret: %s', async (language) => {
    const installation = await admitPlatform(platform);
    const checks = await examine(installation);
    for (const report of [textReport, jsonReport]) {
      const text = report(checks, language, installation.secrets);
      const values = platform.simulator.ledger.mints.map(({ value }) => value);
      const { secret, token, encodingAesKey, previousToken } = COMPONENT;
      for (const one of [...values, secret, token, encodingAesKey, previousToken]) {
        expect(text).not.toContain(one);
      }
    }
  });

  it('reads as lines for people and as JSON for scripts', async () => {
    const installation = await admitPlatform(platform);
    const checks = await examine(installation);
    const english = textReport(checks, 'en', installation.secrets);
    expect(english).toMatch(/^Settings\n {2}ok {7}formats/);
    expect(english).toContain('\n           What to do: Set appendonly yes');
    expect(english).toMatch(/\n\nAll is well, 3 warnings\.$/);
    // What is broken first is the last thing on the screen.
    const broken = [...checks, { ...checks[0], state: 'failed' } as Check];
    expect(textReport(broken, 'en', [])).toMatch(
      /\n\n1 FAILED, 3 warnings\.\n\nBegin with this:\n {2}FAILED {3}Settings, formats {2}all /,
    );
    expect(textReport(checks, 'zh', installation.secrets)).toMatch(
      /怎么办：[^]*\n一切正常，3 项警告。$/,
    );
    const json = JSON.parse(jsonReport(checks, 'en', installation.secrets)) as {
      checks: unknown[];
    };
    expect(json).toMatchObject({ ok: true });
    expect(json.checks[0]).toEqual({
      group: 'settings',
      name: 'formats',
      state: 'ok',
      code: null,
      advice: null,
      seen: expect.stringContaining(COMPONENT.appid) as string,
    });
  });
});

interface Incident {
  happens: () => void | Promise<void>;
  troubles: string[];
  says: RegExp;
}

const fault = (rule: FaultRule) => () => {
  platform.simulator.addFault(rule);
};
const refuses = (errcode: number, errmsg?: string) =>
  fault({
    api: 'quota/get',
    host: 0,
    times: 'forever',
    fault: { type: 'errcode', errcode, ...(errmsg === undefined ? {} : { errmsg }) },
  });
const APPID = COMPONENT.appid;

const INCIDENTS: Record<string, Incident> = {
  "this machine's clock is two minutes ahead": {
    happens: () => platform.clock.jumpWallClock(2 * MINUTE),
    // The simulator's clock is the same.
    troubles: ['failed clock against Redis clock_skew'],
    says: /^Clocks disagree: this machine is 120 s ahead$/,
  },
  "WeChat's clock is two minutes ahead": {
    happens: () => platform.simulator.setDateOffset(2 * MINUTE),
    troubles: ['failed clock against WeChat clock_skew'],
    says: /^Clocks disagree: this machine is 1(19|20) s behind$/,
  },
  'the first host of WeChat is dead': {
    happens: () => platform.simulator.killHost(0),
    troubles: ['failed wechat 127.0.0.1:0 wechat_unreachable'],
    says: /^WeChat cannot be reached: no connection \(ECONNREFUSED\)$/,
  },
  'the second host of WeChat is dead': {
    happens: () => platform.simulator.killHost(1),
    troubles: ['warn wechat 127.0.0.1:1 wechat_unreachable'],
    says: /ECONNREFUSED/,
  },
  'a proxy answers for WeChat': {
    happens: fault({ api: '*', host: 1, times: 'forever', fault: { type: 'html' } }),
    troubles: ['warn wechat 127.0.0.1:1 wechat_unreachable'],
    says: /but the answer is no answer of WeChat's: status 200$/,
  },
  'WeChat hangs up': {
    happens: fault({ api: '*', host: 1, times: 'forever', fault: { type: 'reset' } }),
    troubles: ['warn wechat 127.0.0.1:1 wechat_unreachable'],
    says: /connected, but no answer \(ECONNRESET\)$/,
  },
  ...Object.fromEntries(
    [61004, 40164, 40090].map((errcode) => [
      `the address was removed from the whitelist (${errcode})`,
      {
        happens: refuses(errcode, 'access clientip is not registered request ip: 203.0.113.7'),
        troubles: [`failed whitelist ${APPID} address_not_whitelisted`],
        says: new RegExp(
          `^This server's address is not on WeChat's IP whitelist: .*\\(203.0.113.7\\) \\(${errcode}\\)$`,
        ),
      },
    ]),
  ),
  'the whitelist call fails otherwise': {
    happens: refuses(48001),
    troubles: [`warn whitelist ${APPID} -`],
    says: /^this call is not granted \(48001\)$/,
  },
  'no ticket for half an hour': {
    happens: () => platform.pass(30 * MINUTE),
    troubles: [`warn tickets ${APPID} ticket_silent`],
    says: /^No ticket arrives: No ticket for 30 minutes/,
  },
  'no ticket for two hours': {
    happens: () => platform.skip(2 * HOUR),
    troubles: [`failed tickets ${APPID} ticket_silent`],
    says: /^No ticket arrives: No ticket for 120 minutes/,
  },
  'no ticket for thirteen hours': {
    happens: async () => {
      platform.clock.sleepThrough(13 * HOUR);
      await platform.redis.hset(
        platform.keys.record({ kind: 'component_access_token', subject: APPID }),
        'expires_at',
        1,
      );
    },
    troubles: [
      `failed tickets ${APPID} ticket_expired`,
      'warn status replicas -',
      `failed status ${APPID} component_access_token credential_dead`,
    ],
    says: /^The last ticket has expired/,
  },
};

describe('what a line says when', () => {
  afterEach(() => platform.close());

  it.each(Object.entries(INCIDENTS))('%s', async (_, { happens, troubles: expected, says }) => {
    await begin();
    await becomeHealthy();
    await happens();
    const checks = await examinePlatform(platform);
    const ports = platform.config.wechatApiBaseUrls.map((url) => new URL(url).host);
    const seen = troubles(checks)
      .filter((one) => !OF_TESTS.includes(one))
      .map((one) =>
        ports.reduce((text, host, index) => text.replace(host, `127.0.0.1:${index}`), one),
      );
    expect(seen).toEqual(expect.arrayContaining(expected));
    const first = checks.find(
      ({ state, seen: text }) => ['failed', 'warn'].includes(state) && says.test(text.en),
    );
    expect(first, JSON.stringify(checks.map((one) => one.seen.en))).toBeDefined();
    expect(first?.advice?.en).toMatch(/\S/);
    expectSameTitle(checks);
  });

  it('nothing ever came: no ticket, no token, and the whitelist cannot be asked about', async () => {
    await begin();
    const checks = await examinePlatform(platform);
    expect(troubles(checks)).toEqual(
      expect.arrayContaining([
        `failed tickets ${APPID} no_ticket`,
        expect.stringContaining('credential_dead'),
      ]),
    );
    expect(lines(checks, 'whitelist')[0]).toMatchObject({
      state: 'skipped',
      seen: { en: 'there is no live component_access_token to ask with' },
    });
  });

  it.each([
    [61004, `failed whitelist ${APPID} address_not_whitelisted`],
    [40125, `failed status ${APPID} component_access_token secret_refused`],
    [45009, `failed status ${APPID} component_access_token quota_exhausted`],
  ])('the service could mint no token for errcode %s', async (errcode, expected) => {
    await begin();
    platform.simulator.addFault({
      api: 'api_component_token',
      times: 'forever',
      fault: { type: 'errcode', errcode },
    });
    await becomeHealthy();
    const checks = await examinePlatform(platform);
    expect(troubles(checks)).toContain(expected);
    // Said once, though several rules see it.
    const code = expected.split(' ').at(-1);
    expect(checks.filter((one) => one.code === code)).toHaveLength(1);
    expectSameTitle(checks);
  });

  it("the stored token is dead: that is the service's work, not the whitelist's", async () => {
    await begin();
    await becomeHealthy();
    platform.simulator.mintElsewhere('component_access_token');
    const [line] = lines(await examinePlatform(platform), 'whitelist');
    expect(line).toMatchObject({ state: 'skipped', code: null });
    expect(line?.seen.en).toMatch(/\(40001\)$/);
  });

  it.each([
    [1, 'failed', 'quota_exhausted'],
    [2, 'warn', 'quota_half_used'],
  ])('WeChat allows only %s calls', async (limit, state, code) => {
    const path = '/cgi-bin/component/api_component_token';
    await begin({ simulator: { dailyLimits: { [path]: limit } } });
    await becomeHealthy();
    const line = lines(await examinePlatform(platform), 'wechat', `${APPID} quota`)[0];
    expect(line).toMatchObject({ state, code });
    expect(line?.seen.en).toMatch(new RegExp(`1 of ${limit} calls`));
  });
});

/** The sentence of the dashboard and the alerts. */
function expectSameTitle(checks: readonly Check[]): void {
  for (const { code, seen } of checks) {
    if (code === null) continue;
    expect(seen.en.startsWith(`${titleOf(code, 'en')}: `)).toBe(true);
    expect(seen.zh.startsWith(`${titleOf(code, 'zh')}：`)).toBe(true);
  }
}
