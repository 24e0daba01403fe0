import type { Subject, TokenKind } from './credential.ts';
import type { Credentials } from './credentials.ts';
import { WxkeeperError } from './errors.ts';
import type { Fetch, Wanted } from './keeper-api.ts';

/** A call to WeChat with a token from wxkeeper, and once more when WeChat calls that token dead. */

export interface TokenOf {
  kind: TokenKind;
  subject: Subject;
  /**
   * Name of the token in the query. Unless given, `component_access_token` for a token of that kind on a
   * path of WeChat's third-party calls (`/cgi-bin/component/…`, `/sns/…/component/…`), else `access_token`.
   */
  parameter?: string;
}

interface Asked extends Wanted {
  parameter: string | undefined;
}

/** Invalid or not the latest, not a token, expired: WeChat's documentation of global return codes. */
const DEAD: readonly unknown[] = [40001, 40014, 42001];
/** Bytes. What says that a token is dead is a line; files and lists are longer. */
const MAX_COMPLAINT = 4_096;
const OF_PLATFORMS = /^\/(?:cgi-bin|sns)\/(?:[\w-]+\/)*component\//;

export interface Calling {
  credentials: Credentials;
  send: Fetch;
  onProblem: (error: WxkeeperError) => void;
}

export async function callWechat(
  { credentials, send, onProblem }: Calling,
  url: URL,
  init: RequestInit,
  of: Asked,
): Promise<Response> {
  const signal = init.signal ?? undefined;
  const token = await unlessAborted(credentials.get(of), signal);
  const response = await send(withToken(url, of, token.value), init);
  const errcode = await deadCodeIn(response);
  if (errcode === undefined) return response;
  const value = await unlessAborted(credentials.reject(of, token.seq, errcode), signal).then(
    ({ credential }) => credential?.value,
    (error: unknown) => {
      if (!(error instanceof WxkeeperError)) throw error;
      // The caller has an answer of WeChat's, and it says what is wrong.
      onProblem(error);
      return undefined;
    },
  );
  if (value === undefined || value === token.value || !isRepeatable(init.body)) return response;
  response.body?.cancel().catch(() => undefined);
  return await send(withToken(url, of, value), init);
}

/** A copy: the one that was given may serve for the second call. */
function withToken(url: URL, { kind, parameter }: Asked, value: string): URL {
  const ofPlatform = kind === 'component_access_token' && OF_PLATFORMS.test(url.pathname);
  const made = new URL(url);
  made.searchParams.set(
    parameter ?? (ofPlatform ? 'component_access_token' : 'access_token'),
    value,
  );
  return made;
}

/** A stream is gone once it has been sent. */
function isRepeatable(body: RequestInit['body']): boolean {
  if (body === undefined || body === null || typeof body === 'string') return true;
  const kinds = [URLSearchParams, ArrayBuffer, Blob, FormData];
  return ArrayBuffer.isView(body) || kinds.some((kind) => body instanceof kind);
}

/** The errcode by which WeChat calls the token dead. The response can still be read by the caller. */
async function deadCodeIn(response: Response): Promise<number | undefined> {
  const type = response.headers.get('content-type') ?? '';
  const length = Number(response.headers.get('content-length') ?? 0);
  const mayBeOne = type === '' || /json|text\/plain/i.test(type);
  if (!response.ok || !mayBeOne || length > MAX_COMPLAINT || response.body === null) {
    return undefined;
  }
  const text = await shortTextOf(response.clone());
  if (text?.trimStart().startsWith('{') !== true) return undefined;
  try {
    const { errcode } = JSON.parse(text) as { errcode?: unknown };
    return DEAD.includes(errcode) ? (errcode as number) : undefined;
  } catch {
    return undefined;
  }
}

/** Undefined when it is longer than a complaint; no more than that is read ahead of the caller. */
async function shortTextOf({ body }: Response): Promise<string | undefined> {
  if (body === null) return undefined;
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = (await reader.read()) as { done: boolean; value?: Uint8Array };
    if (done || value === undefined) break;
    chunks.push(value);
    length += value.length;
    if (length <= MAX_COMPLAINT) continue;
    // Not awaited: it is over when the caller has read its half.
    reader.cancel().catch(() => undefined);
    return undefined;
  }
  return await new Blob(chunks).text();
}

/** What is waited for is shared with others, and goes on without this caller. */
export async function unlessAborted<T>(
  awaited: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (signal === undefined) return await awaited;
  return await new Promise<T>((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    awaited.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
