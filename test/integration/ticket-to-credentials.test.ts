import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acceptTicket, readTicket } from '../../src/store/tickets/ticket.ts';
import { COMPONENT, createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { ticketXml } from '../kit/push-envelope.ts';

const token = { kind: 'component_access_token', subject: COMPONENT.appid } as const;
const code = { kind: 'pre_auth_code', subject: COMPONENT.appid } as const;

describe('from the first ticket to credentials that others read', () => {
  let platform: TestPlatform;
  beforeEach(async () => {
    platform = await createTestPlatform();
  });
  afterEach(() => platform.close());

  it('answers success and has both credentials within the same moment', async () => {
    const { simulator, redis, keys, internal } = platform;
    const push = await simulator.pushTicket();
    await platform.settle();
    expect(push).toMatchObject({ status: 200, answer: 'success', accepted: true });
    expect(await redis.get(keys.ticketMirror(COMPONENT.appid))).toMatch(/^ticket@@@/);
    const minted = simulator.latestMint('component_access_token')?.value;
    expect(await redis.get(keys.mirror(token))).toBe(minted);
    expect(await redis.get(keys.mirror(code))).toBe(simulator.latestMint('pre_auth_code')?.value);
    const answer = await internal(`/v1/credentials/component_access_token/${COMPONENT.appid}`);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({
      value: minted,
      seq: 1,
      state: 'fresh',
      expires_in: 7200,
    });
  });

  it('refreshes the token at the first tick inside its window, and not before', async () => {
    const { simulator } = platform;
    await simulator.pushTicket();
    await platform.settle();
    await platform.skip(100 * MINUTE);
    const mints = () =>
      simulator.ledger.mints.filter((mint) => mint.kind === 'component_access_token');
    expect(mints()).toHaveLength(1);
    await platform.pass(10 * MINUTE);
    expect(mints()).toHaveLength(2);
  });

  it('looks again at a ticket that Redis took although its answer was lost', async () => {
    const { simulator, redis, keys, clock } = platform;
    const push = simulator.buildPush(undefined, 'component_verify_ticket');
    const encrypt = /<Encrypt><!\[CDATA\[(.+?)\]\]>/.exec(push.body)?.[1] ?? '';
    const arrived = {
      appid: COMPONENT.appid,
      ticket: /ticket@@@[^\]]+/.exec(push.document)?.[0] ?? '',
      createTime: push.createTime * 1000,
      receivedAt: clock.now(),
      fingerprint: createHash('sha256').update(encrypt).digest('hex'),
      event: { info_type: 'component_verify_ticket' },
    };
    expect(await acceptTicket(platform.store, arrived)).toBe('stored');
    const query = new URLSearchParams(push.query).toString();
    const answer = await fetch(`${platform.publicUrl()}?${query}`, {
      method: 'POST',
      body: push.body,
    });
    expect(await answer.text()).toBe('success');
    await platform.settle();
    expect(await redis.get(keys.mirror(token))).toBe(
      simulator.latestMint('component_access_token')?.value,
    );
  });

  it('takes a ticket without a readable CreateTime once', async () => {
    const xml = ticketXml({ ticket: 'ticket@@@odd', createTime: 'yesterday' });
    const push = platform.simulator.buildPush(undefined, xml);
    const url = `${platform.publicUrl()}?${new URLSearchParams(push.query).toString()}`;
    for (let sent = 0; sent < 3; sent += 1) {
      await platform.clock.advance(1_000);
      expect(await (await fetch(url, { method: 'POST', body: push.body })).text()).toBe('success');
    }
    expect((await readTicket(platform.store, COMPONENT.appid))?.count).toBe(1);
  });
});
