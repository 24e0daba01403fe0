import * as z from 'zod';
import { onDisplayKey, parseDisplay } from '../redis/connection.ts';
import type { CredentialId } from '../redis/keys.ts';
import type { Store } from '../redis/store.ts';

/** Who called a value dead. */
export type RefusedBy =
  /** By the id of its API key; without an errcode it only asked for another value. */
  | { caller: string; errcode?: number | undefined }
  /** WeChat itself, in a call for this. */
  | { call: string }
  /** What somebody has written there by hand. */
  | { text: string };

const schema = z.union([
  z.object({ caller: z.string(), errcode: z.number().optional() }),
  z.object({ call: z.string() }),
]);

/** As 0.1.0 has written it. */
const FORMER = /^(?:asked for|reported \(errcode (-?\d+)\)) by (.+)$/s;

/** @param stored for people only: whatever it is, the record is not distrusted for it */
export function parseRefusedBy(stored: string): RefusedBy {
  const { data } = schema.safeParse(parseDisplay(stored));
  if (data !== undefined) return data;
  const [, errcode, caller] = FORMER.exec(stored) ?? [];
  if (caller === undefined) return { text: stored };
  return errcode === undefined ? { caller } : { caller, errcode: Number(errcode) };
}

/** @throws KeeperError `store_unavailable` */
export async function readRefusedBy(store: Store, id: CredentialId) {
  const key = store.keys.record(id);
  const stored = await onDisplayKey(() => store.redis.hget(key, 'refused_by'), null);
  return stored === null ? undefined : parseRefusedBy(stored);
}

/** In English, as the log and the status have it. */
export function describeRefusedBy(by: RefusedBy): string {
  if ('text' in by) return by.text;
  if ('call' in by) return `WeChat, when asked for ${by.call}`;
  const { caller, errcode } = by;
  return errcode === undefined
    ? `asked for by ${caller}`
    : `reported (errcode ${errcode}) by ${caller}`;
}
