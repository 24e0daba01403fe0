import type { Clock } from '../lib/clock.ts';
import {
  REFUSAL_REASONS,
  type ErrorCode,
  type KeeperError,
  type RefusalReason,
} from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import {
  addRefused,
  ROW_OVER_MS,
  type LastRefused,
  type RefusedBatch,
  type ServedUrl,
} from '../store/tickets/refused-pushes.ts';
import type { Store } from '../store/redis/store.ts';

/**
 * Refused pushes: counted for the status, and told in the log. Whoever floods us with them must be able
 * neither to fill the disk nor to keep Redis busy, and what WeChat sends in between must be seen all the
 * same: so they are summed up by what tells them apart, of which there are only so many.
 */
export interface RefusedPushCounter {
  /**
   * Notes a request that was refused. Never throws, and keeps nobody waiting.
   * @returns whether it was meant as a push; everything else is not looked at
   */
  note(request: RefusedRequest, error: KeeperError): boolean;
  /** @returns a moment, epoch ms; all that was noted before is earlier */
  nextMoment(): number;
  /** A push was accepted that had come at `at`, a moment from here. */
  accepted(component: string, url: ServedUrl, at: number): void;
  /** Writes what Redis does not have yet. Never rejects. */
  flush(): Promise<void>;
  /** Resolves when nothing is being written; what waits to be does not count. */
  idle(): Promise<void>;
  /** Tells and writes the rest. Never rejects. */
  stop(): Promise<void>;
}

export interface RefusedRequest {
  method: string;
  path: string;
  query: Readonly<Record<string, unknown>>;
  /** Of the peer. */
  address: string | undefined;
}

export interface RefusedPushOptions {
  store: Store;
  clock: Clock;
  log: Log;
  /** Appids. */
  components: readonly string[];
  /** Takes out what is secret. */
  mask: (text: string) => string;
}

/** Milliseconds between two writes. */
const WRITE_MS = 1_000;
/** Milliseconds until the next try when Redis took nothing. */
const RETRY_MS = 5_000;
/** Milliseconds between the lines about refusals of one kind. */
const TELL_MS = 60_000;
/** Milliseconds: `clock.now()` tells no two things of one millisecond apart. */
const INSTANT_MS = 0.001;
/** Milliseconds: nothing but a clock that was set back makes our moments so far ahead of it. */
const SET_BACK_MS = 1_000;

const MAX_PATH = 100;
const MAX_DETAIL = 40;
const CALLBACK = /\/callback(?=\/|$)/i;
const APPID = /wx[0-9a-f]{16}/gi;
const EVENT_PATH = /^\/callback\/wx[0-9a-f]{16}\/?$/i;
const MESSAGE_PATH = /^\/callback\/wx[0-9a-f]{16}\/wx[0-9a-z]{16}\/?$/i;
const PLACEHOLDER = /(?:\$|%24)appid(?:\$|%24)/i;
const SIGNED_SECONDS = /^\d{10}$/;

/** All others are about the form. */
const USUAL_REASONS: Readonly<Partial<Record<ErrorCode, RefusalReason>>> = {
  bad_signature: 'bad_signature',
  stale_push: 'clock',
  unreadable_push: 'unreadable',
  unknown_component: 'unknown_component',
  not_found: 'path',
};

/** What to do, in a word for the log. The status says it at length. */
const REMEDIES: Readonly<Record<RefusalReason, string>> = {
  urls_exchanged: 'exchange the two URLs in the console',
  aes_key: 'compare the EncodingAESKey with the console',
  foreign_component: "enter each platform's own URLs in its console",
  clock: 'set the clock',
  unreadable: 'find out who encrypts them: WeChat does it otherwise',
  sent_again: 'find out who has captured it: look at what logs bodies and queries on the way',
  clear_mode: 'choose safe mode in the console',
  bad_signature: 'compare the Token with the console; strangers look the same',
  appid_placeholder: 'write $APPID$ only into the message & event URL',
  unknown_component: 'compare the appid in the URL with the settings',
  path: 'correct the URL in the console',
  form: 'see what the proxy changes; strangers look the same',
};

interface Pending extends RefusedBatch {
  component: string | null;
}

interface State extends RefusedPushOptions {
  /** By kind: what Redis does not have yet; and what is on its way there. */
  pending: Map<string, Pending>;
  flying: Map<string, Pending>;
  /** By kind: when one was last refused. */
  refusedAt: Map<string, number>;
  /** By component, and `*` for any, and URL: when a push was last accepted. */
  acceptedAt: Map<string, number>;
  /** By kind: how many came since the last line about them. */
  untold: Map<string, { count: number; fields: Readonly<Record<string, unknown>> }>;
  instant: number;
  writtenAt: number;
  writing: Promise<void>;
  cancelWrite: (() => void) | undefined;
  cancelTell: (() => void) | undefined;
}

export function createRefusedPushCounter(options: RefusedPushOptions): RefusedPushCounter {
  const state: State = {
    ...options,
    pending: new Map(),
    flying: new Map(),
    refusedAt: new Map(),
    acceptedAt: new Map(),
    untold: new Map(),
    instant: 0,
    writtenAt: -Infinity,
    writing: Promise.resolve(),
    cancelWrite: undefined,
    cancelTell: undefined,
  };
  return {
    note: (request, error) => note(state, request, error),
    nextMoment: () => nextInstant(state),
    accepted(component, url, at) {
      for (const whose of [component, '*']) {
        const key = `${whose} ${url}`;
        // One that came earlier may have taken longer.
        state.acceptedAt.set(key, Math.max(at, state.acceptedAt.get(key) ?? at));
      }
      for (const one of [...state.pending.values(), ...state.flying.values()]) {
        const ended = one.component === component && one.url === url;
        if (ended && !REFUSAL_REASONS[one.reason].apart) one.row = 0;
      }
    },
    flush: () => write(state),
    idle: () => state.writing,
    async stop() {
      state.cancelTell?.();
      tellRest(state);
      await write(state);
      state.cancelWrite?.();
    },
  };
}

function note(state: State, request: RefusedRequest, error: KeeperError): boolean {
  const { method, query } = request;
  const signed = looksSigned(query);
  if (!CALLBACK.test(request.path) && !(method === 'POST' && signed)) return false;
  const reason = reasonOf(request, error);
  const { component, url } = placeOf(request.path, state.components);
  const kind = [component ?? '', url, reason].join(' ');
  const last: LastRefused = {
    path: shown(state, request.path, MAX_PATH),
    address: (request.address ?? '').slice(0, MAX_DETAIL),
    detail: detailOf(state, reason, request),
    signed: signed ? 'yes' : 'no',
  };
  // A browser or a monitor that only looks sends no push that could get lost.
  const row = method === 'POST' || signed ? 1 : 0;
  gather(state, kind, { component, url, reason, row, last });
  planWrite(state);
  tell(state, kind, {
    reason,
    url,
    component,
    code: error.code,
    status: error.status,
    method,
    path: last.path,
    address: last.address,
    why: error.message,
    remedy: REMEDIES[reason],
  });
  return true;
}

function gather(
  state: State,
  kind: string,
  {
    component,
    url,
    reason,
    row,
    last,
  }: Pick<Pending, 'component' | 'url' | 'reason' | 'row' | 'last'>,
): void {
  const at = nextInstant(state);
  const earlier = state.pending.get(kind);
  const beside = acceptedBeside(state, kind, { component, url, reason }, at);
  if (row > 0) state.refusedAt.set(kind, at);
  // Of an ended row nothing is kept but that it counts; and where others have begun to be accepted at
  // the same URL, only what comes after that shows that both come there.
  const both =
    beside.some((served) => served === url) &&
    earlier?.beside.some((served) => served === url) !== true;
  const goesOn = earlier !== undefined && earlier.row > 0 && !both;
  state.pending.set(kind, {
    component,
    url,
    reason,
    beside: [...new Set([...(earlier?.beside ?? []), ...beside])],
    count: (earlier?.count ?? 0) + 1,
    row: (goesOn ? earlier.row : 0) + row,
    since: goesOn ? earlier.since : at,
    at: row > 0 || earlier === undefined ? at : earlier.at,
    last: row > 0 || earlier === undefined ? last : earlier.last,
  });
}

/**
 * At an address that is none of ours, or for a platform that is not ours, nothing is ever accepted. What
 * is accepted elsewhere between two refusals has nothing to do with them; what was not, and then is,
 * shows that the URL was corrected. At an address of ours what is accepted there shows it, but for what
 * stands apart.
 */
function acceptedBeside(
  { refusedAt, acceptedAt }: State,
  kind: string,
  { component, url, reason }: Pick<Pending, 'component' | 'url' | 'reason'>,
  at: number,
): ServedUrl[] {
  const before = refusedAt.get(kind);
  if (before === undefined) return [];
  const served = component !== null && url !== 'other';
  if (served && (!REFUSAL_REASONS[reason].apart || at - before > ROW_OVER_MS)) return [];
  const whose = component ?? '*';
  return (served ? [url] : (['event', 'message'] as const)).filter(
    (one) => (acceptedAt.get(`${whose} ${one}`) ?? -Infinity) > before,
  );
}

/** Which of the configured platforms a path names, and which of its URLs it is. */
function placeOf(path: string, components: readonly string[]): Pick<Pending, 'component' | 'url'> {
  const named = [...path.matchAll(APPID)].map(([appid]) => appid.toLowerCase());
  const component = named.find((appid) => components.includes(appid)) ?? null;
  const url = EVENT_PATH.test(path) ? 'event' : MESSAGE_PATH.test(path) ? 'message' : 'other';
  return { component, url };
}

/** Why, where whoever refused it has not said so. */
function reasonOf(
  { method, path, query }: RefusedRequest,
  { reason, code }: KeeperError,
): RefusalReason {
  if (reason !== undefined) return reason;
  // What is not encrypted comes with the signature of the checks alone.
  const clear = query.msg_signature === undefined && typeof query.signature === 'string';
  if (code === 'bad_signature' && method === 'POST' && clear) return 'clear_mode';
  const usual = USUAL_REASONS[code] ?? 'form';
  const lost = usual === 'path' || usual === 'unknown_component';
  return lost && PLACEHOLDER.test(path) ? 'appid_placeholder' : usual;
}

/** As WeChat's are, whoever sent it. */
function looksSigned({ timestamp, nonce, signature, msg_signature: own }: RefusedRequest['query']) {
  return [timestamp, nonce, own ?? signature].every((one) => typeof one === 'string' && one !== '');
}

function detailOf(state: State, reason: RefusalReason, { path, query }: RefusedRequest): string {
  if (reason === 'clock') {
    const { timestamp } = query;
    if (typeof timestamp !== 'string' || !SIGNED_SECONDS.test(timestamp)) return '';
    return String(Math.round(state.clock.now() / 1000) - Number(timestamp));
  }
  if (reason !== 'unknown_component') return '';
  const [appid] = path.match(APPID) ?? [];
  return (
    appid ?? shown(state, path.replace(/^.*\/callback\/?/i, '').replace(/\/.*$/, ''), MAX_DETAIL)
  );
}

/** What a stranger has written, such that it can stand in a log, a page or a message. */
function shown({ mask }: State, text: string, length: number): string {
  return mask(text.replace(/[^\w./$%~-]/g, '?')).slice(0, length);
}

function nextInstant(state: State): number {
  const now = state.clock.now();
  if (state.instant > now + SET_BACK_MS) {
    // All that comes would seem to be ahead, and what was accepted then later than what is refused now.
    state.instant = now;
    state.acceptedAt.clear();
    state.refusedAt.clear();
  }
  state.instant = Math.max(now, state.instant + INSTANT_MS);
  return state.instant;
}

/** The first one at once, the others after a while as a number. */
function tell(state: State, kind: string, fields: Readonly<Record<string, unknown>>): void {
  const untold = state.untold.get(kind);
  state.untold.set(kind, { count: untold === undefined ? 0 : untold.count + 1, fields });
  if (untold === undefined) state.log.warn('push refused', fields);
  state.cancelTell ??= state.clock.setTimer(TELL_MS, () => tellRest(state));
}

function tellRest(state: State): void {
  state.cancelTell = undefined;
  for (const [kind, { count, fields }] of state.untold) {
    if (count === 0) state.untold.delete(kind);
    else {
      state.untold.set(kind, { count: 0, fields });
      state.log.warn('more pushes refused', { ...fields, count });
    }
  }
  if (state.untold.size > 0) {
    state.cancelTell = state.clock.setTimer(TELL_MS, () => tellRest(state));
  }
}

function planWrite(state: State): void {
  if (state.cancelWrite !== undefined) return;
  const since = state.clock.monotonic() - state.writtenAt;
  if (since >= WRITE_MS) void write(state);
  else planIn(state, WRITE_MS - since);
}

function planIn(state: State, ms: number): void {
  state.cancelWrite?.();
  state.cancelWrite = state.clock.setTimer(ms, () => {
    state.cancelWrite = undefined;
    void write(state);
  });
}

/** One after the other, so that a row that is over is not taken up again. */
function write(state: State): Promise<void> {
  state.writing = state.writing.then(() => writeAll(state));
  return state.writing;
}

async function writeAll(state: State): Promise<void> {
  if (state.pending.size === 0) return;
  state.cancelWrite?.();
  state.cancelWrite = undefined;
  state.writtenAt = state.clock.monotonic();
  state.flying = state.pending;
  state.pending = new Map();
  const components = new Set([...state.flying.values()].map(({ component }) => component));
  const results = await Promise.all([...components].map((one) => writeOne(state, one)));
  state.flying = new Map();
  if (results.includes(false)) planIn(state, RETRY_MS);
  else if (state.pending.size > 0) planIn(state, WRITE_MS);
}

/** What Redis may have taken without saying so is counted twice: better than not at all. */
async function writeOne(state: State, component: string | null): Promise<boolean> {
  const batches = [...state.flying].filter(([, one]) => one.component === component);
  try {
    await addRefused(
      state.store,
      component,
      batches.map(([, batch]) => batch),
    );
    return true;
  } catch (error) {
    state.log.debug('refused pushes could not be counted yet', { component, error });
    for (const [kind, batch] of batches) putBack(state, kind, batch);
    return false;
  }
}

function putBack({ pending }: State, kind: string, batch: Pending): void {
  const later = pending.get(kind);
  if (later === undefined) {
    pending.set(kind, batch);
    return;
  }
  pending.set(kind, {
    ...later,
    count: batch.count + later.count,
    row: batch.row + later.row,
    since: batch.row > 0 ? batch.since : later.since,
    beside: [...new Set([...batch.beside, ...later.beside])],
  });
}
