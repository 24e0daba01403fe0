import { noteReplica } from '../../src/store/operations/replicas.ts';
import { ALERT_KINDS, type AlertKind } from '../../src/config/formats.ts';
import type { ManualClock } from './clock.ts';
import type { TestPlatform } from './platform.ts';
import type { TestStore } from './store.ts';
import { type Accepted, createWebhookReceiver, type WebhookReceiver } from './webhook-receiver.ts';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What tests of alerts have in common. */

/** Milliseconds between two looks of a replica. */
export const ROUND = 15_000;
export const SECRET = 'SECcanary0123456789abcdef';

/**
 * A receiver of each kind, and the environment that makes a service send to all of them.
 * @param more of the same CONFIG_FILE
 */
export async function receiversOfAllKinds(clock: ManualClock, more: object = {}) {
  const signed: readonly AlertKind[] = ['json', 'dingtalk', 'feishu'];
  const receivers = await Promise.all(
    ALERT_KINDS.map((kind) =>
      createWebhookReceiver(kind, {
        clock,
        ...(signed.includes(kind) ? { secret: SECRET } : {}),
      }),
    ),
  );
  const folder = mkdtempSync(join(tmpdir(), 'wxkeeper-alerts-'));
  const path = join(folder, 'config.json');
  const alert_webhooks = receivers.map(({ kind, url }) => ({
    kind,
    url,
    ...(signed.includes(kind) ? { secret: SECRET } : {}),
  }));
  writeFileSync(path, JSON.stringify({ alert_webhooks, ...more }));
  return {
    receivers,
    env: { CONFIG_FILE: path },
    async close() {
      rmSync(folder, { recursive: true });
      await Promise.all(receivers.map((one) => one.close()));
    },
  };
}

/** A replica that was killed a minute ago, or one that has said goodbye since. */
export async function loseReplica(
  { store, clock }: { store: TestStore | TestPlatform['store']; clock: ManualClock },
  id: string,
  stopped = false,
): Promise<void> {
  const now = clock.simulatedStoreNow();
  await noteReplica(store, {
    id,
    host: 'host',
    version: '0.1.0',
    startedAt: now - 3_600_000,
    seenAt: now - 61_000,
    stoppedAt: stopped ? now : undefined,
  });
}

/** What a program was told of one problem: `firing`, `reminder`, `resolved`. */
export function toldOf({ messages }: WebhookReceiver, code: string): Accepted[] {
  return messages.filter(({ body }) => body.code === code);
}

export function statuses(messages: readonly Accepted[]): unknown[] {
  return messages.map(({ body }) => body.status);
}
