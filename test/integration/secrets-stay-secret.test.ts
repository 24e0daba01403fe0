import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CODE, TOKEN } from '../kit/liveness.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  HOUR,
  type TestPlatform,
} from '../kit/platform.ts';
import { passUntilAnswered } from '../kit/waiting.ts';

/**
 * Every secret is searched for in everything that leaves the process: the log at debug, the status
 * and the answers to requests that go wrong, after a life with as many faults as can be had.
 */
describe('no secret reaches a log, the status or an error', () => {
  let platform: TestPlatform;
  const answers: string[] = [];
  const secrets = new Map<string, string>();

  beforeAll(async () => {
    platform = await createTestPlatform({ simulator: { hosts: 2 } });
    const { simulator, internal } = platform;
    const note = async (answer: Response) => {
      // Handing out a value is what this one is for.
      if (answer.ok && new URL(answer.url).pathname.startsWith('/v1/credentials/')) return;
      answers.push(JSON.stringify([...answer.headers]), await answer.text());
    };
    await simulator.pushTicket();
    await platform.settle();
    await causeTrouble(platform, note);
    await note(await internal('/status'));
    await note(await internal('/readyz'));
    await note(await internal(`/v1/credentials/nothing/${COMPONENT.appid}`));
    await note(await internal('/status', { headers: { authorization: 'Bearer wrong' } }));

    for (const [name, value] of Object.entries(COMPONENT)) {
      if (name !== 'appid') secrets.set(name, value);
    }
    for (const { kind, value } of simulator.ledger.mints) secrets.set(`${kind} ${value}`, value);
    secrets.set('API key', platform.apiKey);
  });
  afterAll(() => platform.close());

  it('had something to hide and something to say', async () => {
    expect(secrets.size).toBeGreaterThan(10);
    expect(platform.logs.length).toBeGreaterThan(50);
    expect(platform.logs.map((line) => line.level)).toEqual(
      expect.arrayContaining(['error', 'warn']),
    );
    const values = await platform.redis.mget(
      platform.keys.mirror(TOKEN),
      platform.keys.mirror(CODE),
    );
    expect([...secrets.values()]).toEqual(expect.arrayContaining(values));
  });

  it.each(['log', 'answers'])('the %s hold none of them', (sink) => {
    const text =
      sink === 'log'
        ? platform.logs.map((line) => JSON.stringify(line)).join('\n')
        : answers.join('\n');
    const found = [...secrets].filter(([, value]) => text.includes(value)).map(([name]) => name);
    expect(found).toEqual([]);
  });
});

/** One of everything that makes the service write about a secret. */
async function causeTrouble(
  platform: TestPlatform,
  note: (answer: Response) => Promise<void>,
): Promise<void> {
  const { simulator, internal, publicUrl, redis, keys } = platform;
  for (const fault of [
    { type: 'status', status: 502 },
    { type: 'html' },
    { type: 'truncate' },
    { type: 'reset' },
    { type: 'errcode', errcode: 40125 },
    { type: 'errcode', errcode: 40001 },
    { type: 'patch', fields: { component_access_token: 'has spaces in it' } },
    { type: 'redirect', location: 'http://127.0.0.1:1/?access_token=elsewhere' },
  ] as const) {
    simulator.addFault({ api: '*', times: 2, fault });
    await platform.skip(2 * HOUR);
    await note(await internal(`/v1/credentials/component_access_token/${COMPONENT.appid}`));
    await simulator.pushTicket();
    await platform.settle();
  }
  const forged = simulator.buildPush(undefined, 'component_verify_ticket');
  const query = new URLSearchParams({ ...forged.query, msg_signature: 'f'.repeat(40) });
  await note(
    await fetch(`${publicUrl()}?${query.toString()}`, { method: 'POST', body: forged.body }),
  );
  const good = new URLSearchParams(forged.query).toString();
  await note(
    await fetch(`${publicUrl()}?${good}`, { method: 'POST', body: forged.body.slice(0, -20) }),
  );
  await note(
    await fetch(publicUrl(`/callback/${COMPONENT.appid}/${AUTHORIZER}?${good}`), {
      method: 'POST',
      body: forged.body,
    }),
  );
  await note(await fetch(`${publicUrl()}?${good}&echostr=1`));
  await simulator.push(undefined, 'authorized', { AuthorizationCode: 'queryauthcode@@@canary' });
  // A key of the wrong type makes Redis itself complain.
  await redis.set(keys.record(TOKEN), 'not a hash');
  // It may wait for a mint, to its deadline by the platform's clock.
  const read = internal(`/v1/credentials/component_access_token/${COMPONENT.appid}`);
  await note(await passUntilAnswered(platform, read));
  await redis.del(keys.record(TOKEN));
  await platform.settle();
}
