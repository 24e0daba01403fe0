import * as z from 'zod';
import type { ErrorCode } from '../../../lib/errors.ts';
import type { Route } from '../route.ts';
import { credentialSchema, rejectionSchema } from '../openapi/answers.ts';

/** Reading a credential, complaining about one, and asking for another one. */

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

const OF_ONE = '/v1/credentials/:kind/:component';
const OF_AUTHORIZER = `${OF_ONE}/:authorizer` as const;

const readRoute = <W extends Whose>(path: string, whose: W) =>
  ({
    method: 'get',
    path,
    scope: 'credentials:read',
    doc: {
      operationId: `readCredential${whose}`,
      summary: of(whose, 'Read a credential', '读取凭据'),
      description:
        'Answers at once with what is live; otherwise waits for a refresh, 9 s at most. Each GET of a ' +
        'pre_auth_code hands out another one. HEAD answers the ETag alone and uses nothing up.',
      headers: {
        'If-None-Match': 'The ETag of the value that is at hand. Not for a pre_auth_code.',
      },
      success: [
        { status: 200, description: 'The value.', schema: credentialSchema, headers: ETAG },
        { status: 304, description: 'Still the value of If-None-Match.', headers: ETAG },
      ],
      errors: errorsOf(whose),
    },
  }) as const satisfies Route;

const REPORTED = {
  status: 200,
  description: 'What came of it, and the value to go on with.',
  schema: rejectionSchema,
  headers: { ...ETAG, ...WAIT },
};

const reportRoute = <W extends Whose>(path: string, whose: W) =>
  ({
    method: 'post',
    path: `${path}/rejected`,
    scope: 'credentials:refresh',
    doc: {
      operationId: `rejectCredential${whose}`,
      summary: of(whose, 'Report that WeChat refused a value', '上报微信拒绝的凭据'),
      description:
        'Any number of reports of one seq leads to one mint. Waits for it, 9 s at most, and as long again ' +
        'when nothing live is left. Go on with the value of the answer, which is there only for a key that ' +
        'may read it, too. A seq that was never given out is refused.',
      body: complaintSchema,
      success: [REPORTED],
      errors: ['bad_request', 'too_many_requests', ...errorsOf(whose)],
    },
  }) as const satisfies Route;

const refreshRoute = <W extends Whose>(path: string, whose: W) =>
  ({
    method: 'post',
    path: `${path}/refresh`,
    scope: 'admin',
    doc: {
      operationId: `refreshCredential${whose}`,
      summary: of(whose, 'Replace a value that nobody refused', '强制刷新凭据'),
      description: 'After a leak, for example. The outcomes and limits are those of a report.',
      success: [REPORTED],
      errors: ['too_many_requests', ...(whose === '' ? [SINGLE_USE] : []), ...errorsOf(whose)],
    },
  }) as const satisfies Route;

/** Those that are also served before Express. */
export const READ_OF_ONE = readRoute(OF_ONE, '');
export const READ_OF_AUTHORIZER = readRoute(OF_AUTHORIZER, 'OfAuthorizer');

/** Before the reads: `rejected` must not be taken for the appid of an authorizer. */
export const CREDENTIAL_ROUTES = [
  reportRoute(OF_ONE, ''),
  reportRoute(OF_AUTHORIZER, 'OfAuthorizer'),
  refreshRoute(OF_ONE, ''),
  refreshRoute(OF_AUTHORIZER, 'OfAuthorizer'),
  READ_OF_ONE,
  READ_OF_AUTHORIZER,
] as const satisfies readonly Route[];
