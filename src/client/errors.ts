/** What wxkeeper says; it documents each in its OpenAPI document and in `docs/troubleshooting.md`. */
export type ServerErrorCode =
  | 'bad_request'
  | 'unauthorized'
  | 'forbidden'
  | 'not_found'
  | 'authorizer_revoked'
  | 'too_many_requests'
  | 'no_ticket'
  | 'ticket_expired'
  | 'store_unavailable'
  | 'wechat_unavailable'
  | 'wechat_refused'
  | 'quota_exhausted'
  | 'sealed_unreadable'
  | 'stopping'
  | 'internal';

/**
 * `unreachable`: no answer, or none in time. `odd_answer`: an answer that is none of wxkeeper's, as of a
 * proxy in front of it or of another service at this address. A newer wxkeeper may know more codes.
 */
export type WxkeeperErrorCode = ServerErrorCode | 'unreachable' | 'odd_answer' | (string & {});

/** Everything that goes wrong between this client and wxkeeper. Holds neither the key nor a credential. */
export class WxkeeperError extends Error {
  override readonly name = 'WxkeeperError';
  readonly code: WxkeeperErrorCode;
  /** Of HTTP; undefined when there was no answer. */
  readonly status: number | undefined;
  /** After which asking again makes sense, if wxkeeper said so. */
  readonly retryAfterSeconds: number | undefined;
  /** By which the request is found in wxkeeper's log. */
  readonly requestId: string | undefined;

  constructor(code: WxkeeperErrorCode, message: string, more: ErrorDetails = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    this.status = more.status;
    this.retryAfterSeconds = more.retryAfterSeconds;
    this.requestId = more.requestId;
  }
}

export interface ErrorDetails {
  cause?: unknown;
  status?: number;
  retryAfterSeconds?: number | undefined;
  requestId?: string | undefined;
}

/**
 * Whether the value at hand may be used meanwhile: wxkeeper is away, busy, or cannot say now. All else
 * (an unknown key, an account that has ended its authorization) is an answer.
 */
export function isPassing({ status, code }: WxkeeperError): boolean {
  return code === 'odd_answer' || status === undefined || status === 429 || status >= 500;
}
