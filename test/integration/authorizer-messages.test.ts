import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CLOCK_START } from '../kit/clock.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  MINUTE,
  type TestPlatform,
} from '../kit/platform.ts';
import {
  asMessage,
  contents,
  eventCount,
  EVENTS,
  forgetSeen,
  MESSAGES,
  newestEvents,
  post,
  pushCounts,
} from '../kit/public-listener.ts';
import { encryptPush, type EnvelopeOptions, ticketXml } from '../kit/push-envelope.ts';

const OTHER = 'wx00000000000000ff';

let platform: TestPlatform;
beforeAll(async () => {
  platform = await createTestPlatform();
});
afterAll(() => platform.close());
// So that no test meets a message of the one before.
beforeEach(() => platform.pass(MINUTE));

const now = () => Math.floor(platform.clock.now() / 1000);
const sealed = (xml: string | Buffer, options: EnvelopeOptions = {}) =>
  asMessage(encryptPush(xml, { timestamp: now(), ...options }));
const message = (fields: Readonly<Record<string, string | number>>): string => {
  const all = { ToUserName: 'gh_1', FromUserName: 'o1', CreateTime: now(), ...fields };
  const elements = Object.entries(all).map(([name, value]) => `<${name}>${value}</${name}>`);
  return `<xml>${elements.join('\n')}</xml>`;
};
const text = { MsgType: 'text', Content: 'hello' };
const click = { MsgType: 'event', Event: 'CLICK', EventKey: 'menu_1' };

describe('a message of an authorizer', () => {
  it('is kept for others under the appid of its URL, with every field as it came', async () => {
    const fields = { ...text, Content: '00123', MsgId: '23456789012345678999', Odd: '1e5' };
    expect(await post(platform, sealed(message(fields)), MESSAGES)).toBe('200 success');
    const [entry] = await newestEvents(platform);
    expect(entry).toMatchObject({
      component_appid: COMPONENT.appid,
      authorizer_appid: AUTHORIZER,
      info_type: '',
      msg_type: 'text',
      event: '',
      create_time: String(now()),
      received_at: new Date(platform.clock.now()).toISOString(),
    });
    expect(JSON.parse(entry?.fields ?? '')).toMatchObject(fields);
  });

  it('may hold broken UTF-8: it is kept, and the log says what was lost', async () => {
    const [before, after] = message({ ...text, Content: '-', MsgId: 7 }).split('-');
    const broken = Buffer.concat([
      Buffer.from(before ?? ''),
      Buffer.from([0xf0, 0x9f, 0x98]),
      Buffer.from(after ?? ''),
    ]);
    expect(await post(platform, sealed(broken), MESSAGES)).toBe('200 success');
    expect((await newestEvents(platform))[0]?.fields).toContain('\uFFFD');
    expect(platform.logs.findLast((line) => line.message === 'push accepted')).toMatchObject({
      lossless: false,
    });
  });

  it('is not looked into by us: nothing of it is in the log', async () => {
    const fields = { ...text, Content: 'a private word', FromUserName: 'oPrivatePerson' };
    expect(await post(platform, sealed(message(fields)), MESSAGES)).toBe('200 success');
    const log = JSON.stringify(platform.logs);
    expect(log).not.toMatch(/a private word|oPrivatePerson/);
  });
});

describe('what the log says of messages', () => {
  const told = (lines: TestPlatform['logs']) =>
    lines.filter((line) => line.message === 'messages accepted');

  it('is their number once a minute, and a line for each at debug only', async () => {
    const since = platform.logs.length;
    const first = sealed(message({ ...text, MsgId: 1 }));
    for (const push of [first, sealed(message({ ...text, MsgId: 2 })), first]) {
      expect(await post(platform, push, MESSAGES)).toBe('200 success');
    }
    const lines = platform.logs.slice(since);
    const each = lines.filter((line) => line.message === 'push accepted');
    expect(each.map(({ level }) => level)).toEqual(['debug', 'debug', 'debug']);
    expect(each[0]).toMatchObject({ authorizer: AUTHORIZER, type: 'text', outcome: 'stored' });
    expect(told(lines)).toEqual([]);
    await platform.pass(MINUTE);
    const { appid: component } = COMPONENT;
    const sum = { level: 'info', component, stored: 2, duplicate: 1 };
    expect(told(platform.logs.slice(since))).toMatchObject([sum]);
    await platform.pass(5 * MINUTE);
    expect(told(platform.logs.slice(since))).toHaveLength(1);
  });

  it('has a line for each event of the platform, and a number for the rest of a flood', async () => {
    const since = platform.logs.length;
    for (let number = 0; number < 63; number += 1) {
      const event = ticketXml({ createTime: now(), infoType: `news_${number}` });
      expect(await post(platform, encryptPush(event, { timestamp: now() }), EVENTS)).toBe(
        '200 success',
      );
    }
    const linesAt = (level: string) =>
      platform.logs
        .slice(since)
        .filter((line) => line.message === 'push accepted' && line.level === level);
    expect([linesAt('info').length, linesAt('debug').length]).toEqual([60, 3]);
    // A ticket comes meanwhile.
    await platform.pass(MINUTE);
    expect(
      platform.logs.slice(since).filter((line) => line.message === 'more pushes accepted'),
    ).toMatchObject([
      { level: 'info', component: COMPONENT.appid, stored: linesAt('debug').length },
    ]);
  });

  it('is told at the end of the process, too', async () => {
    const other = await createTestPlatform();
    const timestamp = Math.floor(other.clock.now() / 1000);
    const push = sealed(message({ ...text, MsgId: 3, CreateTime: timestamp }), { timestamp });
    expect(await post(other, push, MESSAGES)).toBe('200 success');
    expect(told(other.logs)).toEqual([]);
    await other.close();
    expect(told(other.logs)).toMatchObject([{ level: 'info', stored: 1 }]);
  });
});

describe('a message that comes again, encrypted anew', () => {
  const again = { random: 'fedcba9876543210', nonce: '7' };

  it.each([
    ['a message with its MsgId', { ...text, MsgId: '6054768590064713728' }],
    ['an event', click],
    ['a message without a MsgId', text],
  ])('is one entry: %s', async (_what, fields) => {
    const xml = message(fields);
    const [events, counts] = [await eventCount(platform), await pushCounts(platform)];
    for (const options of [{}, again, { ...again, nonce: '8' }, {}]) {
      expect(await post(platform, sealed(xml, options), MESSAGES)).toBe('200 success');
    }
    expect(await eventCount(platform)).toBe(events + 1);
    const { accepted, duplicate } = await pushCounts(platform);
    expect(accepted - counts.accepted).toBe(1);
    expect(duplicate - counts.duplicate).toBe(3);
  });

  it('is recognised by its MsgId even when something else in it changed', async () => {
    const events = await eventCount(platform);
    for (const Content of ['hello', 'hello again']) {
      const xml = message({ ...text, Content, MsgId: now() });
      expect(await post(platform, sealed(xml), MESSAGES)).toBe('200 success');
    }
    expect(await eventCount(platform)).toBe(events + 1);
  });

  it.each([
    ['MsgId, in the last of twenty digits', { ...text, MsgId: '23456789012345678902' }],
    ['sender', { ...click, FromUserName: 'o2' }],
    ['second', { ...click, CreateTime: CLOCK_START / 1000 }],
    ['event', { ...click, Event: 'VIEW' }],
  ])('is another entry when it differs in its %s', async (_what, fields) => {
    const first = 'MsgId' in fields ? { ...text, MsgId: '23456789012345678901' } : click;
    const events = await eventCount(platform);
    expect(await post(platform, sealed(message(first)), MESSAGES)).toBe('200 success');
    expect(await post(platform, sealed(message(fields)), MESSAGES)).toBe('200 success');
    expect(await eventCount(platform)).toBe(events + 2);
  });

  it('is another entry for another authorizer, who may count messages alike', async () => {
    const events = await eventCount(platform);
    const xml = message({ ...text, MsgId: now() });
    await post(platform, sealed(xml), MESSAGES);
    await post(platform, sealed(xml, again), `${EVENTS}/${OTHER}`);
    expect(await eventCount(platform)).toBe(events + 2);
    const owners = (await newestEvents(platform, 2)).map((entry) => entry.authorizer_appid);
    expect(owners).toEqual([OTHER, AUTHORIZER]);
  });
});

describe('row 102: a repeat is the same sender, id, time and type, or the same text', () => {
  const ID = '23456789012345678901';
  const one = { ...text, MsgId: ID };

  it.each<[string, Readonly<Record<string, string | number>>]>([
    ['another sender', { FromUserName: 'o2' }],
    ['another second', { CreateTime: CLOCK_START / 1000 }],
    ['another type', { MsgType: 'image', PicUrl: 'http://localhost/1' }],
    ['an event with the id of a text', { MsgType: 'event', Event: 'CLICK' }],
    ['an id that differs beyond 2^53', { MsgId: '23456789012345678902' }],
  ])('%s is another message', async (_what, fields) => {
    const events = await eventCount(platform);
    for (const all of [one, { ...one, ...fields }, one]) {
      expect(await post(platform, sealed(message(all)), MESSAGES)).toBe('200 success');
    }
    expect(await eventCount(platform)).toBe(events + 2);
  });

  it.each(['0', '00', '', '-1', '1e5', 'abc', '12 34', 'none'])(
    'the id %j is none: two messages of one sender in one second stay two',
    async (MsgId) => {
      const events = await eventCount(platform);
      for (const Content of ['one', 'two', 'one']) {
        const xml = message({ ...text, Content, MsgId });
        expect(await post(platform, sealed(xml), MESSAGES)).toBe('200 success');
      }
      expect(await eventCount(platform)).toBe(events + 2);
    },
  );

  it('a missing or a repeated id is none either', async () => {
    const events = await eventCount(platform);
    for (const Content of ['one', 'two', 'one']) {
      const without = message({ ...text, Content });
      const twice = without.replace('</xml>', '<MsgId>7</MsgId><MsgId>8</MsgId></xml>');
      for (const xml of [without, twice]) {
        expect(await post(platform, sealed(xml), MESSAGES)).toBe('200 success');
      }
    }
    expect(await eventCount(platform)).toBe(events + 4);
  });

  it.each([
    ['other blanks between the elements', (xml: string) => xml.replaceAll('\n', '\r\n\t')],
    ['blanks around the id', (xml: string) => xml.replace(ID, `<![CDATA[ ${ID} ]]>`)],
    ['another content', (xml: string) => xml.replace('hello', 'hello again')],
  ])('%s do not make it another message', async (_what, change) => {
    const events = await eventCount(platform);
    const xml = message(one);
    expect(change(xml)).not.toBe(xml);
    for (const sent of [xml, change(xml), xml]) {
      expect(await post(platform, sealed(sent), MESSAGES)).toBe('200 success');
    }
    expect(await eventCount(platform)).toBe(events + 1);
  });

  it('one id of twenty senders is twenty messages, and each is repeated in vain', async () => {
    const events = await eventCount(platform);
    for (const round of [1, 2]) {
      for (let sender = 0; sender < 20; sender += 1) {
        const xml = message({ ...one, FromUserName: `o${sender}`, Content: `round ${round}` });
        expect(await post(platform, sealed(xml), MESSAGES)).toBe('200 success');
      }
    }
    expect(await eventCount(platform)).toBe(events + 20);
  });

  it('leaves three short keys in Redis, for eleven minutes: this account is not known', async () => {
    await forgetSeen(platform);
    await post(platform, sealed(message(one)), MESSAGES);
    const names = await platform.redis.keys(`${platform.config.redisKeyPrefix}seen:*`);
    expect(names).toHaveLength(3);
    for (const name of names) {
      expect(await platform.redis.memory('USAGE', name)).toBeLessThan(300);
      expect(await platform.redis.pttl(name)).toBeLessThanOrEqual(11 * MINUTE);
    }
  });
});

describe('what is no message', () => {
  it('is a platform event: refused', async () => {
    await pushCounts(platform);
    const before = await contents(platform);
    const event = ticketXml({ infoType: 'unauthorized', createTime: now() });
    const push = asMessage(encryptPush(event, { timestamp: now() }));
    expect(await post(platform, push, MESSAGES)).toMatch(/^400 /);
    await pushCounts(platform);
    expect(await contents(platform)).toEqual(before);
  });

  it('a ticket in the envelope of a message is refused, and counts when it comes rightly', async () => {
    const ticket = ticketXml({ ticket: 'ticket@@@wrapped', createTime: now() });
    const push = encryptPush(ticket, { timestamp: now() });
    await pushCounts(platform);
    const before = await contents(platform);
    expect(await post(platform, asMessage(push), MESSAGES)).toMatch(/^400 /);
    expect(await contents(platform)).toEqual(before);
    expect(await post(platform, push)).toBe('200 success');
    expect(await platform.redis.get(platform.keys.ticketMirror(COMPONENT.appid))).toBe(
      'ticket@@@wrapped',
    );
  });

  it('a message in the envelope of an event is refused, and counts when it comes rightly', async () => {
    const push = encryptPush(message({ ...text, MsgId: now() }), { timestamp: now() });
    const events = await eventCount(platform);
    expect(await post(platform, push)).toMatch(/^400 /);
    expect(await eventCount(platform)).toBe(events);
    expect(await post(platform, asMessage(push), MESSAGES)).toBe('200 success');
    expect(await eventCount(platform)).toBe(events + 1);
  });

  it('a message sent to the URL of another authorizer does not keep the true one away', async () => {
    const push = sealed(message({ ...text, MsgId: now() }));
    const events = await eventCount(platform);
    await post(platform, push, `${EVENTS}/${OTHER}`);
    await post(platform, push, MESSAGES);
    expect(await eventCount(platform)).toBe(events + 2);
  });
});
