import { expect } from 'vitest';
import type { CredentialId } from '../../src/store/redis/keys.ts';
import type { LogLine } from './logs.ts';
import type { TestPlatform } from './platform.ts';

/** What can be seen of one credential from outside, and in Redis. */

/** What a service gets that asks over HTTP. */
export interface Seen {
  status: number;
  retryAfter: number | undefined;
  value?: string;
  seq?: number;
  state?: string;
  source?: string;
  expires_in?: number;
  error?: { code: string; message: string };
}

export async function read(platform: TestPlatform, id: CredentialId): Promise<Seen> {
  const answer = await platform.internal(`/v1/credentials/${id.kind}/${id.subject}`);
  const header = answer.headers.get('retry-after');
  const body = (await answer.json()) as Omit<Seen, 'status' | 'retryAfter'>;
  // Reading what is due starts a look behind the answer.
  await platform.settle();
  return {
    status: answer.status,
    retryAfter: header === null ? undefined : Number(header),
    ...body,
  };
}

/** The stored record without what every failure changes, and the mirror. */
export async function stored(
  { redis, keys }: Pick<TestPlatform, 'redis' | 'keys'>,
  id: CredentialId,
) {
  const [hash, mirror] = await Promise.all([
    redis.hgetall(keys.record(id)),
    redis.get(keys.mirror(id)),
  ]);
  return {
    kept: {
      value: hash.value,
      seq: hash.seq,
      expires_at: hash.expires_at,
      obtained_at: hash.obtained_at,
      mirror,
    },
    failures: Number(hash.failures ?? 0),
    locked: hash.lock_op !== undefined,
    suspect: hash.suspect !== undefined,
  };
}

/** How many mints may have reached WeChat and are not known to be over. */
export async function mintsOnTheWay(
  { redis, keys }: Pick<TestPlatform, 'redis' | 'keys'>,
  id: CredentialId,
): Promise<number> {
  const intents = await redis.hget(keys.record(id), 'intents');
  return intents === null ? 0 : Object.keys(JSON.parse(intents) as object).length;
}

export interface CredentialStatus {
  kind: string;
  state: string;
  failures_in_a_row: number;
  last_error: { class: string; errcode?: number; message: string; advice: string } | null;
}

export interface ServiceStatus {
  components: {
    problems: { code: string; message: string; advice: string }[];
    credentials: CredentialStatus[];
  }[];
}

export async function statusOf(platform: TestPlatform, id: CredentialId) {
  const answer = await platform.internal('/status');
  expect(answer.status).toBe(200);
  const { components } = (await answer.json()) as ServiceStatus;
  const credential = components[0]?.credentials.find(({ kind }) => kind === id.kind);
  if (credential === undefined) throw new Error(`no ${id.kind} in the status`);
  return { credential, problems: components[0]?.problems ?? [] };
}

/** When WeChat was called, in seconds since `since`. */
export function callsSince({ simulator }: TestPlatform, api: string, since: number): number[] {
  return simulator.ledger.calls
    .filter((call) => call.api === api && call.at >= since)
    .map((call) => (call.at - since) / 1000);
}

/** Differences between neighbours. */
export function gaps(times: readonly number[]): number[] {
  return times.slice(1).map((time, index) => time - (times[index] ?? 0));
}

/** The log lines with this message about this kind, or about any. */
export function logged({ logs }: TestPlatform, message: string, kind?: string): LogLine[] {
  return logs.filter(
    (line) => line.message === message && (kind === undefined || line.kind === kind),
  );
}
