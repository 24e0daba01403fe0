import type { ServerResponse } from 'node:http';
import type { ErrorCode, KeeperError } from '../../lib/errors.ts';

/**
 * Answers as WeChat's own servers give them. Always 200: many clients look at nothing but the errcode, and
 * some print the whole URL, with its secret, when the status is another one.
 */

/** What WeChat says with its errcode. Source: developers.weixin.qq.com, global return codes. */
const SENTENCES = {
  [-1]: 'system error',
  40001: 'invalid credential, access_token is invalid or not latest',
  40013: 'invalid appid',
  40097: 'invalid args',
  40125: 'invalid appsecret',
  47001: 'data format error',
  61003: 'component is not authorized by this account',
  61010: 'code is expired',
} as const;

export type FacadeErrcode = keyof typeof SENTENCES;

/**
 * None of these means "this token is dead" (40001, 40014, 42001): a client that hears that to its request
 * for a token asks again at once, some of them without end.
 */
const ERRCODES: Partial<Record<ErrorCode, FacadeErrcode>> = {
  unauthorized: 40125,
  forbidden: 40013,
  not_found: 40013,
  unknown_component: 40013,
  authorizer_revoked: 61003,
  bad_request: 40097,
};

/** What wxkeeper itself has no word for. */
export class FacadeError extends Error {
  override name = 'FacadeError';
  readonly errcode: FacadeErrcode;

  constructor(errcode: FacadeErrcode) {
    super(SENTENCES[errcode]);
    this.errcode = errcode;
  }
}

/** @param rid by which the line in the log is found, as WeChat's own answers have one */
export function errorAnswer(error: KeeperError | FacadeError, rid: string): object {
  const isOwn = error instanceof FacadeError;
  const errcode = isOwn ? error.errcode : (ERRCODES[error.code] ?? -1);
  const why = isOwn ? '' : `, wxkeeper: ${error.code}`;
  return { errcode, errmsg: `${SENTENCES[errcode]}${why} rid: ${rid}` };
}

/** Compact and without a newline at its end: one client takes it for broken otherwise. */
export function sendAnswer(response: ServerResponse, answer: object, status = 200): void {
  const json = JSON.stringify(answer);
  response.writeHead(status, {
    'Content-Type': 'application/json; encoding=utf-8',
    'Content-Length': Buffer.byteLength(json),
  });
  response.end(json);
}
