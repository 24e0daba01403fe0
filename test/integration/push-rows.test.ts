import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTicket } from '../../src/store/tickets.ts';
import type { PushMessage } from '../../src/simulator/push-message.ts';
import { sealPush, ticketXml, type SealOptions } from '../support/seal.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createStation,
  HOUR,
  MINUTE,
  type Station,
} from '../support/station.ts';

/** The faults of arriving pushes, each by its number in the fault catalogue (docs/faults.md). */
let station: Station;
beforeAll(async () => {
  station = await createStation();
});
afterAll(() => station.close());

const store = () => ({ redis: station.redis, keys: station.keys });
const seconds = () => Math.floor(station.clock.now() / 1000);
const eventCount = () => station.redis.xlen(station.keys.events(COMPONENT.appid));
const warnings = () =>
  station.logs.filter((line) => line.level === 'warn').map((line) => line.message);

async function post(
  push: { query: Readonly<Record<string, string>>; body: string | Buffer },
  path?: string,
  headers?: Record<string, string>,
) {
  const url = `${station.publicUrl(path)}?${new URLSearchParams(push.query).toString()}`;
  const answer = await fetch(url, {
    method: 'POST',
    body: push.body,
    headers: { 'content-type': 'text/xml', ...headers },
  });
  const text = await answer.text();
  await station.settle();
  return `${answer.status} ${text}`;
}
const postXml = (xml: string, options: SealOptions = {}) =>
  post(sealPush(xml, { timestamp: seconds(), ...options }));

describe('row 49: a duplicate push', () => {
  it('is answered success a hundred times, stored once and mints nothing', async () => {
    const push = station.simulator.buildPush(undefined, 'component_verify_ticket');
    const before = await eventCount();
    expect(await post(push)).toBe('200 success');
    const mints = station.simulator.ledger.mints.length;
    const answers = await Promise.all(Array.from({ length: 100 }, () => post(push)));
    expect(new Set(answers)).toEqual(new Set(['200 success']));
    expect(await eventCount()).toBe(before + 1);
    expect(station.simulator.ledger.mints).toHaveLength(mints);
  });
});

describe('row 50: an older CreateTime that comes later', () => {
  it('never replaces a newer ticket, in whatever order they come', async () => {
    const order = fc.shuffledSubarray([1, 2, 3, 4, 5], { minLength: 5 });
    await fc.assert(
      fc.asyncProperty(order, async (steps) => {
        await station.pass(MINUTE);
        const start = seconds() - 30;
        for (const step of steps) {
          expect(
            await postXml(
              ticketXml({ ticket: `ticket@@@${start}-${step}`, createTime: start + step }),
            ),
          ).toBe('200 success');
          const best = Math.max(...steps.slice(0, steps.indexOf(step) + 1));
          expect((await readTicket(store(), COMPONENT.appid))?.ticket).toBe(
            `ticket@@@${start}-${best}`,
          );
        }
      }),
      { numRuns: 20 },
    );
  });

  it('leaves the ticket before the newest one as the previous', async () => {
    await station.pass(MINUTE);
    for (const step of [1, 3, 2])
      await postXml(
        ticketXml({ ticket: `ticket@@@step${step}`, createTime: seconds() - 10 + step }),
      );
    expect(await readTicket(store(), COMPONENT.appid)).toMatchObject({
      ticket: 'ticket@@@step3',
      previousTicket: 'ticket@@@step1',
    });
  });
});

describe('row 51: a CreateTime from the future, or none', () => {
  it.each([
    ['a year ahead', (now: number) => now + 365 * 86_400],
    ['garbage', () => 'yesterday'],
    ['negative', () => '-5'],
  ])(
    '%s counts as now, is warned about and does not block the next ticket',
    async (_what, createTime) => {
      await station.pass(MINUTE);
      expect(
        await postXml(ticketXml({ ticket: 'ticket@@@odd', createTime: createTime(seconds()) })),
      ).toBe('200 success');
      expect((await readTicket(store(), COMPONENT.appid))?.createTime).toBe(station.clock.now());
      expect(warnings().at(-1)).toContain('odd CreateTime');
      await station.pass(MINUTE);
      await postXml(ticketXml({ ticket: 'ticket@@@next', createTime: seconds() }));
      expect((await readTicket(store(), COMPONENT.appid))?.ticket).toBe('ticket@@@next');
    },
  );
});

describe('row 52: the previous key and token', () => {
  it('are accepted, counted and shown', async () => {
    await station.simulator.pushTicket(undefined, { previousKey: true });
    await station.simulator.pushTicket(undefined, { previousToken: true });
    await station.settle();
    const status = (await (await station.internal('/status')).json()) as {
      components: { pushes: Record<string, unknown> }[];
    };
    expect(status.components[0]?.pushes).toMatchObject({
      previous_key: 1,
      previous_token: 1,
      previous_key_configured: true,
    });
    expect(status.components[0]?.pushes.previous_key_last_used_at).not.toBeNull();
  });
});

describe('row 55: a captured message', () => {
  const capture = (infoType: string): PushMessage =>
    station.simulator.buildPush(undefined, infoType);

  it('is a duplicate inside the window of five minutes and refused outside, for an event', async () => {
    const push = capture('unauthorized');
    expect(await post(push)).toBe('200 success');
    const count = await eventCount();
    await station.pass(5 * MINUTE - 1000);
    expect(await post(push)).toBe('200 success');
    expect(await eventCount()).toBe(count);
    await station.pass(2000);
    expect(await post(push)).toMatch(/^401 /);
  });

  it('changes nothing for as long as its ticket lives, and is refused after that', async () => {
    const push = capture('component_verify_ticket');
    await post(push);
    await station.pass(MINUTE);
    await station.simulator.pushTicket();
    const newest = await readTicket(store(), COMPONENT.appid);
    await station.redis.del(
      ...(await station.redis.keys(`${station.config.redisKeyPrefix}seen:*`)),
    );
    await station.pass(HOUR);
    expect(await post(push)).toBe('200 success');
    expect(await readTicket(store(), COMPONENT.appid)).toEqual(newest);
    await station.pass(12 * HOUR);
    expect(await post(push)).toMatch(/^401 /);
    expect(await readTicket(store(), COMPONENT.appid)).toEqual(newest);
  });

  it('is taken late when it is a ticket that nobody has seen', async () => {
    const push = capture('component_verify_ticket');
    await station.pass(30 * MINUTE);
    expect(await post(push)).toBe('200 success');
    expect((await readTicket(store(), COMPONENT.appid))?.createTime).toBe(push.createTime * 1000);
  });
});

describe('row 61: a compressed body', () => {
  it('is refused before anything is inflated', async () => {
    const bomb = gzipSync(Buffer.alloc(20 * 1024 * 1024));
    expect(bomb.length).toBeLessThan(64 * 1024);
    const { query } = station.simulator.buildPush(undefined, 'unauthorized');
    expect(await post({ query, body: bomb }, undefined, { 'content-encoding': 'gzip' })).toMatch(
      /^415 /,
    );
  });
});

describe('what is accepted and kept for others', () => {
  it('is every InfoType, known or not, with its fields in the stream', async () => {
    await station.simulator.push(undefined, 'authorized', {
      AuthorizerAppid: AUTHORIZER,
      PreAuthCode: 'p',
    });
    await station.simulator.push(undefined, 'something_wechat_adds_next_year', { N: 5 });
    const entries = await station.redis.xrevrange(
      station.keys.events(COMPONENT.appid),
      '+',
      '-',
      'COUNT',
      2,
    );
    const [unknown, authorized] = entries.map(([, flat]) => asObject(flat));
    expect(unknown).toMatchObject({
      info_type: 'something_wechat_adds_next_year',
      component_appid: COMPONENT.appid,
    });
    expect(authorized).toMatchObject({ info_type: 'authorized', authorizer_appid: AUTHORIZER });
    expect(JSON.parse(authorized?.fields ?? '')).toMatchObject({
      AuthorizerAppid: AUTHORIZER,
      PreAuthCode: 'p',
    });
  });

  it('is a ticket too, without the ticket', async () => {
    await station.pass(MINUTE);
    await station.simulator.pushTicket();
    const [entry] = await station.redis.xrevrange(
      station.keys.events(COMPONENT.appid),
      '+',
      '-',
      'COUNT',
      1,
    );
    expect(asObject(entry?.[1] ?? [])).toMatchObject({ info_type: 'component_verify_ticket' });
    expect(JSON.stringify(entry)).not.toContain('ticket@@@');
  });

  it.each([
    ['MsgId', '<MsgType>text</MsgType><MsgId>23456789012345678901</MsgId>'],
    [
      'sender, time and event',
      '<FromUserName>o1</FromUserName><MsgType>event</MsgType><Event>subscribe</Event>',
    ],
  ])('is a message once, recognised by its %s although encrypted anew', async (_what, fields) => {
    const xml = `<xml><ToUserName>gh_1</ToUserName><CreateTime>${seconds()}</CreateTime>${fields}</xml>`;
    const before = await eventCount();
    for (const random of ['aaaabbbbccccdddd', 'ddddccccbbbbaaaa']) {
      const { query, encrypt } = sealPush(xml, { timestamp: seconds(), random });
      const body = `<xml><ToUserName>gh_1</ToUserName><Encrypt>${encrypt}</Encrypt></xml>`;
      expect(await post({ query, body }, `/callback/${COMPONENT.appid}/${AUTHORIZER}`)).toBe(
        '200 success',
      );
    }
    expect(await eventCount()).toBe(before + 1);
  });
});

function asObject(flat: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    flat.flatMap((name, index) => (index % 2 === 0 ? [[name, flat[index + 1] ?? '']] : [])),
  );
}
