import { randomUUID } from 'node:crypto';
import type { Clock } from '../lib/clock.ts';
import { readAppid } from '../config/appid.ts';
import { KeeperError, type ErrorCode } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Store } from '../store/redis/store.ts';
import type { EventFields } from '../store/tickets/push.ts';
import {
  openPush,
  verifyEcho,
  type EnvelopeSecrets,
  type PushFormat,
  type TrustedPush,
} from '../wechat/push/envelope.ts';
import { textOf, type PushFields } from '../wechat/push/push-fields.ts';
import { readPush } from '../wechat/push/read-push.ts';
import { createUsualOpener, readUsual, type UsualOpener } from '../wechat/push/usual-push.ts';
import type { PlannedPush } from '../deliveries/plan.ts';
import type { PushToDeliver } from '../deliveries/push-to-deliver.ts';
import type { UserReply } from '../deliveries/reply-content.ts';
import type { Replies } from '../deliveries/replies.ts';
import { createOriginalIds, type OriginalIds } from './original-ids.ts';
import { handlerOf, recordMessage } from './handlers/index.ts';
import type { PushTally } from './push-tally.ts';
import type { HandlerContext, OpenedPush, PushOutcome, StoredMessage } from './handlers/handler.ts';

/**
 * What happens to a push, whatever carried it here: open, check, handle (which dedupes and stores
 * in one step), then say `success`. `success` is said only after Redis acknowledged. A message may
 * be replied to instead, which is the answer as well.
 * What WeChat need not wait for happens behind the answer.
 */
export interface Receiver {
  /**
   * @returns what to answer with, status 200
   * @throws KeeperError with the status and text of design's table of answers
   */
  receive(push: ArrivedPush): Promise<Answer>;
  /** Answers WeChat's echostr check. @throws KeeperError */
  echo(componentAppid: string, query: Readonly<Record<string, unknown>>): string;
  knows(componentAppid: string): boolean;
  /** The moment, to be taken when a push begins to arrive. */
  begin(): number;
}

export interface Answer {
  type: 'text/plain' | 'text/xml' | 'application/json';
  /** Empty when WeChat shall know that it arrived, and the user see nothing. */
  body: string;
  /** To be called once, when the answer is out or WeChat has hung up. */
  afterwards?: () => void;
}

export interface ArrivedPush {
  componentAppid: string;
  /** Given on the message & event URL, absent on the authorization-event URL. */
  authorizerAppid?: string;
  query: Readonly<Record<string, unknown>>;
  body: Buffer;
  contentType?: string | undefined;
  /** When its first byte came, as `Receiver.begin` has it. */
  begunAt?: number;
}

export interface ReceiverOptions extends HandlerContext {
  components: readonly EnvelopeSecrets[];
  clock: Clock;
  log: Log;
  store: Store;
  tally: PushTally;
  /** Called with what became of a push, or the code of the error it was refused with. */
  onPush?: (type: 'event' | 'message', outcome: PushOutcome | ErrorCode | 'bug') => void;
  /** @returns a moment, epoch ms, later than all it has given before */
  nextMoment?: () => number;
  /** Plans what is to be delivered of a push. */
  planDeliveries?: (push: PushToDeliver) => PlannedPush | undefined;
  /** Called behind a push of which something is to be delivered. */
  onPlanned?: (component: string) => void;
  /** Answers users by targets. */
  replies?: Replies | undefined;
  /** Called with each push that was accepted, and the moment at which it had come. */
  onAccepted?: (component: string, type: 'event' | 'message', at: number) => void;
}

interface Platform {
  secrets: EnvelopeSecrets;
  openUsual: UsualOpener;
  /** Of the further platforms here. */
  others: readonly EnvelopeSecrets[];
}

/** Letters of a push's name in the log. */
const MAX_NAME = 64;
const SUCCESS: Answer = { type: 'text/plain', body: 'success' };
const NO_REPLY: UserReply = { as: 'none' };

export function createReceiver(options: ReceiverOptions): Receiver {
  const components = new Map(
    options.components.map((secrets) => {
      const others = options.components.filter((one) => one !== secrets);
      return [secrets.componentAppid, { secrets, others, openUsual: createUsualOpener(secrets) }];
    }),
  );
  const platformOf = (appid: string): Platform => {
    const platform = components.get(appid);
    if (platform === undefined) {
      throw new KeeperError('unknown_component', 'unknown component', {
        reason: 'unknown_component',
      });
    }
    return platform;
  };
  const parts = { ...options, originalIds: createOriginalIds(options) };
  return {
    knows: (appid) => components.has(appid),
    begin: () => options.clock.monotonic(),
    echo: (appid, query) => verifyEcho(platformOf(appid).secrets, query),
    async receive(push) {
      try {
        return await receive(parts, platformOf(push.componentAppid), push);
      } catch (error) {
        options.onPush?.(typeOf(push), error instanceof KeeperError ? error.code : 'bug');
        throw error;
      }
    },
  };
}

function typeOf({ authorizerAppid }: { authorizerAppid?: string }) {
  return authorizerAppid === undefined ? 'event' : 'message';
}

async function receive(
  options: ReceiverOptions & { originalIds: OriginalIds },
  { secrets, others, openUsual }: Platform,
  arrived: ArrivedPush,
): Promise<Answer> {
  const now = options.clock.now();
  const { authorizerAppid } = arrived;
  const opened =
    openUsual(arrived.query, arrived.body) ??
    openPush(secrets, arrived.query, arrived.body, others);
  const typed = authorizerAppid !== undefined;
  const read = readUsual(opened.message) ?? readPush(opened.message, { typed });
  const deliveries = deliveriesOf(options, arrived, opened);
  const push: OpenedPush = {
    requestId: randomUUID(),
    componentAppid: secrets.componentAppid,
    fields: read.fields,
    content: read.content,
    raw: read.raw,
    odd: opened.lossless ? read.odd : [...read.odd, 'broken_utf8'],
    receivedAt: now,
    signed: opened.query,
    hashes: opened.hashes,
    counted: {
      url: typeOf(arrived),
      at: options.nextMoment?.() ?? now,
      usedPreviousKey: opened.usedPreviousKey,
      usedPreviousToken: opened.usedPreviousToken,
    },
    plan: (entry, awaits) => deliveries.plan(push, entry, awaits),
  };
  assertAtItsUrl(push, authorizerAppid);
  if (authorizerAppid === undefined) {
    const outcome = await handlerOf(textOf(push.fields, 'InfoType') ?? '').handle(push, options);
    noteOutcome(options, push, opened, outcome);
    deliveries.begin(push);
    return SUCCESS;
  }
  const account = await accountOf(options.originalIds, push, authorizerAppid);
  const odd = account === 'another' ? ([...push.odd, 'another_account'] as const) : push.odd;
  const arrivedMessage = { ...push, odd, authorizerAppid, atItsAccount: account === 'its_own' };
  const { outcome, firstId } = await recordMessage(arrivedMessage, options);
  const message = { ...push, odd, authorizerAppid, outcome };
  noteOutcome(options, message, opened, outcome);
  const form: ReplyForm = {
    seal: (reply) => opened.seal(reply, Math.floor(now / 1000), opened.query.nonce),
    envelope: opened.format,
    inside: read.format,
  };
  const own = answerTo(options, message, form);
  deliveries.begin(push);
  if (own === undefined && deliveries.hasReplier()) {
    return answerIn(form, await deliveries.reply(push, outcome, firstId));
  }
  if (own !== undefined && outcome === 'stored') deliveries.leave(push);
  return own ?? SUCCESS;
}

/** How a reply to one message is encrypted and written. */
interface ReplyForm {
  seal: (reply: string) => string;
  envelope: PushFormat;
  inside: PushFormat;
}

/** What becomes of one push after it was stored, by the routes that take it. */
function deliveriesOf(options: ReceiverOptions, arrived: ArrivedPush, opened: TrustedPush) {
  const { planDeliveries, replies, onPlanned, clock } = options;
  const begunAt = arrived.begunAt ?? clock.monotonic();
  let source: PushToDeliver | undefined;
  let planned: PlannedPush | undefined;
  return {
    plan(push: OpenedPush, entry: EventFields, awaits?: string): PlannedPush | undefined {
      if (planDeliveries === undefined) return undefined;
      const named = arrived.authorizerAppid ?? readAppid(entry.authorizer_appid ?? '');
      source = {
        id: push.requestId,
        component: push.componentAppid,
        authorizer: named,
        type: typeOf(arrived),
        fields: push.fields,
        entry,
        receivedAt: push.receivedAt,
        query: arrived.query,
        body: arrived.body,
        contentType: arrived.contentType,
        message: opened.message,
        format: opened.format,
        awaits,
      };
      planned = planDeliveries(source);
      return planned;
    },
    hasReplier: () => replies !== undefined && planned?.replier !== undefined,
    /** Behind the answer. A repeat may be our own write, whose answer was lost. */
    begin(push: OpenedPush): void {
      if (planned === undefined) return;
      // What is asked for a reply waits for nobody else.
      const others = planned.queues.length - (planned.replier === undefined ? 0 : 1);
      if (others > 0) onPlanned?.(push.componentAppid);
    },
    leave(push: OpenedPush): void {
      if (planned?.replier !== undefined) replies?.leave(planned, push.componentAppid);
    },
    async reply(
      push: OpenedPush,
      outcome: PushOutcome,
      firstId: () => Promise<string | undefined>,
    ): Promise<UserReply> {
      if (replies === undefined || planned === undefined || source === undefined) return NO_REPLY;
      const first = outcome === 'stored' ? planned.id : await firstId().catch(() => undefined);
      if (first === undefined) return NO_REPLY;
      return first === planned.id
        ? replies.replyTo(planned, source, begunAt)
        : replies.repeatOf(push.componentAppid, first, begunAt);
    },
  };
}

/**
 * The two URLs are for different pushes. That the console has them the other way round must be told to
 * somebody; whatever else a push is, it is taken.
 * @throws KeeperError `malformed_push`, `unreadable_push`
 */
function assertAtItsUrl(
  { fields, content, componentAppid }: OpenedPush,
  authorizer?: string,
): void {
  const refuse = (text: string) =>
    new KeeperError('malformed_push', text, { reason: 'urls_exchanged' });
  const isPlatforms = textOf(fields, 'InfoType') !== undefined;
  // Events of the platform come without these. A message that has an InfoType as well is a message.
  const isMessage = ['ToUserName', 'MsgType'].some((name) => Object.hasOwn(content, name));
  if (authorizer !== undefined) {
    if (isPlatforms && !isMessage) {
      throw refuse('an event of the platform, sent to the URL for messages');
    }
    return;
  }
  if (!isPlatforms && isMessage) {
    throw refuse('a message of an account, sent to the URL for events of the platform');
  }
  const appid = textOf(fields, 'AppId') ?? '';
  if (appid !== '' && appid.toLowerCase() !== componentAppid) {
    throw new KeeperError('unreadable_push', 'unreadable', { reason: 'foreign_component' });
  }
}

/** Whether a message names the account of its URL, or another one, as a captured one would. */
async function accountOf(
  originalIds: OriginalIds,
  { componentAppid, fields }: OpenedPush,
  authorizer: string,
): Promise<'its_own' | 'another' | 'unknown'> {
  const named = textOf(fields, 'ToUserName') ?? '';
  if (named === '') return 'unknown';
  const known = await originalIds.of(componentAppid, authorizer);
  if (known === undefined) return 'unknown';
  return known === named ? 'its_own' : 'another';
}

/**
 * What the service itself has to say to a message. The message is stored by now, so whatever fails here must
 * not make WeChat send it again.
 */
function answerTo(
  { replyTo, log }: ReceiverOptions,
  message: StoredMessage,
  form: ReplyForm,
): Answer | undefined {
  try {
    const reply = replyTo?.(message);
    if (reply === undefined) return undefined;
    const { afterwards, ...documents } = reply;
    const answer = answerIn(form, { as: 'plain', ...documents });
    return afterwards === undefined ? answer : { ...answer, afterwards };
  } catch (error) {
    log.error('a message could not be replied to', { request_id: message.requestId, error });
    return SUCCESS;
  }
}

function answerIn({ seal, envelope, inside }: ReplyForm, reply: UserReply): Answer {
  if (reply.as === 'none') return SUCCESS;
  if (reply.as === 'encrypted') {
    const isJson = reply.body.trimStart().startsWith('{');
    return { type: isJson ? 'application/json' : 'text/xml', body: reply.body };
  }
  const { xml, json = xml } = reply;
  if (xml === '') return { type: 'text/plain', body: '' };
  const body = seal(inside === 'json' ? json : xml);
  return { type: envelope === 'json' ? 'application/json' : 'text/xml', body };
}

/** Logs and counts behind the answer: neither may delay or spoil it. */
function noteOutcome(
  options: ReceiverOptions,
  push: OpenedPush & { authorizerAppid?: string },
  opened: TrustedPush,
  outcome: PushOutcome,
): void {
  const { log } = options;
  const { url, at, usedPreviousKey, usedPreviousToken } = push.counted;
  options.onPush?.(url, outcome);
  options.onAccepted?.(push.componentAppid, url, at);
  const fields = () => ({
    request_id: push.requestId,
    component: push.componentAppid,
    ...(push.authorizerAppid === undefined ? {} : { authorizer: push.authorizerAppid }),
    type: nameOf(push.fields),
    ...(push.odd.length === 0 ? {} : { odd: push.odd }),
    outcome,
    previous_key: usedPreviousKey,
    previous_token: usedPreviousToken,
    lossless: opened.lossless,
  });
  if (options.tally.count(push.componentAppid, url, outcome)) log.info('push accepted', fields());
  else log.debug('push accepted', fields);
}

function nameOf(fields: PushFields): string | undefined {
  const names = ['InfoType', 'Event', 'MsgType'].map((name) => textOf(fields, name));
  return names.find((name) => name !== undefined)?.slice(0, MAX_NAME);
}
