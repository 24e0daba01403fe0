import type { z } from 'zod';
import { KeeperError } from '../../errors.ts';
import { appendEvent, type EventFields } from '../../store/events.ts';
import type { HandlerContext, OpenedPush, PushOutcome } from './handler.ts';

/** Milliseconds: WeChat may be late with an event, but not by a day. */
const MAX_AGE_MS = 24 * 3600 * 1000;
/** Milliseconds: WeChat's clock may run ahead of ours by this much. */
const MAX_AHEAD_MS = 300_000;

/**
 * Writes a push to the event stream, unless it is there already.
 * @param identities what a repeated delivery is recognised by
 * @throws KeeperError `stale_push`, `push_not_stored`
 */
export async function storeEvent(
  push: OpenedPush,
  context: HandlerContext,
  identities: readonly string[],
  entry: EventFields,
): Promise<PushOutcome> {
  assertTimely(push);
  return orSendAgain(() => appendEvent(context.store, push.componentAppid, identities, entry));
}

/**
 * Repeats are recognised for as long as a signature is accepted, so nothing is done twice. A signature
 * does not tell timestamp from nonce, so the time inside the encryption counts as well.
 * @throws KeeperError `stale_push`
 */
export function assertTimely(push: OpenedPush): void {
  const age = push.receivedAt - Number(push.fields.CreateTime) * 1000;
  if (!push.timely || age >= MAX_AGE_MS)
    throw new KeeperError('stale_push', 'timestamp too far from ours');
}

/**
 * When WeChat says that it happened, epoch ms. One from the future, or none, counts as now: it must not
 * outdo everything that follows.
 */
export function statedTime(
  { fields, receivedAt, componentAppid }: OpenedPush,
  { store, log }: Pick<HandlerContext, 'store' | 'log'>,
): number {
  const { CreateTime, InfoType } = fields;
  const now = Math.max(receivedAt, store.time.now());
  const stated =
    typeof CreateTime === 'string' && /^\d{1,12}$/.test(CreateTime)
      ? Number(CreateTime) * 1000
      : NaN;
  if (stated <= now + MAX_AHEAD_MS) return stated;
  const facts = { component: componentAppid, type: InfoType, CreateTime };
  log.warn('an event has an odd CreateTime; is our clock right?', facts);
  return now;
}

/** @throws KeeperError `push_not_stored`: `success` is not said, and WeChat sends again */
export async function orSendAgain<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new KeeperError('push_not_stored', 'not stored, send again', { cause });
  }
}

/** The fields of an event; undefined, and a warning, when they are not what WeChat documents. */
export function readFields<T>(
  push: OpenedPush,
  { log }: Pick<HandlerContext, 'log'>,
  schema: z.ZodType<T>,
): T | undefined {
  const result = schema.safeParse(push.fields);
  if (result.success) return result.data;
  log.warn('an event does not have its documented fields; it is stored as it is', {
    component: push.componentAppid,
    type: push.fields.InfoType,
    fields: result.error.issues.map((issue) => issue.path.join('.') || 'document'),
  });
  return undefined;
}
