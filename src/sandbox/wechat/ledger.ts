import type { UserView } from './user-view.ts';

/** Everything that happened, oldest first, for assertions and for curious people. */
export interface Ledger {
  readonly mints: MintRecord[];
  readonly calls: CallRecord[];
  readonly pushes: PushRecord[];
  /** What was sent to users through message/custom/send. */
  readonly messages: MessageRecord[];
}

export type MintKind =
  | 'component_verify_ticket'
  | 'component_access_token'
  | 'pre_auth_code'
  | 'access_token'
  | 'jsapi_ticket'
  | 'wx_card_ticket'
  | 'authorizer_access_token'
  | 'authorization_code';

/** Times are epoch milliseconds of the simulator's clock, in all records. */
export interface MintRecord {
  at: number;
  appid: string;
  kind: MintKind;
  value: string;
  expiresAt: number;
  /** The ticket that a component_access_token was bought with. */
  ticket?: string;
  /** Of an authorizer's token or code: the component it was issued to. */
  component?: string;
  /** Of an account's access_token: which of the two calls issued it. */
  api?: 'token' | 'stable_token';
  /** Issued to somebody else who knows our secret. */
  foreign?: true;
}

export interface CallRecord {
  /** When the whole request had arrived. */
  at: number;
  /** As the caller wrote it; empty when there was none. */
  appid: string;
  /** Last part of the path, e.g. `api_component_token`. */
  api: string;
  /** Index into `urls`. */
  host: number;
  /** 0 is success. `null` while undecided, and for good when a fault replaced the work. */
  errcode: number | null;
  /** Type of the fault rule that hit this call. */
  fault?: string;
}

export interface PushRecord {
  at: number;
  appid: string;
  /** Of a user's message its MsgType and Event; `raw` for a document that says neither. */
  infoType: string;
  /** Unix seconds, as inside the encrypted message. */
  createTime: number;
  /** With the query string, so that a test can send the same push again. */
  url: string;
  /** The exact bytes sent. */
  body: string;
  /** HTTP status; `null` without an answer. */
  status: number | null;
  /** First 200 characters of the answer; all of it, within reason, to a user's message. */
  answer: string;
  /** Why there is no answer. */
  error?: string;
  /**
   * What WeChat counts as good: status 200 and the body exactly `success`; to a user's message also nothing
   * or a reply.
   */
  accepted: boolean;
  /** Of a user's message that was sent: what comes of it for the user. */
  user?: UserView;
  durationMs: number;
  /** 1 for the first sending of these bytes. */
  attempt: number;
}

export interface MessageRecord {
  at: number;
  /** The account that it was sent from. */
  appid: string;
  /** The openid of the user. */
  touser: string;
  content: string;
}

export function createLedger(): Ledger {
  return { mints: [], calls: [], pushes: [], messages: [] };
}

/** Long lists forget a share of their limit at once: each forgetting moves all that stays. */
const LONG = 10_000;

/** Appends, and forgets the oldest entries beyond `limit`, or beyond 1.1 times a long one. */
export function note<T>(list: T[], entry: T, limit: number): void {
  list.push(entry);
  const slack = limit < LONG ? 0 : Math.floor(limit / 10);
  if (list.length > limit + slack) list.splice(0, list.length - limit);
}

export function clearLedger(ledger: Ledger): void {
  ledger.mints.length = 0;
  ledger.calls.length = 0;
  ledger.pushes.length = 0;
  ledger.messages.length = 0;
}

export function latestMint(ledger: Ledger, kind: MintKind, appid: string): MintRecord | undefined {
  return ledger.mints.findLast((mint) => mint.kind === kind && mint.appid === appid);
}
