import { WxkeeperError } from './errors.ts';
import type { Credential, Rejection } from './credential.ts';

/** The two requests to wxkeeper; `docs/reading-credentials.md` describes both. */
export interface KeeperApi {
  /**
   * @param knownSeq of the value at hand: `unchanged` when it is still that one
   * @param timeoutMs until the answer has arrived whole
   * @throws WxkeeperError
   */
  read(of: Wanted, knownSeq: number | undefined, timeoutMs: number): Promise<Read>;
  /** @throws WxkeeperError */
  report(of: Wanted, complaint: Complaint, timeoutMs: number): Promise<Rejection>;
}

export interface Wanted {
  kind: string;
  subject: string;
}

export interface Complaint {
  seq: number;
  errcode: number;
}

export type Read = Credential | 'unchanged';

export type Fetch = typeof globalThis.fetch;

interface Answer {
  status: number;
  retryAfterSeconds: number | undefined;
  body: unknown;
}

const OUTCOMES: readonly string[] = ['refreshed', 'already_newer', 'throttled'];
/** How Node's fetch calls a connection that ended while it was used. */
const DROPPED: readonly string[] = ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'];
/** Characters; a longer answer is nothing of wxkeeper's. */
const MAX_ANSWER = 65_536;

/** @throws TypeError when the address or the key can be none; never with the key in it */
export function createKeeperApi(url: string, key: string, send: Fetch): KeeperApi {
  const base = baseOf(url);
  // Of a key from a file, the line end comes along.
  const trimmed = key.trim();
  if (!/^[\x21-\x7E]+$/.test(trimmed)) throw new TypeError('key must be an API key of wxkeeper');
  const headers = { authorization: `Bearer ${trimmed}` };

  async function ask(path: string, init: RequestInit, timeoutMs: number): Promise<Answer> {
    const answer = await exchange(send, `${base}${path}`, init, timeoutMs);
    if (answer.status === 200 || answer.status === 304) return answer;
    throw refusalOf(answer);
  }
  return {
    async read(of, knownSeq, timeoutMs) {
      const known = knownSeq === undefined ? {} : { 'if-none-match': `"${knownSeq}"` };
      const init = { headers: { ...headers, ...known } };
      const { status, body } = await ask(pathOf(of), init, timeoutMs);
      if (status === 304 && knownSeq !== undefined) return 'unchanged';
      return credentialIn(body, of);
    },
    async report(of, complaint, timeoutMs) {
      const init = {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify(complaint),
      };
      const answer = await ask(`${pathOf(of)}/rejected`, init, timeoutMs);
      return rejectionIn(answer, of);
    },
  };
}

/** @throws TypeError */
function baseOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const { protocol = '', username = '', password = '' } = parsed ?? {};
  const isUsable = /^https?:$/.test(protocol) && username === '' && password === '';
  if (parsed === undefined || !isUsable) {
    throw new TypeError("url must be the http or https address of wxkeeper's internal listener");
  }
  return `${parsed.origin}${parsed.pathname.replace(/\/+$/, '')}`;
}

function pathOf({ kind, subject }: Wanted): string {
  const appids = subject.split(':').map(encodeURIComponent).join('/');
  return `/v1/credentials/${encodeURIComponent(kind)}/${appids}`;
}

/** @throws WxkeeperError */
async function exchange(
  send: Fetch,
  url: string,
  init: RequestInit,
  timeoutMs: number,
): Promise<Answer> {
  // Whoever answers with a redirect is not wxkeeper, and must not be handed the key elsewhere.
  const request = { ...init, redirect: 'error', signal: AbortSignal.timeout(timeoutMs) } as const;
  try {
    return await answerTo(send, url, request);
  } catch (error) {
    const why = (error as Error).name === 'TimeoutError' ? `within ${timeoutMs} ms` : 'at all';
    throw new WxkeeperError('unreachable', `wxkeeper did not answer ${why}`, { cause: error });
  }
}

async function answerTo(send: Fetch, url: string, request: RequestInit): Promise<Answer> {
  const response = await send(url, request).catch((error: unknown) => {
    // A connection that was kept, of a replica that has been restarted. Both requests do no harm twice: of
    // a pre_auth_code another one is handed out.
    if (wasDropped(error)) return send(url, request);
    throw error;
  });
  return {
    status: response.status,
    retryAfterSeconds: secondsIn(response.headers.get('retry-after')),
    body: parsed(await response.text()),
  };
}

function wasDropped(error: unknown): boolean {
  const { code } = fieldsOf(fieldsOf(error)['cause']);
  return typeof code === 'string' && DROPPED.includes(code);
}

function parsed(text: string): unknown {
  if (text.length > MAX_ANSWER) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refusalOf({ status, retryAfterSeconds, body }: Answer): WxkeeperError {
  const { error } = fieldsOf(body);
  const { code, message, request_id: requestId } = fieldsOf(error);
  if (typeof code !== 'string' || typeof message !== 'string') {
    return oddAnswer(`status ${status} without an error of wxkeeper's`, status, retryAfterSeconds);
  }
  return new WxkeeperError(code, `wxkeeper: ${message}`, {
    status,
    retryAfterSeconds,
    requestId: typeof requestId === 'string' ? requestId : undefined,
  });
}

/** @throws WxkeeperError */
function credentialIn(body: unknown, { kind, subject }: Wanted): Credential {
  const { value, seq, expires_in: seconds, subject: whose } = fieldsOf(body);
  const isWhole =
    typeof value === 'string' && value !== '' && Number.isInteger(seq) && isSeconds(seconds);
  // Somebody else's token would be used for calls in this one's name.
  if (!isWhole || whose !== subject) throw oddAnswer('it holds no such credential', 200);
  return { kind, subject, value, seq: seq as number, expiresInSeconds: seconds as number };
}

/** @throws WxkeeperError */
function rejectionIn({ body, retryAfterSeconds }: Answer, of: Wanted): Rejection {
  const { outcome, value } = fieldsOf(body);
  if (typeof outcome !== 'string' || !OUTCOMES.includes(outcome)) {
    throw oddAnswer('it does not say what came of the report', 200);
  }
  return {
    outcome: outcome as Rejection['outcome'],
    credential: value === undefined ? undefined : credentialIn(body, of),
    retryAfterSeconds: outcome === 'throttled' ? retryAfterSeconds : undefined,
  };
}

function oddAnswer(what: string, status: number, retryAfterSeconds?: number): WxkeeperError {
  const message = `this is no answer of wxkeeper: ${what}`;
  return new WxkeeperError('odd_answer', message, { status, retryAfterSeconds });
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function isSeconds(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

/** wxkeeper sends whole seconds; a proxy may send a date, which says nothing that is needed here. */
function secondsIn(header: string | null): number | undefined {
  return header !== null && /^\d{1,6}$/.test(header.trim()) ? Number(header) : undefined;
}
