import * as z from 'zod';
import type { ErrorCode } from '../../../lib/errors.ts';
import type { RouteDoc } from '../route.ts';
import { credentialSchema, rejectionSchema } from '../openapi/answers.ts';

/** What the document says about reading and refreshing a credential. */

export const complaintSchema = z.object({
  seq: z.number().int().nonnegative().describe('The seq of the value that WeChat refused.'),
  errcode: z.number().int().describe('What WeChat said: 40001, 40014 or 42001 for a token.'),
});

/** Whose credential it is, as in the name of the operation. */
type Whose = '' | 'OfAuthorizer';

const UNAVAILABLE: readonly ErrorCode[] = [
  'no_ticket',
  'ticket_expired',
  'store_unavailable',
  'stopping',
  'wechat_unavailable',
  'wechat_refused',
  'quota_exhausted',
];
/** Another code is simply read. */
const SINGLE_USE: ErrorCode = 'bad_request';
const ETAG = { ETag: 'The seq in quotes.' };

const WAIT = { 'Retry-After': 'With throttled: seconds until a report can help.' };

const of = (whose: Whose, en: string, zh: string) =>
  whose === 'OfAuthorizer'
    ? { en: `${en} of an account that authorized the component`, zh: `${zh}（已授权账号）` }
    : { en, zh };
/** Only what belongs to an authorizer has a refresh token, and can end. */
const errorsOf = (whose: Whose): readonly ErrorCode[] =>
  whose === 'OfAuthorizer'
    ? ['not_found', 'authorizer_revoked', ...UNAVAILABLE, 'sealed_unreadable']
    : ['not_found', ...UNAVAILABLE];

export function readDoc(whose: Whose): RouteDoc {
  return {
    operationId: `readCredential${whose}`,
    summary: of(whose, 'Read a credential', '读取凭据'),
    description:
      'Answers at once with what is live; otherwise waits for a refresh, 9 s at most. Each GET of a ' +
      'pre_auth_code hands out another one. HEAD answers the ETag alone and uses nothing up.',
    headers: { 'If-None-Match': 'The ETag of the value that is at hand. Not for a pre_auth_code.' },
    success: [
      { status: 200, description: 'The value.', schema: credentialSchema, headers: ETAG },
      { status: 304, description: 'Still the value of If-None-Match.', headers: ETAG },
    ],
    errors: errorsOf(whose),
  };
}

export function complaintDoc(whose: Whose): RouteDoc {
  return {
    operationId: `rejectCredential${whose}`,
    summary: of(whose, 'Report that WeChat refused a value', '上报微信拒绝的凭据'),
    description:
      'Any number of reports of one seq leads to one mint. Waits for it, 9 s at most, and as long again ' +
      'when nothing live is left. Go on with the value of the answer, which is there only for a key that ' +
      'may read it, too. A seq that was never given out is refused.',
    body: complaintSchema,
    success: [
      {
        status: 200,
        description: 'What came of it, and the value to go on with.',
        schema: rejectionSchema,
        headers: { ...ETAG, ...WAIT },
      },
    ],
    errors: ['bad_request', 'too_many_requests', ...errorsOf(whose)],
  };
}

export function forcedDoc(whose: Whose): RouteDoc {
  return {
    operationId: `refreshCredential${whose}`,
    summary: of(whose, 'Replace a value that nobody refused', '强制刷新凭据'),
    description: 'After a leak, for example. The outcomes and limits are those of a report.',
    success: complaintDoc(whose).success,
    errors: ['too_many_requests', ...(whose === '' ? [SINGLE_USE] : []), ...errorsOf(whose)],
  };
}
