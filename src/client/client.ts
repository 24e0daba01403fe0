import {
  checkKind,
  subjectText,
  type Credential,
  type CredentialKind,
  type Rejection,
  type Subject,
} from './credential.ts';
import { createCredentials } from './credentials.ts';
import type { WxkeeperError } from './errors.ts';
import { createKeeperApi, type Fetch } from './keeper-api.ts';
import { createMemory } from './memory.ts';
import { callWechat, unlessAborted, type TokenOf } from './wechat-call.ts';

/**
 * Reads WeChat's credentials from wxkeeper: `wxkeeper/client` of the package. It imports nothing of the
 * service, and no package; it needs what Node.js 20 has. `docs/client.md` describes it.
 */

export type { Credential, CredentialKind, Rejection, Subject, TokenKind } from './credential.ts';
export { WxkeeperError, type ServerErrorCode, type WxkeeperErrorCode } from './errors.ts';
export type { TokenOf } from './wechat-call.ts';

export interface ClientOptions {
  /** Address of wxkeeper's internal listener, as `http://127.0.0.1:3001`. */
  url: string;
  /**
   * API key with the scope `credentials:read`, and `credentials:refresh` to report dead values; narrowed
   * to appids where that is enough.
   */
  key: string;
  /** For requests to wxkeeper and to WeChat; Node's own unless given. */
  fetch?: Fetch;
  /** Milliseconds since 1970; for tests. */
  now?: () => number;
  /** For a read; a report may take twice as long. 10,000 unless given: wxkeeper itself waits up to 9 s. */
  timeoutMs?: number;
  /** How many values are kept in memory at most, the unused ones going first. 10,000 unless given. */
  maxKept?: number;
  /**
   * Told what the caller does not see: wxkeeper was away and a value that still lives was used, or a dead
   * one could not be reported. For a log; must not throw.
   */
  onProblem?: (error: WxkeeperError) => void;
}

export interface WaitOptions {
  /** Ends the waiting of this caller, not of others who wait for the same. */
  signal?: AbortSignal;
}

export interface Client {
  /**
   * The value to use now. Ask again for each use: most calls are answered from memory, for a minute at
   * most, and one request serves all who ask at once. A `pre_auth_code` is another one each time.
   * @throws WxkeeperError; while wxkeeper is away only when there is no live value in memory
   * @throws TypeError for a kind or subject that cannot be one
   */
  get(kind: CredentialKind, subject: Subject, options?: WaitOptions): Promise<Credential>;
  /**
   * Says that WeChat refused the value with this `seq`, and answers with the one to go on with. Any number
   * of reports of one value are one request, or none when there is a newer one already.
   * @param errcode 40001, 40014 or 42001 for a token; for a ticket any
   * @throws WxkeeperError
   */
  reject(
    kind: CredentialKind,
    subject: Subject,
    seq: number,
    errcode: number,
    options?: WaitOptions,
  ): Promise<Rejection>;
  /**
   * Calls WeChat with the token in the query. When a small JSON answer says that the token is dead, this is
   * reported, and the call is made once more with the next token if its body is no stream. The answer of
   * WeChat is handed over as it is, errcodes included.
   * @throws WxkeeperError when there is no token; what `fetch` throws when WeChat cannot be reached
   */
  fetch(url: string | URL, init: RequestInit | undefined, of: TokenOf): Promise<Response>;
}

const TIMEOUT_MS = 10_000;
const MAX_KEPT = 10_000;

/** @throws TypeError when the address or the key can be none */
export function createClient(options: ClientOptions): Client {
  // Looked up at each call, as what replaces it may come later.
  const send: Fetch = options.fetch ?? ((...request) => globalThis.fetch(...request));
  const { now = Date.now, onProblem = () => undefined } = options;
  const credentials = createCredentials({
    api: createKeeperApi(options.url, options.key, send),
    memory: createMemory({ now, maxKept: options.maxKept ?? MAX_KEPT }),
    timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
    onProblem,
  });
  return {
    async get(kind, subject, { signal } = {}) {
      return await unlessAborted(credentials.get(wanted(kind, subject)), signal);
    },
    async reject(kind, subject, seq, errcode, { signal } = {}) {
      const report = credentials.reject(wanted(kind, subject), seq, errcode);
      return await unlessAborted(report, signal);
    },
    async fetch(url, init, { kind, subject, parameter }) {
      const of = { ...wanted(kind, subject), parameter };
      return await callWechat({ credentials, send, onProblem }, new URL(url), init ?? {}, of);
    },
  };
}

/** @throws TypeError */
function wanted(kind: string, subject: Subject) {
  checkKind(kind);
  return { kind, subject: subjectText(subject) };
}
