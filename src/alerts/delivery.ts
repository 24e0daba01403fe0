import { deadline, type Clock } from '../lib/clock.ts';
import type { AlertWebhook } from '../config/file.ts';
import type { Proxy } from '../lib/proxy.ts';
import type { Log } from '../lib/log.ts';
import type { StoreTime } from '../store/redis/time.ts';
import { sendRequest, HttpClientError, MAX_ANSWER_BYTES } from '../lib/http-client.ts';
import { ALERT_RULES } from './kinds/index.ts';
import type { Notice } from './notice.ts';

/**
 * The messages that wait for one webhook. They are sent in order and one at a time, behind the back of
 * everything else; a webhook that does not take them is tried again for an hour. Only one that the
 * webhook does not understand lets the others pass.
 */
export interface Outbox {
  /** Names the webhook in the log, without anything of its address. */
  name: string;
  /** False when there are too many already. */
  add(letter: Letter): boolean;
  has(key: string): boolean;
  /** Drops those that wait and are another's to send now. */
  drop(isOthers: (letter: Letter) => boolean): void;
  /** Resolves when nothing is being sent; waiting timers do not count. */
  idle(): Promise<void>;
  /** Tries what is there once more, at once, and nothing after that. */
  close(): Promise<void>;
}

export interface Letter {
  /** Tells messages apart. */
  key: string;
  notice: Notice;
  /** The field of the store that says that it is owed; undefined for a message of this process alone. */
  field: string | undefined;
}

export interface OutboxOptions {
  webhook: AlertWebhook;
  /** That messages go through. */
  proxy: Proxy | undefined;
  name: string;
  clock: Clock;
  time: StoreTime;
  log: Log;
  version: string;
  /** A letter was taken, or given up. Never rejects. */
  onSettled: (letter: Letter) => Promise<void>;
}

/** Milliseconds for one message, from connecting to the end of the answer. */
const SEND_DEADLINE_MS = 5_000;
/** Milliseconds after which nobody wants to hear of it any more. */
export const GIVE_UP_MS = 3_600_000;
const MAX_WAITING = 100;
/** More than this many at once become one message, where the webhook allows it. */
const SINGLE_AT_MOST = 3;
/** A line for each must fit into what the smallest robot takes: nothing may be cut off. */
export const BATCH_AT_MOST = 25;
/** Answers that are about one message: the others need not wait until it is given up. */
const NOT_THIS_ONE: readonly string[] = ['http_400', 'http_413', 'http_422'];
const FIRST_RETRY_MS = 5_000;
const MAX_RETRY_MS = 300_000;

interface State extends OutboxOptions {
  waiting: Letter[];
  underWay: Letter[];
  /** Not understood in this run; the others go first. */
  refused: Letter[];
  failures: number;
  sending: Promise<void> | undefined;
  cancelRetry: (() => void) | undefined;
  closed: boolean;
}

export function createOutbox(options: OutboxOptions): Outbox {
  const state: State = {
    ...options,
    waiting: [],
    underWay: [],
    refused: [],
    failures: 0,
    sending: undefined,
    cancelRetry: undefined,
    closed: false,
  };
  return {
    name: options.name,
    add(letter) {
      if (state.waiting.length >= MAX_WAITING && !makeRoom(state, letter)) return false;
      state.waiting.push(letter);
      begin(state);
      return true;
    },
    has(key) {
      const all = [...state.underWay, ...state.refused, ...state.waiting];
      return all.some((one) => one.key === key);
    },
    drop(isOthers) {
      state.waiting = state.waiting.filter((one) => !isOthers(one));
      state.refused = state.refused.filter((one) => !isOthers(one));
    },
    idle: async () => state.sending,
    async close() {
      state.closed = true;
      await state.sending;
      state.cancelRetry?.();
      state.cancelRetry = undefined;
      begin(state);
      await state.sending;
    },
  };
}

/** What is owed in Redis comes again later; what only this process knows would be lost. */
function makeRoom(state: State, { field }: Letter): boolean {
  const last = state.waiting.findLastIndex((one) => one.field !== undefined);
  if (field !== undefined || last === -1) return false;
  state.waiting.splice(last, 1);
  return true;
}

function begin(state: State): void {
  if (state.sending !== undefined || state.cancelRetry !== undefined) return;
  state.sending = sendAll(state).finally(() => {
    state.sending = undefined;
  });
}

async function sendAll(state: State): Promise<void> {
  await giveUpOld(state);
  let trouble: string | undefined;
  while (state.waiting.length > 0) {
    const { batches } = ALERT_RULES[state.webhook.kind];
    const many = batches && state.waiting.length > SINGLE_AT_MOST;
    state.underWay = state.waiting.splice(0, many ? BATCH_AT_MOST : 1);
    const fault = await send(state, state.underWay);
    const letters = state.underWay.splice(0);
    if (fault === undefined) {
      await taken(state, letters);
      continue;
    }
    trouble = fault;
    state.refused.push(...letters);
    if (!NOT_THIS_ONE.includes(fault)) break;
  }
  state.waiting.unshift(...state.refused.splice(0));
  if (trouble !== undefined) retryLater(state, trouble);
}

async function taken(state: State, letters: readonly Letter[]): Promise<void> {
  if (state.failures > 0) state.log.info('alerts are taken again', { webhook: state.name });
  state.failures = 0;
  for (const letter of letters) await state.onSettled(letter);
}

/** Returns why it was not taken, in a word: neither the address nor the answer is anybody's business. */
async function send(state: State, letters: readonly Letter[]): Promise<string | undefined> {
  const { webhook, proxy, clock, version } = state;
  const rule = ALERT_RULES[webhook.kind];
  const limit = deadline(clock, SEND_DEADLINE_MS);
  try {
    const notices = letters.map(({ notice }) => notice);
    const now = { at: clock.now(), version };
    const { url, payload, headers } = rule.request(webhook, notices, now);
    return rule.faultIn(
      await sendRequest(url, payload, clock, limit.signal, MAX_ANSWER_BYTES, headers, proxy),
    );
  } catch (error) {
    return error instanceof HttpClientError ? error.fault : 'not_sendable';
  } finally {
    limit.cancel();
  }
}

function retryLater(state: State, fault: string): void {
  const { log, name, clock, waiting } = state;
  state.failures += 1;
  const usual = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(state.failures - 1, 10));
  const retryMs = Math.round(usual * (0.75 + clock.random() / 2));
  const fields = { webhook: name, fault, waiting: waiting.length };
  if (state.closed) {
    log.warn('an alert could not be sent before the stop', fields);
    return;
  }
  log.warn('an alert could not be sent, trying again', {
    ...fields,
    retry_in_seconds: Math.round(retryMs / 1000),
  });
  state.cancelRetry = clock.setTimer(retryMs, () => {
    state.cancelRetry = undefined;
    begin(state);
  });
}

async function giveUpOld(state: State): Promise<void> {
  const { time, log, name } = state;
  const old = state.waiting.filter(({ notice }) => time.now() - notice.at > GIVE_UP_MS);
  state.waiting = state.waiting.filter((one) => !old.includes(one));
  for (const letter of old) {
    const { status, problem } = letter.notice;
    log.error('an alert was given up: its webhook has not taken it for an hour', {
      webhook: name,
      status,
      code: problem?.finding.code,
      subject: problem?.finding.subject,
    });
    await state.onSettled(letter);
  }
}
