import { expect, vi } from 'vitest';
import { TOKEN } from './liveness.ts';
import { COMPONENT, type TestPlatform } from './platform.ts';
import { POLLING } from './waiting.ts';

/** What the stories about a Redis in trouble have in common. */

/** WeChat hangs up after 5 s; this is what a refusal may take at most. */
const ANSWER_MS = 4_000;

export async function readiness(platform: TestPlatform): Promise<number> {
  return (await platform.internal('/readyz')).status;
}

/** Resolves when the service knows that Redis is away, or back and looked at. */
export async function becomes(platform: TestPlatform, status: 200 | 503): Promise<void> {
  await vi.waitFor(async () => expect(await readiness(platform)).toBe(status), POLLING);
  await platform.settle();
}

/** A ticket push that is not sent yet, so that it can be sent twice. */
export function newTicketPush({ simulator }: TestPlatform) {
  const { url, body, document } = simulator.buildPush(undefined, 'component_verify_ticket');
  const ticket = /ticket@@@[^\]<]+/.exec(document)?.[0] ?? '';
  expect(ticket).not.toBe('');
  return { url: url ?? '', body, ticket };
}

export async function post({ url, body }: { url: string; body: string }) {
  const begun = performance.now();
  const answer = await fetch(url, { method: 'POST', body });
  const text = await answer.text();
  const retryAfter = Number(answer.headers.get('retry-after'));
  return { status: answer.status, text, retryAfter, tookMs: performance.now() - begun };
}

/** Sends a ticket push that must be refused in time; returns the ticket, which waits in memory. */
export async function refusedTicket(platform: TestPlatform): Promise<string> {
  const push = newTicketPush(platform);
  const answer = await post(push);
  expect(answer.status).toBe(503);
  expect(answer.text).not.toContain('success');
  expect(answer.retryAfter).toBeGreaterThan(0);
  expect(answer.tookMs).toBeLessThan(ANSWER_MS);
  return push.ticket;
}

export function tokenMints({ simulator }: TestPlatform): number {
  return simulator.ledger.mints.filter(({ kind }) => kind === TOKEN.kind).length;
}

/** What WeChat minted last. */
export function newest({ simulator }: TestPlatform): string {
  return simulator.latestMint(TOKEN.kind)?.value ?? 'nothing was minted';
}

export function ticketMirror({ redis, keys }: TestPlatform): Promise<string | null> {
  return redis.get(keys.ticketMirror(COMPONENT.appid));
}
