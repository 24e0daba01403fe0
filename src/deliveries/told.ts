import * as z from 'zod';
import { parseDisplay } from '../store/redis/connection.ts';
import type { AttemptFault } from './judge.ts';

/** How an attempt went, as it is kept for people. */
export interface Told {
  /** Epoch ms. */
  at: number;
  /** It took. */
  ms: number;
  /** Of the answer, or why there was none. */
  status: number | AttemptFault;
  replica: string;
}

const schema = z.object({
  at: z.number(),
  ms: z.number(),
  status: z.union([z.number(), z.string()]),
  replica: z.string(),
});

export function writeTold(told: Told): string {
  return JSON.stringify(told);
}

/** Undefined when there is none, or what is there was written by somebody else. */
export function readTold(text: string | undefined): z.infer<typeof schema> | undefined {
  return text === undefined ? undefined : schema.safeParse(parseDisplay(text)).data;
}
