import * as z from 'zod';
import {
  deadLettersSchema,
  movedSchema,
  pushSchema,
  resumedSchema,
} from '../openapi/deliveries.ts';
import type { Route } from '../route.ts';

/** What became of a push, and what a person does about deliveries that were given up. */

const PATH = '/v1/components/:component/deliveries/:route';
const MOST_IDS = 500;

/** Which dead letters: those named, those given up since then, or all. */
export const chosenSchema = z
  .strictObject({
    ids: z
      .array(z.uuid('must be ids of pushes'))
      .min(1, 'must name some')
      .max(MOST_IDS, `must be at most ${MOST_IDS}`)
      .optional(),
    since: z.iso.datetime('must be a moment such as 2026-01-31T08:00:00Z').optional(),
    all: z.literal(true, 'must be true').optional(),
  })
  .refine(
    (chosen) => Object.values(chosen).filter((one) => one !== undefined).length === 1,
    'Say either ids, since or all',
  );

export const DELIVERY_ROUTES = [
  {
    method: 'get',
    path: '/v1/components/:component/pushes/:push',
    scope: 'status:read',
    doc: {
      operationId: 'readPush',
      summary: { en: 'Show what became of one push', zh: '查看一条推送的去向' },
      description:
        'By its id, which is request_id in the log, id in the event stream and webhook-id of a delivery. ' +
        'Known for an hour when it was delivered at once, and for two days when it was not; of what no ' +
        'route takes, while it is in the event stream. Never what was in it.',
      success: [
        { status: 200, description: 'When it came and where it went.', schema: pushSchema },
      ],
      errors: ['not_found', 'unknown_component', 'store_unavailable'],
    },
  },
  {
    method: 'get',
    path: PATH,
    scope: 'status:read',
    doc: {
      operationId: 'readDeliveries',
      summary: { en: 'Show a delivery route and its dead letters', zh: '查看转发路由及其死信' },
      description: 'The 100 oldest dead letters; how many there are is in `dead_letters`.',
      success: [{ status: 200, description: 'How its target fares.', schema: deadLettersSchema }],
      errors: ['not_found', 'unknown_component', 'store_unavailable'],
    },
  },
  {
    method: 'post',
    path: `${PATH}/resume`,
    scope: 'admin',
    doc: {
      operationId: 'resumeDeliveries',
      summary: { en: 'Deliver to a target again, at once', zh: '立即恢复向目标转发' },
      description: 'After it has said 410, or instead of waiting until it is tried again.',
      success: [{ status: 200, description: 'What waits is delivered.', schema: resumedSchema }],
      errors: ['not_found', 'unknown_component', 'store_unavailable'],
    },
  },
  {
    method: 'post',
    path: `${PATH}/replay`,
    scope: 'admin',
    doc: {
      operationId: 'replayDeliveries',
      summary: { en: 'Deliver dead letters after all', zh: '重放死信' },
      description: 'With the same id and the same bytes, from the first attempt.',
      body: chosenSchema,
      success: [{ status: 200, description: 'How many are delivered again.', schema: movedSchema }],
      errors: ['bad_request', 'not_found', 'unknown_component', 'store_unavailable'],
    },
  },
  {
    method: 'post',
    path: `${PATH}/discard`,
    scope: 'admin',
    doc: {
      operationId: 'discardDeliveries',
      summary: { en: 'Throw dead letters away', zh: '丢弃死信' },
      body: chosenSchema,
      success: [{ status: 200, description: 'How many are gone.', schema: movedSchema }],
      errors: ['bad_request', 'not_found', 'unknown_component', 'store_unavailable'],
    },
  },
] as const satisfies readonly Route[];
