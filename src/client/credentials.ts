import { isSingleUse, type Credential, type Rejection } from './credential.ts';
import { isPassing, WxkeeperError } from './errors.ts';
import type { KeeperApi, Wanted } from './keeper-api.ts';
import { PAUSE_SECONDS, type Entry, type Memory } from './memory.ts';

/** From memory or from wxkeeper, with one request for all who want the same. */
export interface Credentials {
  /** @throws WxkeeperError */
  get(of: Wanted): Promise<Credential>;
  /** @throws WxkeeperError */
  reject(of: Wanted, seq: number, errcode: number): Promise<Rejection>;
}

export interface CredentialsOptions {
  api: KeeperApi;
  memory: Memory;
  /** For a read; a report may take twice as long. */
  timeoutMs: number;
  onProblem: (error: WxkeeperError) => void;
}

/** wxkeeper answers at once what it has: whoever has a live value does not wait longer than this. */
const CHECK_TIMEOUT_MS = 2_000;
/** Where wxkeeper does not say when another report can help. */
const QUIET_SECONDS = 60;

export function createCredentials(options: CredentialsOptions): Credentials {
  const { api, memory, timeoutMs } = options;
  const reads = createShared<Credential>();
  const reports = createShared<Rejection>();
  return {
    async get(of) {
      // Without a seq the answer is never that nothing has changed.
      if (isSingleUse(of.kind)) return (await api.read(of, undefined, timeoutMs)) as Credential;
      const entry = memory.recent(of);
      if (entry !== undefined) return memory.view(entry);
      return await reads(`${of.kind}/${of.subject}`, () => read(options, of));
    },
    async reject(of, seq, errcode) {
      const known = memory.outcome(of, seq);
      if (known !== undefined) return known;
      const key = `${of.kind}/${of.subject}/${seq}`;
      return await reports(key, () => report(options, of, { seq, errcode }));
    },
  };
}

/** One under way for each key, whoever asks. */
function createShared<T>(): (key: string, start: () => Promise<T>) => Promise<T> {
  const running = new Map<string, Promise<T>>();
  return (key, start) => {
    const shared = running.get(key) ?? start().finally(() => running.delete(key));
    running.set(key, shared);
    return shared;
  };
}

async function read(options: CredentialsOptions, of: Wanted): Promise<Credential> {
  const { api, memory, timeoutMs } = options;
  const question = memory.ask();
  const asked = memory.live(of);
  const waitMs = asked === undefined ? timeoutMs : Math.min(timeoutMs, CHECK_TIMEOUT_MS);
  try {
    const answer = await api.read(of, asked?.credential.seq, waitMs);
    if (answer !== 'unchanged') return memory.view(memory.keep(of, answer, question));
    if (asked !== undefined) memory.confirm(asked, question);
    // Meanwhile a report may have brought a newer one.
    return memory.view(memory.live(of) ?? (asked as Entry));
  } catch (error) {
    return memory.view(atHandAfter(error, of, options));
  }
}

/** While wxkeeper is away a live value serves, and is not asked about each time. @throws the error */
function atHandAfter(error: unknown, of: Wanted, options: CredentialsOptions): Entry {
  const { memory, onProblem } = options;
  if (!(error instanceof WxkeeperError)) throw error;
  if (!isPassing(error)) {
    memory.forget(of);
    throw error;
  }
  const entry = memory.live(of);
  if (entry === undefined) throw error;
  memory.pause(entry, error.retryAfterSeconds);
  onProblem(error);
  return entry;
}

async function report(
  { api, memory, timeoutMs }: CredentialsOptions,
  of: Wanted,
  complaint: { seq: number; errcode: number },
): Promise<Rejection> {
  const { seq } = complaint;
  const question = memory.ask();
  try {
    const answer = await api.report(of, complaint, 2 * timeoutMs);
    const { outcome, credential, retryAfterSeconds = QUIET_SECONDS } = answer;
    if (credential === undefined) {
      if (outcome !== 'throttled') memory.forget(of);
      return answer;
    }
    const entry = memory.keep(of, credential, question);
    if (outcome === 'throttled') memory.hush(of, seq, retryAfterSeconds);
    return { ...answer, credential: memory.view(entry) };
  } catch (error) {
    // Calls with the dead value go on failing, and none of them shall wait for this again.
    if (error instanceof WxkeeperError && isPassing(error)) {
      memory.hush(of, seq, Math.max(PAUSE_SECONDS, error.retryAfterSeconds ?? 0));
    }
    throw error;
  }
}
