import { createHash } from 'node:crypto';
import * as z from 'zod';
import { storedError } from '../store/credentials/stored-error.ts';
import { parseDisplay } from '../store/redis/connection.ts';
import {
  identityOf,
  PROBLEM_CODES,
  SEVERITIES,
  type Finding,
  type Severity,
} from '../status/problems.ts';
import type { ProblemCode } from '../status/problems.ts';
import type { Entry, News } from './lifecycle.ts';

/** What people are told, before it is put into words. It survives in Redis until it was sent. */
export interface Notice {
  /** The same when it has to be sent twice. */
  id: string;
  status: 'firing' | 'reminder' | 'resolved' | 'started' | 'stopped';
  /** Epoch ms by the store's clock. */
  at: number;
  /** Of whom it comes. */
  replica: string;
  /** Undefined for the start and the stop of a replica. */
  problem?:
    | { finding: Finding; previousSeverity?: Severity | undefined; ends?: number | undefined }
    | undefined;
}

export function noticeOf({ status, entry, previousSeverity }: News, at: number, replica: string) {
  const { finding, since, goneAt } = entry;
  const problem = { finding: { ...finding, since }, previousSeverity, ends: goneAt };
  const notice: Notice = {
    // Replicas that find the same about themselves at the same moment tell two things.
    id: idOf(identityOf(finding), status, at, replica),
    status,
    at,
    replica,
    problem,
  };
  return notice;
}

/** @param status what has happened to the replica */
export function noticeOfReplica(
  status: 'started' | 'stopped',
  at: number,
  replica: string,
): Notice {
  return { id: idOf(replica, status, at), status, at, replica };
}

function idOf(...parts: (string | number)[]): string {
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 16);
}

const time = z.number().nonnegative();
const finding = z.object({
  code: z.enum(PROBLEM_CODES as [ProblemCode, ...ProblemCode[]]),
  severity: z.enum(SEVERITIES),
  subject: z.string().nullable(),
  kind: z.string().nullable(),
  since: time.nullable(),
  facts: z.record(z.string(), z.union([z.string(), z.number()])),
  error: storedError.optional(),
});
const entry = z.object({
  finding,
  since: time,
  seenAt: time,
  reminders: z.number().int().nonnegative(),
  toldAt: time.optional(),
  goneAt: time.optional(),
  toldSeverity: z.enum(SEVERITIES).optional(),
});
const notice = z.object({
  id: z.string(),
  at: time,
  replica: z.string(),
  status: z.enum(['firing', 'reminder', 'resolved', 'started', 'stopped']),
  problem: z
    .object({ finding, previousSeverity: z.enum(SEVERITIES).optional(), ends: time.optional() })
    .optional(),
});

/** Undefined for what somebody has spoiled, or another version has written differently. */
export function readEntry(json: string): Entry | undefined {
  return entry.safeParse(parseDisplay(json)).data as Entry | undefined;
}

/** The same for a notice. */
export function readNotice(json: string): Notice | undefined {
  return notice.safeParse(parseDisplay(json)).data as Notice | undefined;
}
