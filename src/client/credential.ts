/** Of WeChat's tokens, those that a call to WeChat carries in its query. */
export type TokenKind = 'component_access_token' | 'authorizer_access_token' | 'access_token';

/** A newer wxkeeper may know more of them. */
export type CredentialKind =
  TokenKind | 'pre_auth_code' | 'jsapi_ticket' | 'wx_card_ticket' | (string & {});

/**
 * Whose credential it is: the appid of a platform or of an account of one's own, or for an account that has
 * authorized a platform both appids, as an object or joined by a colon, the platform's first.
 */
export type Subject = string | { component: string; authorizer: string };

export interface Credential {
  kind: string;
  /** The appid, or both joined by a colon. */
  subject: string;
  /** What to send to WeChat. A secret. */
  value: string;
  /** Rises with each new value. */
  seq: number;
  /** Whole seconds that it will live, unless WeChat ends it sooner. */
  expiresInSeconds: number;
}

/** What a report of a dead value led to. */
export interface Rejection {
  /** `throttled`: not now, or WeChat says that the value is alive; give up this call. */
  outcome: 'refreshed' | 'already_newer' | 'throttled';
  /** What to go on with; undefined for a key that may report and not read. */
  credential: Credential | undefined;
  /** With `throttled`: after how long another report can help. */
  retryAfterSeconds: number | undefined;
}

/** Each is handed out once: kept by nobody, shared with nobody. */
const SINGLE_USE: ReadonlySet<string> = new Set(['pre_auth_code']);

export function isSingleUse(kind: string): boolean {
  return SINGLE_USE.has(kind);
}

/** @throws TypeError when it would be another path */
export function checkKind(kind: string): void {
  if (!/^\w+$/.test(kind)) throw new TypeError('a kind is a name such as access_token');
}

/** @throws TypeError */
export function subjectText(subject: Subject): string {
  const text = typeof subject === 'string' ? subject : `${subject.component}:${subject.authorizer}`;
  // What would be another path, or another credential than the one that was meant.
  if (!/^[\w-]+(?::[\w-]+)?$/.test(text)) {
    throw new TypeError('a subject is an appid, or two of them joined by a colon');
  }
  return text;
}
