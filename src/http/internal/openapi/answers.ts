import * as z from 'zod';
import {
  failureSchema,
  freshnessSchema,
  progressSchema,
  time,
  timeOrNull,
} from '../../../status/schema.ts';
import { AUTHORIZER_STATES } from '../../../store/authorizers/profile.ts';

/** What the internal API answers, for its document. A test compares them with real answers. */

const appid = z.string().meta({ example: 'wx0123456789abcdef' });
const seq = z.int().describe('Rises by one with each new value.');

const credentialShape = {
  kind: z.string(),
  subject: z.string().describe('The appid; COMPONENT:AUTHORIZER for an authorizer.'),
  value: z.string().describe('What to send to WeChat. Secret.'),
  expires_at: time,
  expires_in: z.int().min(0).describe('Whole seconds from now.'),
  seq,
  state: freshnessSchema,
  source: z.enum(['redis', 'memory']).describe('memory while Redis is away.'),
};
export const credentialSchema = z.object(credentialShape);

export const rejectionSchema = z.object({
  outcome: z
    .enum(['refreshed', 'already_newer', 'throttled'])
    .describe('throttled: `value` is the reported one; Retry-After says when to report again.'),
  ...credentialShape,
  value: z.string().optional().describe('Only for a key that may read it. Secret.'),
});

export const authorizerSchema = z.object({
  appid,
  state: z.enum(AUTHORIZER_STATES),
  type: z.string().nullable().describe('official_account or mini_program.'),
  nick_name: z.string(),
  user_name: z.string(),
  alias: z.string(),
  principal_name: z.string(),
  service_type: z.int().nullable(),
  verify_type: z.int().nullable(),
  account_status: z.int().nullable(),
  permission_sets: z.array(z.int()),
  authorized_at: timeOrNull,
  revoked_at: timeOrNull,
  profile_at: timeOrNull.describe('When WeChat was last asked about it.'),
  token: z
    .object({
      state: freshnessSchema,
      expires_at: timeOrNull,
      seq,
      failures_in_a_row: z.int(),
      last_error: failureSchema.nullable(),
    })
    .nullable()
    .describe('Never the token itself. null: none was obtained yet.'),
});

export const authorizerListSchema = z.object({
  authorizers: z.array(authorizerSchema),
  next: appid.nullable().describe('`after` of the next page; null at the end.'),
  total: z.int().describe('In the registry, whatever the filter.'),
});

export const reconcileSchema = z.object({ reconcile: progressSchema });

export const linkAnswerSchema = z.object({
  id: z.string().describe('Note it with the merchant: under it is found what the link brought.'),
  url: z.string().describe('To send to the merchant. Whoever has it can start the authorization.'),
  expires_at: time,
});

const authorizationShape = { authorizer_appid: appid, authorized_at: time };

export const linkOutcomeSchema = z.object({
  id: z.string(),
  component_appid: appid,
  state: z.string().nullable().describe('As it was given with the link.'),
  expires_at: time.describe('Of the link.'),
  ...authorizationShape,
  authorizations: z
    .array(z.object(authorizationShape))
    .describe('All accounts that came by it, the newest first.'),
});

export const askedSchema = z.object({ asked: z.literal(true) });
export const liveSchema = z.object({ status: z.literal('ok') });
export const readySchema = z.object({ status: z.literal('ready') });
export const notReadySchema = z.object({
  status: z.literal('not_ready'),
  reason: z.enum(['stopping', 'store_unavailable', 'store_forbids', 'store_refuses']),
});

export const documentSchema = z.looseObject({ openapi: z.string() });

export const errorSchema = z.object({
  error: z.object({
    code: z.string().describe('For programs.'),
    message: z.string().describe('For people: what is wrong and what to do. May change.'),
    request_id: z.uuid().describe('Also in the log of wxkeeper.'),
  }),
});
