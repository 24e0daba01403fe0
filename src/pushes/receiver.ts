import { createHash, randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../clock.ts';
import { KeeperError, type ErrorCode } from '../errors.ts';
import type { Log } from '../log.ts';
import { countPush, type PushCounter } from '../store/push-stats.ts';
import type { Store } from '../store/store.ts';
import {
  openEnvelope,
  parseSignedQuery,
  verifyEcho,
  type EnvelopeSecrets,
  type OpenedEnvelope,
} from '../wechat/envelope.ts';
import {
  parseEventEnvelope,
  parseMessageEnvelope,
  parsePushXml,
  shaped,
  type PushFields,
} from '../wechat/push-xml.ts';
import { handlerOf, recordMessage } from './handlers/index.ts';
import { signedTimes } from './handlers/push-time.ts';
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
}

export interface Answer {
  type: 'text/plain' | 'text/xml';
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
}

export interface ReceiverOptions extends HandlerContext {
  components: readonly EnvelopeSecrets[];
  clock: Clock;
  log: Log;
  store: Store;
  /** Called with what became of a push, or the code of the error it was refused with. */
  onPush?: (type: 'event' | 'message', outcome: PushOutcome | ErrorCode | 'bug') => void;
  /** Called with each push that was accepted. @returns the moment to note it with, epoch ms */
  onAccepted?: (component: string, type: 'event' | 'message') => number;
}

/** Seconds by which the signed timestamp may differ from our clock, either way. */
const MAX_SKEW_SECONDS = 300;
const SUCCESS: Answer = { type: 'text/plain', body: 'success' };

const eventFields = z.object({ AppId: z.string(), InfoType: z.string().min(1).max(64) });

export function createReceiver(options: ReceiverOptions): Receiver {
  const components = new Map(options.components.map((one) => [one.componentAppid, one]));
  const secretsOf = (appid: string): EnvelopeSecrets => {
    const secrets = components.get(appid);
    if (secrets === undefined) throw new KeeperError('unknown_component', 'unknown component');
    return secrets;
  };
  return {
    knows: (appid) => components.has(appid),
    echo: (appid, query) => verifyEcho(secretsOf(appid), query),
    async receive(push) {
      try {
        return await receive(options, secretsOf(push.componentAppid), push);
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
  options: ReceiverOptions,
  secrets: EnvelopeSecrets,
  arrived: ArrivedPush,
): Promise<Answer> {
  const now = options.clock.now();
  const query = parseSignedQuery(arrived.query, 'msg_signature');
  const { encrypt_type: encryptType } = arrived.query;
  if (encryptType !== undefined && encryptType !== 'aes') {
    throw new KeeperError('malformed_push', 'encrypt_type must be aes');
  }
  const opened = openEnvelope(secrets, query, readEncrypt(secrets, arrived));
  const fields = parsePushXml(opened.message);
  const timely = Math.abs(Number(query.timestamp) - now / 1000) <= MAX_SKEW_SECONDS;
  const push = {
    requestId: randomUUID(),
    componentAppid: secrets.componentAppid,
    fields,
    receivedAt: now,
    timely,
    signedTimes: signedTimes(query),
    // One Encrypt on two URLs is two pushes: neither may pass for a repeat of the other.
    fingerprint: [arrived.authorizerAppid, opened.fingerprint].filter(Boolean).join(':'),
    contentHash: createHash('sha256').update(opened.message).digest('hex'),
  };
  const { authorizerAppid } = arrived;
  if (authorizerAppid === undefined) {
    noteOutcome(options, push, opened, await handleEvent(options, push, opened));
    return SUCCESS;
  }
  const outcome = await recordMessage({ ...push, authorizerAppid }, options);
  const message = { ...push, authorizerAppid, outcome };
  noteOutcome(options, message, opened, outcome);
  return answerTo(options, message, (xml) => opened.seal(xml, Math.floor(now / 1000), query.nonce));
}

/** The message is stored by now, so whatever fails here must not make WeChat send it again. */
function answerTo(
  { replyTo, log }: ReceiverOptions,
  message: StoredMessage,
  seal: (xml: string) => string,
): Answer {
  try {
    const reply = replyTo?.(message);
    if (reply === undefined) return SUCCESS;
    const { xml, ...rest } = reply;
    if (xml === '') return { type: 'text/plain', body: '', ...rest };
    return { type: 'text/xml', body: seal(xml), ...rest };
  } catch (error) {
    log.error('a message could not be replied to', { request_id: message.requestId, error });
    return SUCCESS;
  }
}

/** Checks the outer document and returns its Encrypt. */
function readEncrypt(secrets: EnvelopeSecrets, arrived: ArrivedPush): string {
  if (arrived.authorizerAppid !== undefined) return parseMessageEnvelope(arrived.body).encrypt;
  const { appid, encrypt } = parseEventEnvelope(arrived.body);
  if (appid !== secrets.componentAppid) {
    throw new KeeperError('malformed_push', 'AppId is not the component of this URL');
  }
  return encrypt;
}

async function handleEvent(
  options: ReceiverOptions,
  push: OpenedPush,
  opened: OpenedEnvelope,
): Promise<PushOutcome> {
  const { AppId, InfoType } = shaped(eventFields, push.fields);
  if (AppId !== push.componentAppid) throw new KeeperError('unreadable_push', 'unreadable');
  // WeChat's own events are clean UTF-8; only a user's message may be broken.
  if (!opened.lossless) throw new KeeperError('unreadable_push', 'unreadable');
  return handlerOf(InfoType).handle(push, options);
}

/** Logs and counts behind the answer: neither may delay or spoil it. */
function noteOutcome(
  options: ReceiverOptions,
  push: OpenedPush & { authorizerAppid?: string },
  opened: OpenedEnvelope,
  outcome: PushOutcome,
): void {
  const { usedPreviousKey, usedPreviousToken } = opened;
  const { log, store, clock } = options;
  options.onPush?.(typeOf(push), outcome);
  log.info('push accepted', {
    request_id: push.requestId,
    component: push.componentAppid,
    type: nameOf(push.fields),
    outcome,
    previous_key: usedPreviousKey,
    previous_token: usedPreviousToken,
    lossless: opened.lossless,
  });
  const counters: PushCounter[] = [outcome === 'duplicate' ? 'duplicate' : 'accepted'];
  if (usedPreviousKey) counters.push('previous_key');
  if (usedPreviousToken) counters.push('previous_token');
  const at = options.onAccepted?.(push.componentAppid, typeOf(push)) ?? clock.now();
  countPush(store, push.componentAppid, typeOf(push), counters, at).catch((error: unknown) => {
    log.warn('a push could not be counted', { error });
  });
}

function nameOf({ InfoType, MsgType, Event }: PushFields): unknown {
  return InfoType ?? Event ?? MsgType;
}
