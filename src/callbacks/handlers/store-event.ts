import type * as z from 'zod';
import { KeeperError } from '../../lib/errors.ts';
import { appendEvent, SEEN_MS, wasSeen, type Identity } from '../../store/tickets/event-stream.ts';
import type { EventFields } from '../../store/tickets/push.ts';
import type { HandlerContext, OpenedPush, PushOutcome } from './handler.ts';
import type { PushTime } from './push-time.ts';

/**
 * Writes a push to the event stream, unless it is there already.
 * @param identities what a repeated delivery is recognised by
 * @param options.everywhere what it is recognised by at any address, where it may have been sent to many
 * @param options.awaits the exchange before whose end it is not delivered
 * @throws KeeperError `push_not_stored`, `stale_push`
 */
export async function storeEvent(
  push: OpenedPush,
  { store }: Pick<HandlerContext, 'store'>,
  identities: readonly Identity[],
  entry: EventFields,
  { everywhere, awaits }: { everywhere?: Identity | undefined; awaits?: string } = {},
): Promise<PushOutcome> {
  const outcome = await orSendAgain(() =>
    appendEvent(store, push.componentAppid, {
      identities,
      everywhere,
      event: entry,
      counted: push.counted,
      plan: push.plan(entry, awaits),
    }),
  );
  if (outcome !== 'elsewhere') return outcome;
  throw new KeeperError('stale_push', 'sent again to another address', { reason: 'sent_again' });
}

/**
 * A platform event is recognised by its text, since WeChat may repeat it encrypted anew. That is not
 * remembered for longer than repeats take: without a time inside, the next one of its kind reads the
 * same.
 */
export function eventIdentities(push: OpenedPush, time: PushTime): Identity[] {
  return [
    { name: push.hashes.ofEncrypt, forMs: time.rememberMs },
    { name: `text:${push.hashes.ofContent}`, forMs: SEEN_MS },
  ];
}

/**
 * Whether what an event brings about was done before and must not be done again. The order of events
 * makes repeats of dated ones harmless, but one without a time would be the newest each time it comes.
 * @throws KeeperError `push_not_stored`
 */
export async function isOddRepeat(
  push: OpenedPush,
  { store }: Pick<HandlerContext, 'store'>,
  time: PushTime,
): Promise<boolean> {
  if (time.oddity === undefined) return false;
  return orSendAgain(() => wasSeen(store, push.componentAppid, eventIdentities(push, time)));
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
  const names = result.error.issues.map((issue) => issue.path.join('.') || 'document');
  warnUndocumented(push, { log }, names);
  return undefined;
}

export function warnUndocumented(
  { componentAppid: component, fields: { InfoType: type } }: OpenedPush,
  { log }: Pick<HandlerContext, 'log'>,
  fields: readonly string[],
): void {
  const message = 'an event does not have its documented fields; it is stored as it is';
  log.warn(message, { component, type, fields });
}
