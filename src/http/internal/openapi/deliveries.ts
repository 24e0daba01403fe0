import * as z from 'zod';
import { deliverySchema, time } from '../../../status/schema.ts';

/** What the internal API answers about deliveries, for its document. */

const attemptSchema = z.object({
  route: z.string(),
  attempt: z.int().describe('0 inside the answer to WeChat.'),
  at: time,
  took_ms: z.number(),
  status: z.string().describe('Of the answer, or why there was none.'),
  replica: z.string(),
});

export const pushSchema = z.object({
  id: z.string(),
  component_appid: z.string(),
  authorizer_appid: z.string(),
  received_at: time,
  url: z.enum(['event', 'message']).nullable().describe('null for what no route takes.'),
  info_type: z.string(),
  msg_type: z.string(),
  event: z.string(),
  held: z.boolean().describe('Waits until its authorization code is exchanged.'),
  routes: z.array(z.string()).describe('That take it.'),
  deliveries_open: z.int().describe('Of them, those that wait, are under way or were given up.'),
  attempts: z.array(attemptSchema),
});

export const deadLettersSchema = deliverySchema.extend({
  dead: z.array(z.object({ id: z.string(), given_up_at: time })),
});

export const resumedSchema = z.object({ resumed: z.literal(true) });

export const movedSchema = z.object({ moved: z.int() });
