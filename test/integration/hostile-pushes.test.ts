import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOSTILE_ENVELOPES } from '../fixtures/hostile-envelopes.ts';
import type { HostilePush } from '../fixtures/hostile-push.ts';
import { HOSTILE_REQUESTS } from '../fixtures/hostile-requests.ts';
import { COMPONENT, createTestPlatform, type TestPlatform } from '../kit/platform.ts';
import { contents } from '../kit/public-listener.ts';

const HOSTILE_PUSHES = [...HOSTILE_ENVELOPES, ...HOSTILE_REQUESTS];

/** What other receivers store, crash on or explain too well: here nothing changes. */
describe('hostile pushes', () => {
  let platform: TestPlatform;
  beforeAll(async () => {
    platform = await createTestPlatform();
  });
  afterAll(() => platform.close());

  it('are at least sixty', () => {
    expect(HOSTILE_PUSHES.length).toBeGreaterThanOrEqual(60);
    expect(new Set(HOSTILE_PUSHES.map((one) => one.what)).size).toBe(HOSTILE_PUSHES.length);
  });

  it.each(HOSTILE_PUSHES)('$what: $status', async (push) => {
    const before = await everything(platform);
    const { status, text } = await send(platform, push);
    expect(status).toBe(push.status);
    expect(text.length).toBeLessThan(120);
    expect(text).not.toMatch(/ at |node_modules|\.ts|<html|decrypt|padding|appid mismatch/i);
    expect(text).not.toContain('success');
    await platform.settle();
    expect(await everything(platform)).toEqual(before);
    expect(
      platform.simulator.ledger.mints.filter((mint) => mint.kind !== 'component_verify_ticket'),
    ).toEqual([]);
  });

  it('leave a process that takes the next good push', async () => {
    expect((await platform.simulator.pushTicket()).accepted).toBe(true);
    await platform.settle();
    expect(await platform.redis.get(platform.keys.ticketMirror(COMPONENT.appid))).toMatch(
      /^ticket@@@/,
    );
    expect(platform.logs.filter((line) => line.message.includes('fault of ours'))).toEqual([]);
  });
});

async function send(
  platform: TestPlatform,
  push: HostilePush,
): Promise<{ status: number; text: string }> {
  const { method = 'POST', query, headers, body } = push;
  const path = push.path ?? `/callback/${COMPONENT.appid}`;
  const url = platform.publicUrl(query === undefined ? path : `${path}?${query}`);
  const answer = await fetch(url, {
    method,
    headers: { 'content-type': 'text/xml', ...headers },
    ...(body === undefined || method === 'GET' ? {} : { body }),
  });
  return { status: answer.status, text: await answer.text() };
}

/** What is stored; runs of jobs are left out. */
async function everything(platform: TestPlatform): Promise<Record<string, string>> {
  const stored = Object.entries(await contents(platform));
  return Object.fromEntries(stored.filter(([name]) => name !== platform.keys.jobs));
}
