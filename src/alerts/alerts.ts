import { createHash } from 'node:crypto';
import { deadline, systemClock, type Clock } from '../lib/clock.ts';
import type { AlertWebhook } from '../config/file.ts';
import { KeeperError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { proxyFor, type Proxies } from '../lib/proxy.ts';
import {
  forgetAlertField,
  leaveAlerts,
  saveAlerts,
  takeAlerts,
  type AlertFields,
} from '../store/operations/alerts.ts';
import type { Store } from '../store/redis/store.ts';
import { PROBLEMS, type Finding } from '../status/problems.ts';
import type { SnapshotContext } from '../status/context.ts';
import { storeFinding } from '../status/rules.ts';
import { findOwnProblems, findProblems } from '../status/snapshot.ts';
import { advance, type Entry } from './lifecycle.ts';
import { noticeOf, noticeOfReplica, readEntry, readNotice, type Notice } from './notice.ts';
import { createOutbox, GIVE_UP_MS, type Letter, type Outbox } from './delivery.ts';

/**
 * Tells people of what the status finds wrong. One replica does it for all, and writes down in Redis
 * what is to be told before it is told; of what each can only know of itself, such as a Redis that it
 * cannot reach, each tells by itself.
 */
export interface Alerts {
  /** Looks at what is wrong and hands over what is to be told, without waiting for any webhook. */
  check(): Promise<void>;
  /** Tells that this replica is there. */
  started(): void;
  /** Tells that it goes, and waits for that, but not for long. */
  stop(): Promise<void>;
  /** Resolves when nothing is being sent; what is tried again later does not count. */
  idle(): Promise<void>;
}

export interface AlertsOptions {
  store: Store;
  clock: Clock;
  log: Log;
  webhooks: readonly AlertWebhook[];
  /** None unless given. */
  proxies?: Proxies;
  context: SnapshotContext;
  replica: string;
  version: string;
}

interface State extends AlertsOptions {
  outboxes: Map<string, Outbox>;
  /** Problems that this replica tells of by itself. */
  own: Map<string, Entry>;
  /** Fields of messages that were sent, and that Redis may still call owed. */
  sent: Set<string>;
  /** What Redis knew at the last look: it may come back empty. */
  remembered: AlertFields;
  checking: Promise<void> | undefined;
  started: boolean;
  stopping: boolean;
}

/** Milliseconds: longer than two maintenance rounds, and short enough for another to go on within a minute. */
const TELLER_MS = 40_000;
/** Milliseconds for the last messages. */
const STOP_MS = 3_000;

export function createAlerts(options: AlertsOptions): Alerts {
  const state: State = {
    ...options,
    outboxes: new Map(),
    own: new Map(),
    sent: new Set(),
    remembered: new Map(),
    checking: undefined,
    started: false,
    stopping: false,
  };
  options.webhooks.forEach((webhook, index) => {
    const { store, clock, log, version, proxies } = options;
    const name = `${webhook.kind} ${index + 1}`;
    const onSettled = (letter: Letter) => settle(state, letter);
    const url = new URL(webhook.url);
    // Those of http are next door.
    const proxy = url.protocol === 'https:' && proxies ? proxyFor(proxies, url) : undefined;
    const parts = { webhook, proxy, name, clock, time: store.time, log, version, onSettled };
    state.outboxes.set(idOfWebhook(webhook), createOutbox(parts));
  });
  return {
    async check() {
      if (state.outboxes.size === 0 || state.stopping) return;
      state.checking = check(state).finally(() => {
        state.checking = undefined;
      });
      await state.checking;
    },
    started() {
      state.started = true;
      tell(state, noticeOfReplica('started', options.store.time.now(), options.replica));
    },
    stop: () => stop(state),
    async idle() {
      for (const outbox of state.outboxes.values()) await outbox.idle();
    },
  };
}

/** Enough to know an address again, and too little to find it out. */
function idOfWebhook({ url, secret }: AlertWebhook): string {
  return createHash('sha256')
    .update(`${url} ${secret ?? ''}`)
    .digest('hex')
    .slice(0, 12);
}

async function check(state: State): Promise<void> {
  const { context, store, replica } = state;
  const own = await findOwnProblems(context);
  const reached = own.every(({ code }) => code !== 'store_unavailable');
  // Without Redis nobody knows what became of the rest: it stays as it is.
  const turn = reached ? await takeTurn(state) : undefined;
  let ofAll: Finding[] | undefined;
  try {
    if (turn !== undefined) ofAll = (await findProblems(context)).filter((one) => !isOwn(one));
  } catch (error) {
    // Redis answers, but not what is asked: the status says the same then.
    own.push(storeFinding(messageOf(error)));
  }
  const now = store.time.now();
  const { after, news } = advance(state.own, own.filter(isOwn), now);
  state.own = after;
  for (const one of news) tell(state, noticeOf(one, now, replica));
  if (turn === undefined || ofAll === undefined) return;
  try {
    await tellForAll(state, turn.stored, turn.fields, ofAll);
  } catch (error) {
    messageOf(error);
    state.log.debug('alerts met no Redis');
  }
}

function isOwn({ code }: Finding): boolean {
  return PROBLEMS[code].own;
}

/** Of an error that means that Redis did not do it. @throws any other */
function messageOf(error: unknown): string {
  if (error instanceof KeeperError && error.code === 'store_unavailable') return error.message;
  throw error;
}

/** What Redis holds, and what is known; undefined when it is another's turn to tell for all. */
async function takeTurn(
  state: State,
): Promise<{ stored: AlertFields; fields: AlertFields } | undefined> {
  try {
    const { turn, fields } = await takeAlerts(state.store, state.replica, TELLER_MS);
    if (turn === 'lost') return { stored: fields, fields: state.remembered };
    if (turn === 'mine') return { stored: fields, fields };
    state.remembered = fields;
    for (const outbox of state.outboxes.values()) outbox.drop(({ field }) => field !== undefined);
  } catch (error) {
    // A Redis that takes no writes is a problem of its own.
    messageOf(error);
    state.log.debug('alerts met no Redis');
  }
  return undefined;
}

/**
 * @param stored what Redis holds
 * @param fields what is known: the same, or what Redis held before it lost it
 */
async function tellForAll(
  state: State,
  stored: AlertFields,
  fields: AlertFields,
  findings: readonly Finding[],
): Promise<void> {
  const { store, replica } = state;
  const now = store.time.now();
  for (const field of state.sent) if (!fields.has(field)) state.sent.delete(field);
  const { entries, letters, stale } = read(state, fields, now);
  const { after, news } = advance(entries, findings, now);
  const set = Object.fromEntries([...fields].filter(([field]) => !stored.has(field)));
  for (const [id, entry] of after) {
    const json = JSON.stringify(entry);
    if (fields.get(`problem|${id}`) !== json) set[`problem|${id}`] = json;
  }
  for (const one of news) {
    const notice = noticeOf(one, now, replica);
    for (const webhook of state.outboxes.keys()) {
      const field = `owed|${webhook}|${notice.id}`;
      set[field] = JSON.stringify(notice);
      letters.push({ webhook, letter: { key: field, notice, field } });
    }
  }
  const over = [...entries.keys()].filter((id) => !after.has(id)).map((id) => `problem|${id}`);
  const forget = [...over, ...stale];
  const changed = forget.length > 0 || Object.keys(set).length > 0;
  if (changed && !(await saveAlerts(store, replica, { set, forget }))) return;
  state.remembered = remember(fields, set, forget);
  for (const { webhook, letter } of letters) {
    const outbox = state.outboxes.get(webhook);
    // It may have been sent since Redis was asked.
    if (state.stopping || state.sent.has(letter.key)) continue;
    // One for which there is no room stays owed, and comes with a later round.
    if (outbox?.has(letter.key) === false) outbox.add(letter);
  }
}

function remember(
  fields: AlertFields,
  set: Readonly<Record<string, string>>,
  forget: readonly string[],
): AlertFields {
  const known = new Map([...fields, ...Object.entries(set)]);
  for (const field of forget) known.delete(field);
  return known;
}

/** What Redis knows: the problems, what is still to be told, and what may be forgotten. */
function read(state: State, fields: AlertFields, now: number) {
  const entries = new Map<string, Entry>();
  const letters: { webhook: string; letter: Letter }[] = [];
  const stale: string[] = [];
  for (const [field, text] of fields) {
    const [what, ...rest] = field.split('|');
    const entry = what === 'problem' ? readEntry(text) : undefined;
    const notice = what === 'owed' ? readNotice(text) : undefined;
    const [webhook = ''] = rest;
    if (entry !== undefined) entries.set(rest.join('|'), entry);
    else if (notice === undefined || state.sent.has(field)) stale.push(field);
    else if (state.outboxes.has(webhook)) {
      letters.push({ webhook, letter: { key: field, notice, field } });
    }
    // Of a webhook that only another replica has been configured for, or that is gone.
    else if (now - notice.at > GIVE_UP_MS) stale.push(field);
  }
  letters.sort((a, b) => a.letter.notice.at - b.letter.notice.at);
  return { entries, letters, stale };
}

/** Of this process alone: it is forgotten when the process dies. */
function tell(state: State, notice: Notice): void {
  for (const outbox of state.outboxes.values()) {
    if (outbox.add({ key: notice.id, notice, field: undefined })) continue;
    const { status, problem } = notice;
    const fields = { webhook: outbox.name, status, code: problem?.finding.code };
    state.log.error('an alert was given up: too many wait for its webhook', fields);
  }
}

async function settle(state: State, { field }: Letter): Promise<void> {
  if (field === undefined) return;
  state.sent.add(field);
  try {
    await forgetAlertField(state.store, field);
  } catch {
    // The next round forgets it.
  }
}

async function stop(state: State): Promise<void> {
  const { store, replica, outboxes } = state;
  if (outboxes.size === 0 || state.stopping) return;
  state.stopping = true;
  if (state.started) tell(state, noticeOfReplica('stopped', store.time.now(), replica));
  const limit = deadline(systemClock, STOP_MS);
  const done = (async () => {
    await Promise.all([...outboxes.values()].map((one) => one.close()));
    await state.checking;
    await leaveAlerts(store, replica);
  })().catch(() => undefined);
  await Promise.race([
    done,
    new Promise<void>((resolve) => limit.signal.addEventListener('abort', () => resolve())),
  ]);
  limit.cancel();
}
