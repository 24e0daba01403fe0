import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import type { RefusalReason } from '../../src/lib/errors.ts';
import type { StatusSnapshot } from '../../src/status/schema.ts';
import { titleOf } from '../../src/status/wording.ts';
import { ROUND } from '../kit/alerting.ts';
import { createManualClock } from '../kit/clock.ts';
import { logIn } from '../kit/dashboard.ts';
import { examinePlatform } from '../kit/doctor.ts';
import { scrape } from '../kit/metrics.ts';
import {
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import { asMessage, EVENTS, exchange, MESSAGES, post } from '../kit/public-listener.ts';
import { encryptPush, type EnvelopeOptions, ticketXml } from '../kit/push-envelope.ts';
import { countCommands, totalOf } from '../kit/redis-commands.ts';
import { createWebhookReceiver, type WebhookReceiver } from '../kit/webhook-receiver.ts';

/** Nothing is refused in silence: who is refused in a row, where and why, is what everybody says. */

const STRANGER = 'wxaaaaaaaaaaaaaaaa';
const OTHER_KEY = 'ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210abcdefg';

const clock = createManualClock();
let platform: TestPlatform;
let receiver: WebhookReceiver;
let server: RedisServer;

beforeAll(async () => {
  server = await startRedisServer();
});
afterAll(() => server.stop());
beforeEach(async () => {
  receiver = await createWebhookReceiver('json', { clock });
  const env = { ALERT_WEBHOOK_URL: receiver.url };
  platform = await createTestPlatform({ clock, env, redisUrl: server.url });
});
afterEach(async () => {
  await platform.close();
  await receiver.close();
});

const seconds = () => Math.floor(clock.now() / 1000);
let nonce = 0;
const seal = (xml: string, options: EnvelopeOptions = {}) =>
  encryptPush(xml, { timestamp: seconds(), nonce: `n${(nonce += 1)}`, ...options });
const ticket = (options: EnvelopeOptions = {}) =>
  seal(ticketXml({ createTime: seconds(), ticket: `ticket@@@${nonce}` }), options);
const text = () =>
  `<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[o1]]></FromUserName>` +
  `<CreateTime>${seconds()}</CreateTime><MsgType><![CDATA[text]]></MsgType>` +
  `<Content><![CDATA[hello]]></Content><MsgId>${(nonce += 1)}</MsgId></xml>`;
const message = (options: EnvelopeOptions = {}) => asMessage(seal(text(), options));

const acceptTicket = async () => expect(await post(platform, ticket())).toBe('200 success');
const acceptMessage = async () =>
  expect(await post(platform, message(), MESSAGES)).toBe('200 success');

async function refuse(send: () => Promise<string>, times = 15): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    expect(await send()).toMatch(/^4\d\d /);
  }
}

async function statusOf(lang: 'en' | 'zh' = 'en'): Promise<StatusSnapshot> {
  return (await (await platform.internal(`/status?lang=${lang}`)).json()) as StatusSnapshot;
}

async function findings() {
  const { problems } = await statusOf();
  return problems.filter(({ code }) => code === 'pushes_refused');
}

interface Case {
  reason: RefusalReason;
  url: 'event' | 'message' | 'other';
  component?: null;
  severity: 'critical' | 'warning';
  send: () => Promise<string>;
  /** Of the message; and of the advice in English and in Chinese. */
  says: readonly [string, string, string];
  ends: () => Promise<void>;
}

const CASES: Readonly<Record<string, Case>> = {
  'messages at the event URL': {
    reason: 'urls_exchanged',
    url: 'event',
    severity: 'critical',
    send: () => post(platform, message()),
    says: ['messages of accounts', `/callback/${COMPONENT.appid}/$APPID$`, '填反了'],
    ends: acceptTicket,
  },
  'tickets at the message URL': {
    reason: 'urls_exchanged',
    url: 'message',
    severity: 'critical',
    send: () => post(platform, ticket(), MESSAGES),
    says: ['or the reverse', '授权事件接收URL', '填反了'],
    ends: acceptMessage,
  },
  'a literal $APPID$': {
    reason: 'appid_placeholder',
    url: 'other',
    severity: 'warning',
    send: () => post(platform, message(), `${EVENTS}/$APPID$`),
    says: ['literal $APPID$', 'only in the message & event URL', '原样书写'],
    ends: acceptMessage,
  },
  'a coded $APPID$': {
    reason: 'appid_placeholder',
    url: 'other',
    severity: 'warning',
    send: () => post(platform, message(), `${EVENTS}/%24appid%24`),
    says: ['literal $APPID$', 'only in the message & event URL', '原样书写'],
    ends: acceptMessage,
  },
  'messages in clear text': {
    reason: 'clear_mode',
    url: 'message',
    severity: 'warning',
    send() {
      const { signature = '', timestamp = '', nonce: once = '' } = message().query;
      return post(
        platform,
        { query: { signature, timestamp, nonce: once }, body: text() },
        MESSAGES,
      );
    },
    says: ['nothing in them is encrypted', '安全模式', '安全模式'],
    ends: acceptMessage,
  },
  'another EncodingAESKey': {
    reason: 'aes_key',
    url: 'event',
    severity: 'critical',
    send: () => post(platform, ticket({ key: OTHER_KEY })),
    says: ['not encrypted with our EncodingAESKey', 'COMPONENT_ENCODING_AES_KEY', '消息加解密 Key'],
    ends: acceptTicket,
  },
  'captured events, sent again': {
    reason: 'sent_again',
    url: 'event',
    severity: 'warning',
    send() {
      // Signed an hour ago with this nonce; the signature does not tell the two from each other.
      const [then, later] = [seconds() - 3600, String(seconds() + (nonce += 1))];
      const { query, body } = seal(
        `<xml><AppId>${COMPONENT.appid}</AppId><CreateTime>${then}</CreateTime>` +
          `<InfoType>notify_${nonce}</InfoType></xml>`,
        { timestamp: then, nonce: later },
      );
      return post(platform, { query: { ...query, timestamp: later, nonce: String(then) }, body });
    },
    says: ['captured pushes', 'change the Token', '更换 Token'],
    ends: acceptTicket,
  },
  'another Token': {
    reason: 'bad_signature',
    url: 'event',
    severity: 'warning',
    send: () => post(platform, ticket({ token: 'anotherToken' })),
    says: ['not signed with our Token', "Strangers' noise looks the same", '陌生人'],
    ends: acceptTicket,
  },
  'a clock that is ten minutes off': {
    reason: 'clock',
    url: 'message',
    severity: 'critical',
    send: () => post(platform, message({ timestamp: seconds() - 600 }), MESSAGES),
    says: ['600 s ahead of their signed time', 'NTP', 'NTP'],
    ends: acceptMessage,
  },
  'an unknown platform': {
    reason: 'unknown_component',
    url: 'event',
    component: null,
    severity: 'warning',
    send: () => post(platform, ticket(), `/callback/${STRANGER}`),
    says: [`names ${STRANGER}`, 'COMPONENT_APPID', 'COMPONENT_APPID'],
    ends: acceptTicket,
  },
  'a path with too much in it': {
    reason: 'path',
    url: 'other',
    severity: 'warning',
    send: () => post(platform, message(), `${MESSAGES}/more`),
    says: [`at ${MESSAGES}/more`, `/callback/${COMPONENT.appid}/$APPID$`, '授权事件接收 URL'],
    ends: acceptMessage,
  },
  'a path with too little in it': {
    reason: 'path',
    url: 'other',
    component: null,
    severity: 'warning',
    send: () => post(platform, ticket(), '/callback'),
    says: ['at /callback:', '/callback/APPID/$APPID$', '授权事件接收 URL'],
    ends: acceptTicket,
  },
  'a folder before the path that the proxy should have taken off': {
    reason: 'path',
    url: 'other',
    severity: 'warning',
    send: () => post(platform, ticket(), `/wechat${EVENTS}`),
    says: [`at /wechat${EVENTS}`, '/callback/', '授权事件接收 URL'],
    ends: acceptTicket,
  },
  'signed pushes at a path that is none of ours': {
    reason: 'path',
    url: 'other',
    component: null,
    severity: 'warning',
    send: () => post(platform, ticket(), '/wechat/notify'),
    says: ['at /wechat/notify', '/callback/', '授权事件接收 URL'],
    ends: acceptTicket,
  },
  ...Object.fromEntries(
    (
      [
        ['headers of more than 8 KB', [`X-Trace: ${'a'.repeat(9_000)}`]],
        ['a length beside chunks', ['Transfer-Encoding: chunked']],
        ['two lengths', ['Content-Length: 7']],
        ['a line feed in a header', ['X-A: b\nX-B: c']],
        ['a control character in a header', ['X-A: a\x01b']],
        ['an Expect that nobody knows', ['Expect: 200-ok']],
        ['no Host', []],
      ] as const
    ).map(([what, headers]): [string, Case] => [
      `${what}, which no HTTP server takes`,
      {
        reason: 'form',
        url: 'event',
        severity: 'warning',
        async send() {
          const { query, body } = ticket();
          const answer = await exchange(platform, [
            `POST ${EVENTS}?${new URLSearchParams(query).toString()} HTTP/1.1\r\n`.concat(
              what === 'no Host' ? '' : 'Host: wx.example.com\r\n',
              `Connection: close\r\nContent-Length: ${body.length}\r\n`,
              ...headers.map((one) => `${one}\r\n`),
              `\r\n${body}`,
            ),
          ]);
          await platform.settle();
          return answer.slice('HTTP/1.1 '.length);
        },
        says: ['not in the form of a push', 'a proxy must pass', '代理必须'],
        ends: acceptTicket,
      },
    ]),
  ),
  'compressed bodies': {
    reason: 'form',
    url: 'message',
    severity: 'warning',
    send() {
      const { query, body } = message();
      const packed = { query, body: gzipSync(body) };
      return post(platform, packed, MESSAGES, { 'content-encoding': 'gzip' });
    },
    says: ['not in the form of a push', 'a proxy must pass', '代理必须'],
    ends: acceptMessage,
  },
};

describe('row 103: pushes that are refused in a row', () => {
  it.each(Object.entries(CASES))('show everywhere: %s', async (_name, one) => {
    const { reason, url, severity, send, says, ends } = one;
    const component = one.component === null ? null : COMPONENT.appid;
    await refuse(send, 2);
    expect(await findings()).toEqual([]);
    await refuse(send, 13);

    expect(await findings()).toMatchObject([
      { component, kind: url, severity, title: titleOf('pushes_refused', 'en') },
    ]);
    const [problem] = await findings();
    expect(problem?.message).toContain('15 pushes in a row');
    expect(problem?.message).toContain(says[0]);
    expect(problem?.advice).toContain(says[1]);
    const chinese = (await statusOf('zh')).problems.find(({ code }) => code === 'pushes_refused');
    expect(chinese?.title).toBe('推送被拒绝');
    expect(chinese?.advice).toContain(says[2]);
    const { components, refused_elsewhere: elsewhere } = await statusOf();
    const listed = component === null ? elsewhere : components[0]?.pushes.refused;
    expect(listed).toMatchObject([{ url, reason, total: 15, in_a_row: 15 }]);

    const metrics = await scrape(platform);
    const labels = `appid="${component ?? ''}",url="${url}",reason="${reason}"`;
    expect(metrics).toContain(`\nwxkeeper_pushes_refused_total{${labels}} 15\n`);
    expect(metrics).toContain(
      `wxkeeper_problem{code="pushes_refused",severity="${severity}",appid="${component ?? ''}",kind="${url}"} 1`,
    );

    const person = await logIn(platform.app.internalPort(), platform.apiKey);
    const page = await (await person.get('/', { 'accept-language': 'en' })).text();
    expect(page).toContain(`<h2>${titleOf('pushes_refused', 'en')}</h2>`);

    const line = (await examinePlatform(platform)).find(({ code }) => code === 'pushes_refused');
    expect(line?.state).toBe(severity === 'critical' ? 'failed' : 'warn');
    expect(line?.seen.en).toContain(says[0]);

    await platform.pass(MINUTE + 3 * ROUND);
    const told = () => receiver.messages.filter(({ body }) => body.code === 'pushes_refused');
    expect(told().map(({ body }) => body.status)).toEqual(['firing']);

    await ends();
    expect(await findings()).toEqual([]);
    await platform.pass(2 * MINUTE);
    expect(told().map(({ body }) => body.status)).toEqual(['firing', 'resolved']);
  });
});

describe('row 103: a row of refused pushes', () => {
  const wrongKey = () => post(platform, ticket({ key: OTHER_KEY }));
  const noise = () => post(platform, { query: {}, body: 'hello' });

  it('is broken by what is accepted, so that strangers beside a healthy platform raise nothing', async () => {
    for (let time = 0; time < 10; time += 1) {
      await refuse(noise, 2);
      await acceptTicket();
      await refuse(noise, 1);
    }
    expect(await findings()).toEqual([]);
    // Of a crowd it is said, but nobody is woken while tickets come.
    await refuse(noise, 10);
    expect(await findings()).toMatchObject([{ kind: 'event', severity: 'info' }]);
    await platform.pass(5 * MINUTE);
    expect(receiver.messages.filter(({ body }) => body.code === 'pushes_refused')).toEqual([]);
  });

  it('is not hidden by the noise of strangers', async () => {
    await acceptTicket();
    await refuse(noise, 30);
    await refuse(() => post(platform, ticket({ token: 'anotherToken' })), 30);
    await refuse(wrongKey, 3);
    expect(await findings()).toMatchObject([{ kind: 'event', severity: 'critical' }]);
    expect((await findings())[0]?.message).toContain('EncodingAESKey');
  });

  const OTHER_ACCOUNT = `${EVENTS}/wxbbbbbbbbbbbbbbb2`;
  const clear = () => {
    const { signature = '', timestamp = '', nonce: once = '' } = message().query;
    return { query: { signature, timestamp, nonce: once }, body: text() };
  };
  it.each<[string, () => Promise<string>, () => Promise<void>, string]>([
    [
      'of one account that ends its messages with its own appid',
      () => post(platform, message({ appid: 'wxbbbbbbbbbbbbbbb2' }), OTHER_ACCOUNT),
      acceptMessage,
      'message critical',
    ],
    [
      'of one account with an EncodingAESKey of its own',
      () => post(platform, message({ key: OTHER_KEY }), OTHER_ACCOUNT),
      acceptMessage,
      'message critical',
    ],
    [
      'of one account that is not in safe mode',
      () => post(platform, clear(), OTHER_ACCOUNT),
      acceptMessage,
      'message warning',
    ],
    [
      'of the test copy of the platform, which has the next key already',
      wrongKey,
      acceptTicket,
      'event critical',
    ],
  ])('%s is not hidden by those that are accepted', async (_whose, send, accept, expected) => {
    const replica = await platform.addReplica();
    const elsewhere = platform.publicUrl('').replace(/\d+$/, String(replica.publicPort()));
    // Both within a second, and at two replicas, of which one takes what the other does not see.
    await refuse(send, 5);
    await platform.pass(10);
    await accept();
    expect(await findings()).toEqual([]);
    for (let round = 0; round < 5; round += 1) {
      await platform.pass(10);
      await refuse(send, 1);
      await platform.pass(10);
      const { query, body } = expected.startsWith('event') ? ticket() : message();
      const path = expected.startsWith('event') ? EVENTS : MESSAGES;
      const url = `${round % 2 === 0 ? elsewhere : platform.publicUrl('')}${path}`;
      const answer = await fetch(`${url}?${new URLSearchParams(query).toString()}`, {
        method: 'POST',
        body,
      });
      expect(await answer.text()).toBe('success');
      await platform.pass(round < 3 ? 10 * MINUTE : 100);
      if (round === 0) expect(await findings()).toEqual([]);
    }
    const [problem, ...more] = await findings();
    expect(more).toEqual([]);
    expect(`${problem?.kind} ${problem?.severity}`).toBe(expected);
    expect(problem?.message).toContain('5 pushes to');
    expect(problem?.message).toContain('while others were accepted there');
    const chinese = (await statusOf('zh')).problems.find(({ code }) => code === 'pushes_refused');
    expect(chinese?.message).toContain('其间别的推送照常收下');

    clock.sleepThrough(31 * MINUTE);
    expect(await findings()).toEqual([]);
    await replica.stop();
  });

  it('is seen when the clock was a day ahead and has been set right', async () => {
    await acceptTicket();
    clock.jumpWallClock(24 * HOUR);
    await refuse(() => post(platform, message({ timestamp: seconds() - 86_400 }), MESSAGES), 3);
    await acceptTicket();
    await platform.pass(2_000);
    clock.jumpWallClock(-24 * HOUR);
    for (let time = 0; time < 3; time += 1) {
      await refuse(wrongKey, 1);
      await platform.pass(2_000);
    }
    expect(await findings()).toMatchObject([{ kind: 'event', severity: 'critical' }]);
    await acceptTicket();
    expect(await findings()).toEqual([]);
  });

  it('ends when none was refused for half an hour, and begins anew after that', async () => {
    await refuse(wrongKey, 5);
    clock.sleepThrough(29 * MINUTE);
    expect(await findings()).toHaveLength(1);
    clock.sleepThrough(2 * MINUTE);
    expect(await findings()).toEqual([]);
    await refuse(wrongKey, 2);
    expect(await findings()).toEqual([]);
    const [component] = (await statusOf()).components;
    expect(component?.pushes.refused).toMatchObject([{ total: 7, in_a_row: 2 }]);
  });

  it('at a wrong address is not ended by what always arrived, but by what had not', async () => {
    const astray = () => post(platform, message(), `${EVENTS}/$APPID$`);
    await refuse(astray, 3);
    await acceptTicket();
    await refuse(astray, 1);
    await acceptTicket();
    expect(await findings()).toMatchObject([{ kind: 'other', severity: 'warning' }]);
    await acceptMessage();
    expect(await findings()).toEqual([]);
  });

  const OF_ANOTHER = 'wxbbbbbbbbbbbbbbbb';
  const BESIDE: Readonly<
    Record<string, { send: () => Promise<string>; accept?: () => Promise<string>; says: string }>
  > = {
    'messages, where one URL stands in both fields of the console': {
      send: () => post(platform, message()),
      says: 'both fields',
    },
    "another platform's pushes, where its console has our URL": {
      send: () => post(platform, ticket({ appid: OF_ANOTHER })),
      says: 'The URLs of another platform lead here',
    },
    'pushes of a part of WeChat that has another EncodingAESKey': {
      send: wrongKey,
      says: 'COMPONENT_ENCODING_AES_KEY',
    },
    'events by a clock that is off, when late tickets are taken for their own age': {
      send: () =>
        post(
          platform,
          seal(ticketXml({ createTime: seconds() - 600, infoType: `notify_${nonce}` }), {
            timestamp: seconds() - 600,
          }),
        ),
      accept: () => post(platform, ticket({ timestamp: seconds() - 600 })),
      says: 'NTP',
    },
  };

  it.each(Object.entries(BESIDE))(
    'is not broken by what else comes to the URL: %s',
    async (_name, one) => {
      const { send, accept = () => post(platform, ticket()), says } = one;
      for (let time = 0; time < 4; time += 1) {
        expect(await findings()).toEqual([]);
        expect(await accept()).toBe('200 success');
        await refuse(send, 1);
        await platform.pass(8 * MINUTE);
      }
      for (let time = 0; time < 3; time += 1) {
        expect(await findings()).toMatchObject([{ kind: 'event', severity: 'critical' }]);
        expect((await findings())[0]?.advice).toContain(says);
        expect(await accept()).toBe('200 success');
        expect(await findings()).toHaveLength(1);
        await platform.pass(8 * MINUTE);
        await refuse(send, 1);
      }
      expect((await findings())[0]?.message).toContain('6 pushes');
      clock.sleepThrough(31 * MINUTE);
      expect(await findings()).toEqual([]);
      await refuse(send, 2);
      expect(await findings()).toEqual([]);
    },
  );

  it('is not broken by what another replica accepts beside it, nor within one second', async () => {
    const replica = await platform.addReplica();
    const url = `http://127.0.0.1:${replica.publicPort()}${EVENTS}`;
    const acceptElsewhere = async () => {
      const { query, body } = ticket();
      const answer = await fetch(`${url}?${new URLSearchParams(query).toString()}`, {
        method: 'POST',
        body,
      });
      expect(await answer.text()).toBe('success');
      await platform.settle();
    };
    for (let time = 0; time < 4; time += 1) {
      await acceptElsewhere();
      await refuse(wrongKey, 1);
      await platform.pass(MINUTE);
    }
    expect(await findings()).toHaveLength(1);
    await replica.stop();
    clock.sleepThrough(31 * MINUTE);
    for (let time = 0; time < 4; time += 1) {
      await refuse(wrongKey, 1);
      await acceptTicket();
    }
    expect(await findings()).toMatchObject([{ severity: 'critical' }]);
  });

  it('of what was signed is over when it was corrected, and one that follows is one', async () => {
    await refuse(wrongKey, 5);
    await acceptTicket();
    expect(await findings()).toEqual([]);
    await platform.pass(MINUTE);
    await refuse(wrongKey, 1);
    await acceptTicket();
    expect(await findings()).toEqual([]);
    const [component] = (await statusOf()).components;
    expect(component?.pushes.refused).toMatchObject([{ total: 6, in_a_row: 1 }]);
  });

  it('is the cause that a missing ticket names, and stands before it', async () => {
    platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
    for (let time = 0; time < 4; time += 1) {
      await refuse(() => post(platform, ticket({ token: 'anotherToken' })), 1);
      await platform.pass(10 * MINUTE);
    }
    const { problems } = await statusOf();
    const ours = problems.filter(({ code }) => ['pushes_refused', 'no_ticket'].includes(code));
    expect(ours.map(({ code, severity }) => `${code} ${severity}`)).toEqual([
      'pushes_refused critical',
      'no_ticket critical',
    ]);
    expect(ours[1]?.advice).toContain('Compare COMPONENT_TOKEN');
    const doctor = await examinePlatform(platform);
    const line = doctor.find(({ code }) => code === 'no_ticket');
    expect(line?.advice?.en).toContain('Compare COMPONENT_TOKEN');
  });

  it('is counted by two replicas together, and outlives a restart', async () => {
    const replica = await platform.addReplica();
    const url = `http://127.0.0.1:${replica.publicPort()}${EVENTS}`;
    const elsewhere = async () => {
      const { query, body } = ticket({ key: OTHER_KEY });
      const answer = await fetch(`${url}?${new URLSearchParams(query).toString()}`, {
        method: 'POST',
        body,
      });
      return `${answer.status} `;
    };
    await refuse(elsewhere, 2);
    await refuse(wrongKey, 2);
    await replica.stop();
    expect((await findings())[0]?.message).toContain('4 pushes in a row');
    await platform.app.stop();
    const successor = await platform.addReplica();
    const status = await fetch(`http://127.0.0.1:${successor.internalPort()}/status`, {
      headers: { authorization: `Bearer ${platform.apiKey}` },
    });
    const { problems } = (await status.json()) as StatusSnapshot;
    expect(problems.find(({ code }) => code === 'pushes_refused')?.message).toContain('4 pushes');
    await successor.stop();
  });

  it('shows nothing of a stranger that could pass for words of ours, and no secret', async () => {
    const path = `${EVENTS}/[here](http:/evil.example)<b>${COMPONENT.token}${'A'.repeat(300)}`;
    await refuse(() => post(platform, message(), path), 3);
    const [problem] = await findings();
    const told = JSON.stringify([problem, await statusOf(), platform.logs]);
    expect(problem?.message).toContain('evil.example');
    for (const one of ['[here]', '(http:', '<b>', COMPONENT.token, 'A'.repeat(43)]) {
      expect(told).not.toContain(one);
    }
    expect(told).not.toMatch(/callback\/[^"]{130}/);
  });

  it('is kept in memory while Redis takes nothing, and keeps no answer waiting', async () => {
    const key = platform.keys.refusedPushes(COMPONENT.appid);
    await platform.redis.config('SET', 'min-replicas-to-write', '1');
    await refuse(wrongKey, 5);
    expect(await platform.redis.exists(key)).toBe(0);
    await platform.redis.config('SET', 'min-replicas-to-write', '0');
    await platform.pass(6_000);
    expect(await platform.redis.hget(key, 'event:aes_key:row')).toBe('5');
  });

  it('survives what a person has spoiled', async () => {
    const key = platform.keys.refusedPushes(COMPONENT.appid);
    await platform.redis.set(key, 'text');
    await refuse(wrongKey, 3);
    expect(await findings()).toHaveLength(1);
    await platform.redis.hset(key, { 'event:aes_key:row': 'x', 'event:aes_key:since': 'y' });
    await refuse(wrongKey, 3);
    expect(await findings()).toHaveLength(1);
  });
});

describe('row 103: pushes that come to the URL of another platform of ours', () => {
  const SECOND = {
    appid: 'wxfedcba9876543210',
    appsecret: 'fedcba98fedcba98fedcba98fedcba98',
    token: 'tokenOfTheSecond',
    encoding_aes_key: OTHER_KEY,
  };

  it.each([
    ['a Token and a key of its own', SECOND],
    ['a key of its own', { ...SECOND, token: COMPONENT.token }],
    ['a Token of its own', { ...SECOND, encoding_aes_key: COMPONENT.encodingAesKey }],
  ])('are told from those of strangers, where it has %s', async (_what, second) => {
    const folder = await mkdtemp(join(tmpdir(), 'wxkeeper-refused-'));
    const file = join(folder, 'config.json');
    await writeFile(file, JSON.stringify({ components: [second] }));
    const both = await createTestPlatform({
      clock,
      env: { CONFIG_FILE: file },
      redisUrl: server.url,
    });
    try {
      const { token, encoding_aes_key: key, appid } = second;
      const astray = () => post(both, message({ token, key, appid }), MESSAGES);
      const answers = [];
      for (let time = 0; time < 4; time += 1) {
        expect(await post(both, ticket())).toBe('200 success');
        expect(await post(both, message(), MESSAGES)).toBe('200 success');
        answers.push(await astray());
      }
      const stranger = { token: 'anotherToken', key, appid };
      const told = token === COMPONENT.token ? '400 unreadable' : '401 signature does not match';
      expect(new Set(answers)).toEqual(new Set([told]));
      if (token !== COMPONENT.token) {
        expect(await post(both, message(stranger), MESSAGES)).toBe(told);
      }
      const status = (await (await both.internal('/status')).json()) as StatusSnapshot;
      const [problem] = status.problems.filter(({ code }) => code === 'pushes_refused');
      expect(problem).toMatchObject({ kind: 'message', severity: 'critical' });
      expect(problem?.advice).toContain('The URLs of another platform lead here');
      // At its own URL it is taken.
      const own = `/callback/${appid}/wx5ca6a28cbf8bf405`;
      expect(await post(both, message({ token, key, appid }), own)).toBe('200 success');
    } finally {
      await both.close();
      await rm(folder, { recursive: true });
    }
  });
});

describe('row 152: five thousand unsigned requests', { timeout: 180_000 }, () => {
  it('cost a few commands and lines, and hide nobody', async () => {
    await acceptTicket();
    await platform.pass(5_000);
    const lines = platform.logs.length;
    const body = `<xml><AppId>${COMPONENT.appid}</AppId><Encrypt>${'A'.repeat(64)}</Encrypt></xml>`;
    const targets = [EVENTS, MESSAGES, `/callback/${STRANGER}`, `${EVENTS}/more`, '/callback/x'];
    const flood = async () => {
      for (let wave = 0; wave < 50; wave += 1) {
        const sent = Array.from({ length: 100 }, async (_, index) => {
          const url = platform.publicUrl(`${targets[index % targets.length]}?wave=${wave}`);
          const answer = await fetch(url, { method: 'POST', body });
          expect(answer.status).toBeGreaterThanOrEqual(400);
          await answer.arrayBuffer();
        });
        await Promise.all(sent);
        await clock.advance(100, () => Promise.resolve());
      }
      expect(await post(platform, ticket({ key: OTHER_KEY }))).toMatch(/^400 /);
      await platform.pass(2_000);
    };
    const quiet = totalOf(await countCommands(platform.redis, () => platform.pass(7_000)));
    const counts = await countCommands(platform.redis, flood);
    // Two scripts a second, for the platform and for what names none, of some thirty commands each.
    expect(counts.evalsha ?? 0).toBeLessThan(40);
    expect(totalOf(counts) - quiet).toBeLessThan(1_500);
    const said = platform.logs.slice(lines).filter(({ level }) => level === 'warn');
    expect(said.length).toBeLessThan(10);
    expect(said.map(({ reason }) => reason)).toContain('aes_key');

    await platform.pass(MINUTE);
    const summed = platform.logs.filter(({ message: text }) => text === 'more pushes refused');
    expect(summed.length).toBeLessThan(10);
    const counted = summed.reduce((sum, { count }) => sum + Number(count), 0);
    expect(counted).toBe(5_000 - targets.length);
    await platform.pass(10 * MINUTE);
    expect(platform.logs.filter(({ message: text }) => text === 'more pushes refused')).toEqual(
      summed,
    );
  });
});
