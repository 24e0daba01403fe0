import * as http from 'node:http';
import * as https from 'node:https';
import { takePushFault, type PushFault } from './faults.ts';
import { note, type PushRecord } from './ledger.ts';
import type { PushFields } from './push-document.ts';
import {
  buildMessage,
  buildPush,
  messageName,
  skippedPush,
  TICKET_INFO_TYPE,
  type PushMessage,
} from './push-message.ts';
import { MAX_ANSWER_CHARS } from './reply.ts';
import { viewOf } from './user-view.ts';
import type { Component, World } from './model.ts';

/** How much of an answer is kept; longer than `success`, so the cut cannot make a bad one good. */
const ANSWER_CHARS = 200;

/**
 * Builds and sends one push; resolves when it was answered, refused or given up, never rejects
 * for what the receiver does. With `twice` or `lateMs` it resolves after the last sending.
 * @param fault without one, the next rule of the fault queue applies
 * @throws RangeError without a callback URL, or without the old key that a fault asks for
 */
export function push(
  world: World,
  component: Component,
  infoTypeOrDocument: string,
  fields?: PushFields,
  fault: PushFault = takePushFault(world.faults) ?? {},
): Promise<PushRecord> {
  const build = () => buildPush(world, component, infoTypeOrDocument, fields, fault);
  return dispatch(world, component, infoTypeOrDocument, build, fault);
}

/** The same for what a user sends to an account, and what that user then sees. See `push`. */
export function pushMessage(
  world: World,
  component: Component,
  authorizer: string,
  fields: PushFields,
  fault: PushFault = takePushFault(world.faults) ?? {},
): Promise<PushRecord> {
  const build = () => buildMessage(world, component, authorizer, fields, fault);
  return dispatch(world, component, messageName(fields), build, fault);
}

function dispatch(
  world: World,
  component: Component,
  what: string,
  build: () => PushMessage,
  fault: PushFault,
): Promise<PushRecord> {
  if (component.callbackUrl === undefined) {
    throw new RangeError(`${component.appid} has no callback URL, so nothing can be pushed`);
  }
  if (fault.stop) setPushing(world, component, false);
  if (fault.stop || fault.skip) {
    // Before anything is built: a ticket that nobody gets is not issued either.
    const unsent = skippedPush(world, component, what);
    return Promise.resolve(record(world, unsent, 1, { error: 'skipped by a fault' }));
  }
  const message = build();
  if (fault.lateMs === undefined) return deliver(world, message, fault);
  const { lateMs } = fault;
  return new Promise((resolve) => {
    world.timers.after(
      lateMs,
      () => resolve(deliver(world, message, fault)),
      () => resolve(record(world, message, 1, { error: 'simulator stopped' })),
    );
  });
}

/**
 * Turns the schedule on or off. Turning on what is on already changes nothing.
 * @param firstAfterMs delay until the first push
 */
export function setPushing(
  world: World,
  component: Component,
  on: boolean,
  firstAfterMs = 0,
): void {
  if (component.pushing === on) return;
  component.pushing = on;
  component.cancelNextPush?.();
  component.cancelNextPush = undefined;
  if (on) schedule(world, component, world.clock.now() + firstAfterMs);
}

function schedule(world: World, component: Component, dueAt: number): void {
  const now = world.clock.now();
  if (dueAt > now) {
    const next = (): void => schedule(world, component, dueAt);
    component.cancelNextPush = world.timers.after(dueAt - now, next);
    return;
  }
  // From the due time, not from now, so that the rhythm does not drift; but a machine that slept
  // for hours must not send all it missed.
  const { ticketIntervalMs } = world.settings;
  const nextAt = dueAt + ticketIntervalMs;
  schedule(world, component, nextAt > now ? nextAt : now + ticketIntervalMs);
  if (component.callbackUrl !== undefined) void push(world, component, TICKET_INFO_TYPE);
}

async function deliver(world: World, message: PushMessage, fault: PushFault): Promise<PushRecord> {
  const end = world.activity.begin();
  try {
    const first = await send(world, message, 1);
    return fault.twice && !world.stopped ? await send(world, message, 2) : first;
  } finally {
    end();
  }
}

/** Sends once, and arranges for another time if that fails and the settings say so. */
async function send(world: World, message: PushMessage, attempt: number): Promise<PushRecord> {
  const end = world.activity.begin();
  try {
    const result = await post(world, message, attempt);
    note(world.ledger.pushes, result, world.settings.ledgerLimit);
    world.onPush?.(result);
    const { repushMs, repushLimit } = world.settings;
    if (!result.accepted && repushMs > 0 && attempt <= repushLimit && !world.stopped) {
      world.timers.after(repushMs, () => void send(world, message, attempt + 1));
    }
    return result;
  } finally {
    end();
  }
}

function post(world: World, message: PushMessage, attempt: number): Promise<PushRecord> {
  const url = new URL(message.url ?? '');
  const sentAt = world.clock.now();
  return new Promise((resolve) => {
    // One connection per push: a kept one that the receiver just closed would look like a failure.
    const request = (url.protocol === 'https:' ? https : http).request(url, {
      method: 'POST',
      agent: false,
      headers: {
        'Content-Type': message.contentType,
        'Content-Length': Buffer.byteLength(message.body),
        'User-Agent': 'Mozilla/4.0',
        Accept: '*/*',
      },
    });
    const end = (outcome: Partial<PushRecord>): void => {
      cancelTimeout();
      resolve({
        ...record(world, message, attempt, outcome),
        at: sentAt,
        durationMs: world.clock.now() - sentAt,
      });
      request.destroy();
    };
    const settle = (answer: PushAnswer): void => {
      end({ ...answer, ...verdictOn(message, answer) });
    };
    const { pushTimeoutMs } = world.settings;
    const cancelTimeout = world.timers.after(
      pushTimeoutMs,
      () => settle({ error: `no answer within ${pushTimeoutMs / 1000} s` }),
      () => end({ error: 'simulator stopped' }),
    );
    // Later calls of settle find the promise settled, so every path may end in it.
    request.on('error', (error) => settle({ error: reasonOf(error) }));
    request.on('response', (response) => {
      const most = message.asked === undefined ? ANSWER_CHARS : MAX_ANSWER_CHARS;
      let answer = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        answer = (answer + chunk).slice(0, most);
      });
      response.on('error', (error) => settle({ error: reasonOf(error) }));
      response.on('end', () => {
        settle({ status: response.statusCode ?? null, answer });
      });
    });
    request.end(message.body);
  });
}

type PushAnswer = Pick<PushRecord, 'status' | 'answer'> | Required<Pick<PushRecord, 'error'>>;

function verdictOn(
  { asked }: PushMessage,
  push: PushAnswer,
): Pick<PushRecord, 'accepted' | 'user'> {
  const { status, answer, error } = { status: null, answer: '', error: undefined, ...push };
  if (asked === undefined) return { accepted: status === 200 && answer === 'success' };
  const user = viewOf(asked, { status: status ?? undefined, body: answer, error });
  return { accepted: user.sees !== 'error', user };
}

/** A name with several addresses fails with an AggregateError, which has a code but no message. */
function reasonOf(error: NodeJS.ErrnoException): string {
  return error.message || (error.code ?? 'unknown error');
}

function record(
  world: World,
  message: PushMessage,
  attempt: number,
  outcome: Partial<PushRecord>,
): PushRecord {
  return {
    at: world.clock.now(),
    appid: message.appid,
    infoType: message.infoType,
    createTime: message.createTime,
    url: message.url ?? '',
    body: message.body,
    status: null,
    answer: '',
    accepted: false,
    durationMs: 0,
    attempt,
    ...outcome,
  };
}
