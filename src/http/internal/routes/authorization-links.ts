import * as z from 'zod';
import { AUTH_TYPES, DEFAULT_AUTH_TYPE } from '../../../authorizers/link.ts';
import { secretFormats } from '../../../config/formats.ts';
import { linkAnswerSchema, linkOutcomeSchema } from '../openapi/answers.ts';
import type { Route } from '../route.ts';

/** The links that merchants are sent, and what has come of them. */

const PATH = '/v1/components/:component/authorization-links';
const MIN_LIFE_SECONDS = 60;
const MAX_LIFE_SECONDS = 7 * 24 * 3600;
const DEFAULT_LIFE_SECONDS = 24 * 3600;

export const linkSchema = z.strictObject({
  auth_type: z
    .literal([...AUTH_TYPES], `must be one of ${AUTH_TYPES.join(', ')}`)
    .default(DEFAULT_AUTH_TYPE),
  biz_appid: secretFormats.appid.optional(),
  category_id_list: z
    .array(z.int('must be numbers').positive('must be positive'), 'must be a list of numbers')
    .max(100, 'must have at most 100 entries')
    .default([]),
  return_url: z.string('must be a URL').optional(),
  state: z
    .string('must be text')
    .regex(/^[\x20-\x7E]{0,512}$/, 'must be at most 512 printable ASCII characters')
    .optional(),
  expires_in: z
    .int('must be whole seconds')
    .min(MIN_LIFE_SECONDS, `must be at least ${MIN_LIFE_SECONDS}`)
    .max(MAX_LIFE_SECONDS, `must be at most ${MAX_LIFE_SECONDS}`)
    .default(DEFAULT_LIFE_SECONDS),
  lang: z.enum(['zh', 'en'], 'must be zh or en').optional(),
});

export const AUTHORIZATION_LINK_ROUTES = [
  {
    method: 'post',
    path: PATH,
    scope: 'credentials:read',
    handsOut: true,
    doc: {
      operationId: 'createAuthorizationLink',
      summary: { en: 'Make a link to send to a merchant', zh: '生成发给商家的授权链接' },
      description: 'Nothing is stored: the link itself holds all that was said, signed.',
      body: linkSchema,
      bodyIsOptional: true,
      success: [{ status: 201, description: 'The link.', schema: linkAnswerSchema }],
      errors: ['bad_request', 'unknown_component', 'not_configured'],
    },
  },
  {
    method: 'get',
    path: `${PATH}/:link`,
    scope: 'credentials:read',
    doc: {
      operationId: 'readAuthorizationLink',
      summary: { en: 'Show which account a link brought', zh: '查看授权链接带来的账号' },
      description:
        'What an application believes when a merchant comes back, whatever the address says. Known ' +
        'until 30 days after the link has expired.',
      success: [{ status: 200, description: 'What it brought.', schema: linkOutcomeSchema }],
      errors: ['not_found', 'unknown_component', 'store_unavailable'],
    },
  },
] as const satisfies readonly Route[];
