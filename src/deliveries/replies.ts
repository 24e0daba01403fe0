import type { Route } from '../config/routes.ts';
import { deadline, sleep, type Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { readReply } from '../store/deliveries/kept-push.ts';
import type { MissedReply } from '../store/deliveries/queue.ts';
import { mayBeAsked } from '../store/deliveries/target-state.ts';
import type { Store } from '../store/redis/store.ts';
import type { EnvelopeSecrets } from '../wechat/push/envelope.ts';
import { textOf } from '../wechat/push/push-fields.ts';
import type { Dispatcher, MadeAttempt } from './dispatcher.ts';
import { isSuccess, judge } from './judge.ts';
import type { PlannedPush } from './plan.ts';
import type { PushToDeliver } from './push-to-deliver.ts';
import { readUserReply, type UserReply } from './reply-content.ts';
import { requestFor } from './request.ts';
import { TargetError, type TargetAnswer, type TargetClient } from './target-client.ts';

/**
 * A user is answered by a target while WeChat waits. What comes too late, or is nothing that WeChat would
 * take, is not passed on: the user sees nothing then, and the delivery goes on by itself.
 */
export interface Replies {
  /** Never rejects. @param begunAt monotonic ms of the first byte of the push */
  replyTo(planned: PlannedPush, push: PushToDeliver, begunAt: number): Promise<UserReply>;
  /** What the first delivery of this push was answered with, as soon as that is known. Never rejects. */
  repeatOf(component: string, id: string, begunAt: number): Promise<UserReply>;
  /** Somebody else answers: the target gets it like any other. */
  leave(planned: PlannedPush, component: string): void;
  /** Resolves when nobody is being asked, and the end of what was asked is stored. */
  idle(): Promise<void>;
}

/**
 * What became of a reply. `late`: after the deadline; `failed`: no answer, or none that says yes; `not_asked`:
 * the target is left alone, or too many are asked already.
 */
export type ReplyOutcome = 'given' | 'none' | MissedReply | 'not_asked';

export interface RepliesOptions {
  store: Store;
  clock: Clock;
  log: Log;
  dispatcher: Pick<Dispatcher, 'settle' | 'kick'>;
  client: TargetClient;
  components: readonly EnvelopeSecrets[];
  onReply?: ((route: string, outcome: ReplyOutcome) => void) | undefined;
}

/** Milliseconds from the first byte of a push; WeChat hangs up after 5 s. Source: message_push. */
const REPLY_MS = 4_500;
/** Milliseconds without which a target need not be asked. */
const LEAST_MS = 500;
/** Asked at once by one process: each holds a connection of WeChat's. */
const MOST_ASKED = 200;
const POLL_MS = 50;
const NONE: UserReply = { as: 'none' };

interface State extends RepliesOptions {
  /** By component and route. */
  asked: Map<string, number>;
  asking: Set<Promise<unknown>>;
  /** Ends of attempts that are being stored. */
  ending: Set<Promise<void>>;
}

export function createReplies(options: RepliesOptions): Replies {
  const state: State = { ...options, asked: new Map(), asking: new Set(), ending: new Set() };
  return {
    replyTo(planned, push, begunAt) {
      const asking = replyTo(state, planned, push, begunAt);
      state.asking.add(asking);
      return asking.finally(() => state.asking.delete(asking));
    },
    repeatOf: (component, id, begunAt) => repeatOf(state, component, id, begunAt),
    leave: ({ replier, id }, component) => {
      if (replier !== undefined) leave(state, component, replier.name, id);
    },
    async idle() {
      while (state.ending.size + state.asking.size > 0) {
        await Promise.allSettled([...state.ending, ...state.asking]);
      }
    },
  };
}

async function replyTo(
  state: State,
  planned: PlannedPush,
  push: PushToDeliver,
  begunAt: number,
): Promise<UserReply> {
  const { replier, id } = planned;
  const { component } = push;
  const { asked, log, onReply } = state;
  if (replier === undefined) return NONE;
  const { name } = replier;
  const key = `${component} ${name}`;
  const before = asked.get(key) ?? 0;
  asked.set(key, before + 1);
  try {
    if (!(await mayAsk(state, component, name, before, begunAt))) {
      onReply?.(name, 'not_asked');
      leave(state, component, name, id);
      return NONE;
    }
    return await ask(state, replier, planned, push, begunAt);
  } catch (error) {
    // Its lease ends, and it is delivered like any other.
    log.error('a target could not be asked for a reply', { request_id: id, route: name, error });
    return NONE;
  } finally {
    asked.set(key, (asked.get(key) ?? 1) - 1);
  }
}

/** Not one that is left alone, and only while there is time. @param others who ask it already */
async function mayAsk(
  { clock, store }: State,
  component: string,
  route: string,
  others: number,
  begunAt: number,
): Promise<boolean> {
  if (others >= MOST_ASKED) return false;
  const may = await mayBeAsked(store, component, route);
  if (may === 'no' || (may === 'by_one' && others > 0)) return false;
  return clock.monotonic() - begunAt <= REPLY_MS - LEAST_MS;
}

async function repeatOf(
  { store, clock, log }: State,
  component: string,
  id: string,
  begunAt: number,
): Promise<UserReply> {
  try {
    while (clock.monotonic() - begunAt < REPLY_MS) {
      const known = await readReply(store, component, id);
      if (known !== undefined) return JSON.parse(known) as UserReply;
      await sleep(clock, POLL_MS);
    }
  } catch (error) {
    log.warn('a repeated push gets no reply: Redis does not answer', { request_id: id, error });
  }
  return NONE;
}

function leave(state: State, component: string, target: string, id: string): void {
  end(state, component, target, id, {
    outcome: 'released',
    status: 'not_sendable',
    asked: false,
    againInMs: 0,
    pauseMs: undefined,
    tookMs: 0,
    reply: JSON.stringify(NONE),
  });
}

/** Stores how it ended. Not awaited: the user waits. */
function end(
  { dispatcher, ending, log }: State,
  component: string,
  target: string,
  id: string,
  made: MadeAttempt,
): void {
  const stored = dispatcher
    .settle(component, { target, id, attempt: 0 }, made)
    // Its lease ends.
    .catch((error: unknown) => log.warn('a delivery could not be ended', { request_id: id, error }))
    .finally(() => {
      ending.delete(stored);
      // Otherwise nothing waits that did not wait before.
      if (made.outcome !== 'delivered') dispatcher.kick(component);
    });
  ending.add(stored);
}

async function ask(
  state: State,
  route: Route,
  { kept, id }: PlannedPush,
  push: PushToDeliver,
  begunAt: number,
): Promise<UserReply> {
  const { clock, client, onReply, log } = state;
  const { component } = push;
  const askedAt = clock.monotonic();
  const limit = deadline(clock, REPLY_MS - (askedAt - begunAt));
  let answer: TargetAnswer | Error;
  try {
    const request = requestFor(route, { id, component, kept }, clock.now());
    answer = await client.send(request, limit.signal);
  } catch (error) {
    answer = error instanceof Error ? error : new Error('unknown', { cause: error });
    if (!(error instanceof TargetError)) {
      log.error('a target could not be asked for a reply', { request_id: id, error });
    }
  } finally {
    limit.cancel();
  }
  const judged = judge(answer, 0, clock.now(), clock.random());
  const { reply, outcome } = replyIn(state, route, push, answer, limit.signal.aborted);
  const tookMs = Math.round(clock.monotonic() - askedAt);
  onReply?.(route.name, outcome);
  const replied = outcome === 'given' || outcome === 'none' ? ('told' as const) : outcome;
  if (replied !== 'told') {
    const facts = { component, route: route.name, request_id: id, reply: replied, took_ms: tookMs };
    log.warn('the user got no reply from a target', facts);
  }
  const asked = judged.status !== 'not_sendable';
  const made = { ...judged, asked, tookMs, reply: JSON.stringify(reply), replied };
  end(state, component, route.name, id, made);
  return reply;
}

function replyIn(
  { clock, components }: State,
  route: Route,
  { component, fields }: PushToDeliver,
  answer: TargetAnswer | Error,
  isLate: boolean,
): { reply: UserReply; outcome: 'given' | 'none' | MissedReply } {
  if (answer instanceof Error) return { reply: NONE, outcome: isLate ? 'late' : 'failed' };
  if (!isSuccess(answer.status)) return { reply: NONE, outcome: 'failed' };
  const secrets = components.find(({ componentAppid }) => componentAppid === component);
  const conversation = {
    user: textOf(fields, 'FromUserName') ?? '',
    account: textOf(fields, 'ToUserName') ?? '',
    createTime: Math.floor(clock.now() / 1000),
  };
  const found = secrets && readUserReply(route, secrets, conversation, answer);
  if (found === undefined) return { reply: NONE, outcome: 'malformed' };
  return { reply: found, outcome: found.as === 'none' ? 'none' : 'given' };
}
