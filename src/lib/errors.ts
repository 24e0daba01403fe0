/**
 * Every error that may reach a caller. `status` is the HTTP status, `retryable` says whether the
 * same request can succeed later without anybody changing anything.
 */
export const ERROR_TABLE = {
  // Pushes. The texts never say why a decryption failed: that would make us an oracle.
  malformed_push: { status: 400, retryable: false },
  unreadable_push: { status: 400, retryable: false },
  bad_signature: { status: 401, retryable: false },
  stale_push: { status: 401, retryable: false },
  unknown_component: { status: 404, retryable: false },
  push_not_stored: { status: 503, retryable: true },
  // Requests in general.
  bad_request: { status: 400, retryable: false },
  unauthorized: { status: 401, retryable: false },
  forbidden: { status: 403, retryable: false },
  not_found: { status: 404, retryable: false },
  authorizer_revoked: { status: 410, retryable: false },
  method_not_allowed: { status: 405, retryable: false },
  too_large: { status: 413, retryable: false },
  unsupported_media: { status: 415, retryable: false },
  too_many_requests: { status: 429, retryable: true },
  link_invalid: { status: 403, retryable: false },
  link_expired: { status: 410, retryable: false },
  not_configured: { status: 503, retryable: false },
  internal: { status: 500, retryable: false },
  // Credentials that cannot be handed out right now.
  no_ticket: { status: 503, retryable: true },
  ticket_expired: { status: 503, retryable: true },
  store_unavailable: { status: 503, retryable: true },
  wechat_unavailable: { status: 503, retryable: true },
  wechat_refused: { status: 503, retryable: true },
  quota_exhausted: { status: 503, retryable: true },
  sealed_unreadable: { status: 503, retryable: true },
  stopping: { status: 503, retryable: true },
} as const satisfies Record<string, { status: number; retryable: boolean }>;

export type ErrorCode = keyof typeof ERROR_TABLE;

/**
 * Why a push was refused, as an operator must know it; `code` is what the sender is told. `signed` was
 * sent by whoever knows our token, the others by anybody. `apart` is no noise, so what is accepted at the
 * same URL says nothing about it: one account among others, or the test copy of the platform, has all of
 * its pushes refused.
 */
export const REFUSAL_REASONS = {
  /** A push about accounts at the event URL, or one about the platform at the message URL. */
  urls_exchanged: { signed: true, apart: true },
  /** Signed with our token, and not encrypted with our EncodingAESKey. */
  aes_key: { signed: true, apart: true },
  /** It decrypts, and names another component at its end; or it opens as another of ours only. */
  foreign_component: { signed: true, apart: true },
  /** Its signed time is too far from our clock. */
  clock: { signed: true, apart: true },
  /** Decrypted with our key, and its lengths or its padding are none that WeChat makes. */
  unreadable: { signed: true, apart: true },
  /** Captured, and sent again with timestamp and nonce divided otherwise than when it was signed. */
  sent_again: { signed: false, apart: true },
  /** Nothing of it is encrypted: the console is not set to safe mode. */
  clear_mode: { signed: false, apart: true },
  bad_signature: { signed: false, apart: false },
  /** The URL holds a literal `$APPID$`. */
  appid_placeholder: { signed: false, apart: false },
  unknown_component: { signed: false, apart: false },
  /** Below `/callback`, and no address of ours. */
  path: { signed: false, apart: false },
  /** Compressed, in another charset, too large, cut off, or its query or body is none of a push. */
  form: { signed: false, apart: false },
} as const satisfies Record<string, { signed: boolean; apart: boolean }>;

export type RefusalReason = keyof typeof REFUSAL_REASONS;

interface KeeperErrorOptions {
  cause?: unknown;
  /** For the log only: never leaves the process. Must not hold a secret either. */
  detail?: string;
  /** Seconds after which asking again makes sense; becomes `Retry-After`. */
  retryAfterSeconds?: number;
  /** For pushes: why, told apart finer than by `code`. Never leaves the process with the answer. */
  reason?: RefusalReason;
}

/** The one error class. `message` is written for the outside: it says what to do, without secrets. */
export class KeeperError extends Error {
  readonly code: ErrorCode;
  readonly detail: string | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly reason: RefusalReason | undefined;

  constructor(code: ErrorCode, message: string, options: KeeperErrorOptions = {}) {
    // Anybody can make us refuse any number of pushes, and nobody ever sees where in our code.
    const { stackTraceLimit } = Error;
    if (options.reason !== undefined) Error.stackTraceLimit = 0;
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    Error.stackTraceLimit = stackTraceLimit;
    this.name = 'KeeperError';
    this.code = code;
    this.detail = options.detail;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.reason = options.reason;
  }

  get status(): number {
    return ERROR_TABLE[this.code].status;
  }

  get retryable(): boolean {
    return ERROR_TABLE[this.code].retryable;
  }
}

/** What a caller may know of any thrown value: anything unforeseen is "internal", without its text. */
export function asKeeperError(thrown: unknown): KeeperError {
  if (thrown instanceof KeeperError) return thrown;
  return new KeeperError('internal', 'Something went wrong on our side; the log has the details.', {
    cause: thrown,
  });
}
