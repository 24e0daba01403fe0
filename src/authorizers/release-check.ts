import { createHash, randomUUID } from 'node:crypto';
import { sleep, type Clock } from '../lib/clock.ts';
import { KeeperError } from '../lib/errors.ts';
import { callAsComponent } from '../credentials/call-as-component.ts';
import type { ReadContext } from '../credentials/read.ts';
import { sentenceOf } from '../credentials/error-words.ts';
import { describeFailure } from '../credentials/failure.ts';
import { SEEN_MS } from '../store/tickets/event-stream.ts';
import { takeLease } from '../store/redis/lease.ts';
import { WechatError } from '../wechat/client.ts';
import { queryAuth, sendCustomText } from '../wechat/calls/authorizer.ts';
import { textReply } from '../wechat/push/reply.ts';

/**
 * WeChat's check before a platform is released (全网发布检测), answered by the service itself: the
 * checker writes to us as a user of an official test account and wants certain answers within 5 s.
 *
 * Nothing about the test accounts is looked up or stored here. They need not be known to us, and the
 * code that the checker hands over is exchanged for its one message only: what the `authorized`
 * event of the same run brought stays as it is.
 *
 * Source: developers.weixin.qq.com, Third-party_Platforms/2.0, operation/thirdparty/releases_test
 * (全网发布接入检测说明).
 */

interface TestAccount {
  appid: string;
  /** Original id. */
  userName: string;
}

/** The official test accounts: five official accounts, five mini-programs. */
export const TEST_ACCOUNTS: readonly TestAccount[] = [
  { appid: 'wx570bc396a51b8ff8', userName: 'gh_3c884a361561' },
  { appid: 'wx9252c5e0bb1836fc', userName: 'gh_c0f28a78b318' },
  { appid: 'wx8e1097c5bc82cde9', userName: 'gh_3f222ed8d140' },
  { appid: 'wx14550af28c71a144', userName: 'gh_26128078e9ab' },
  { appid: 'wxa35b9c23cfe664eb', userName: 'gh_2b3713f184a6' },
  { appid: 'wxd101a85aa106f53e', userName: 'gh_8dad206e9538' },
  { appid: 'wxc39235c15087f6f3', userName: 'gh_905ae9d01059' },
  { appid: 'wx7720d01d4b2a4500', userName: 'gh_393666f1fdf4' },
  { appid: 'wx05d483572dcd5d8b', userName: 'gh_39abb5d4e1b7' },
  { appid: 'wx5910277cae6fd970', userName: 'gh_7818dcb60240' },
];

const PLAIN_TEXT = 'TESTCOMPONENT_MSG_TYPE_TEXT';
const CODE_PREFIX = 'QUERY_AUTH_CODE:';
/** WeChat's own trouble, which staff say to try once more. */
const BUSY_ERRCODES: readonly (number | undefined)[] = [-1, -1000];
/** Milliseconds before that: two of them still leave most of the checker's 5 s. */
const BUSY_WAIT_MS = 500;

/** A message or event that reached us for an account, already stored. */
export interface CheckedMessage {
  componentAppid: string;
  authorizerAppid: string;
  fields: Readonly<Record<string, unknown>>;
  /** `another_account`: it may have been captured, and sent to the URL of another account. */
  odd?: readonly string[];
  /** `duplicate`: it was stored before, which does not say that anybody began with what it asks for. */
  outcome: 'stored' | 'older' | 'duplicate';
}

export interface CheckReply {
  /** The reply's document, not yet encrypted; the empty text is the empty answer. */
  xml: string;
  /** The same for accounts that push JSON. */
  json?: string;
  /** To be called when the answer is out. */
  afterwards?: () => void;
}

export interface ReleaseCheck {
  /** The reply to a message of a test account; undefined when it is none, or asks for none. */
  replyTo(message: CheckedMessage): CheckReply | undefined;
  /** Resolves when nothing is being called; a pause before another try does not count. */
  idle(): Promise<void>;
}

type Work = ReadContext & { pause: () => Promise<void> };

export function createReleaseCheck(context: ReadContext): ReleaseCheck {
  let active = 0;
  const waiting = new Set<() => void>();
  const leave = (): void => {
    active -= 1;
    if (active > 0) return;
    for (const resolve of waiting) resolve();
    waiting.clear();
  };
  const pause = async (): Promise<void> => {
    leave();
    await sleep(context.clock, BUSY_WAIT_MS);
    active += 1;
  };
  return {
    replyTo(message) {
      const { reply, code } = answerReleaseCheck(context.clock, message) ?? {};
      if (reply === undefined || code === undefined) return reply;
      // Counted from now on, so that nobody takes us for idle between the answer and the work.
      active += 1;
      const afterwards = () => void speakFor({ ...context, pause }, message, code).finally(leave);
      return { ...reply, afterwards };
    },
    idle: () => new Promise((resolve) => (active > 0 ? waiting.add(resolve) : resolve())),
  };
}

/**
 * What the checker expects at once; with `code`, a message is to follow behind the answer.
 * @returns undefined for everybody else's messages and for what the checker does not send
 */
export function answerReleaseCheck(
  clock: Pick<Clock, 'now'>,
  { authorizerAppid, fields, odd = [] }: CheckedMessage,
): { reply: CheckReply; code?: string } | undefined {
  const { ToUserName: account, FromUserName: user, MsgType: type } = fields;
  if (typeof account !== 'string' || typeof user !== 'string') return undefined;
  const known = ({ appid, userName }: TestAccount) =>
    odd.includes('another_account')
      ? appid === authorizerAppid && userName === account
      : appid === authorizerAppid || userName === account;
  if (!TEST_ACCOUNTS.some(known)) return undefined;
  const say = (content: string) => {
    const createTime = Math.floor(clock.now() / 1000);
    return { reply: textReply({ to: user, from: account, createTime, content }) };
  };
  const { Event: event, Content: content } = fields;
  if (type === 'event') {
    return typeof event === 'string' && event !== '' ? say(`${event}from_callback`) : undefined;
  }
  if (type !== 'text' || typeof content !== 'string') return undefined;
  const text = content.trim();
  if (text === PLAIN_TEXT) return say(`${PLAIN_TEXT}_callback`);
  if (!text.startsWith(CODE_PREFIX)) return undefined;
  // Up to the end: the code has colons and `queryauthcode@@@` of its own.
  const code = text.slice(CODE_PREFIX.length).trim();
  return { reply: { xml: '' }, ...(code === '' ? {} : { code }) };
}

/**
 * Whether a code is nobody else's. A message that is a repeat may be our own: its first delivery was
 * stored, and Redis's answer, or the process, was lost.
 */
async function isOurs(
  { store, log }: Work,
  { componentAppid, outcome }: CheckedMessage,
  code: string,
): Promise<boolean> {
  const hash = createHash('sha256').update(code).digest('hex');
  const key = store.keys.seen(componentAppid, `release_check:${hash}`);
  try {
    return await takeLease(store, key, randomUUID(), SEEN_MS);
  } catch (error) {
    log.warn('release check: it could not be noted that a code is used', { error });
    return outcome !== 'duplicate';
  }
}

/** Exchanges the checker's code and writes to the checker with the token this brings. Never rejects. */
async function speakFor(context: Work, checked: CheckedMessage, code: string): Promise<void> {
  if (!(await isOurs(context, checked, code))) return;
  const { componentAppid, authorizerAppid, fields } = checked;
  const { api, clock, log, pause } = context;
  const facts = { component: componentAppid, authorizer: authorizerAppid };
  const started = clock.monotonic();
  try {
    const { token } = await callAsComponent(context, componentAppid, (platform) =>
      twiceIfBusy(pause, () => queryAuth(api, { ...platform, code })),
    );
    if (token === undefined) {
      log.error(
        'release check: no message was sent. The code brought no access token: tick the permission ' +
          'sets for messages in the console',
        facts,
      );
      return;
    }
    const message = {
      accessToken: token.value,
      touser: String(fields.FromUserName),
      content: `${code}_from_api`,
    };
    await twiceIfBusy(pause, () => sendCustomText(api, message));
    const tookMs = Math.round(clock.monotonic() - started);
    log.info('release check: the message was sent', { ...facts, took_ms: tookMs });
  } catch (error) {
    log.error(`release check: no message was sent. ${inWords(error)}`, { ...facts, error });
  }
}

async function twiceIfBusy<T>(pause: Work['pause'], call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    const busy = error instanceof WechatError && BUSY_ERRCODES.includes(error.facts.errcode);
    if (!busy) throw error;
    await pause();
    return await call();
  }
}

function inWords(error: unknown): string {
  if (error instanceof WechatError) return sentenceOf(describeFailure(error));
  return error instanceof KeeperError ? error.message : 'An unexpected fault inside wxkeeper.';
}
