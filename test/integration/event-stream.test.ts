import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AUTHORIZER, COMPONENT, createTestPlatform, type TestPlatform } from '../kit/platform.ts';

/** What other services read from `events:{C}`. */
describe('the event stream', () => {
  let platform: TestPlatform;
  beforeAll(async () => {
    platform = await createTestPlatform();
  });
  afterAll(() => platform.close());

  const newest = async (count: number): Promise<Record<string, string>[]> => {
    const stream = platform.keys.events(COMPONENT.appid);
    const entries = await platform.redis.xrevrange(stream, '+', '-', 'COUNT', count);
    return entries.map(([, flat]) => asObject(flat));
  };

  it('holds every InfoType, known or not, with all its fields but codes', async () => {
    const fields = { AuthorizerAppid: AUTHORIZER, Note: 'as it came' };
    await platform.simulator.push(undefined, 'authorized', {
      ...fields,
      PreAuthCode: 'p',
      AuthorizationCode: 'c',
    });
    const next = await platform.simulator.push(undefined, 'something_new_next_year', { N: 5 });
    expect(next).toMatchObject({ status: 200, answer: 'success' });
    const [unknown, authorized] = await newest(2);
    expect(unknown).toMatchObject({
      info_type: 'something_new_next_year',
      component_appid: COMPONENT.appid,
    });
    expect(authorized).toMatchObject({ info_type: 'authorized', authorizer_appid: AUTHORIZER });
    const kept = JSON.parse(authorized?.fields ?? '') as object;
    expect(kept).toMatchObject(fields);
    for (const code of ['PreAuthCode', 'AuthorizationCode']) expect(kept).not.toHaveProperty(code);
  });

  it('says that a ticket came, without the ticket', async () => {
    await platform.simulator.pushTicket();
    const [entry] = await newest(1);
    expect(entry).toMatchObject({ info_type: 'component_verify_ticket' });
    expect(JSON.stringify(entry)).not.toContain('ticket@@@');
  });

  it('takes a hundred deliveries of one push at the same moment for one', async () => {
    const push = platform.simulator.buildPush(undefined, 'component_verify_ticket');
    const url = `${platform.publicUrl()}?${new URLSearchParams(push.query).toString()}`;
    const length = await platform.redis.xlen(platform.keys.events(COMPONENT.appid));
    await platform.clock.advance(1_000);
    const answers = await Promise.all(
      Array.from({ length: 100 }, async () =>
        (await fetch(url, { method: 'POST', body: push.body })).text(),
      ),
    );
    expect(new Set(answers)).toEqual(new Set(['success']));
    const grown = await platform.redis.xlen(platform.keys.events(COMPONENT.appid));
    expect(grown - length).toBeLessThanOrEqual(1);
  });
});

function asObject(flat: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    flat.flatMap((name, index) => (index % 2 === 0 ? [[name, flat[index + 1] ?? '']] : [])),
  );
}
