import type { CallRecord, PushRecord } from './ledger.ts';
import type { ComponentOptions } from './options.ts';
import type { PushFields } from './push-document.ts';
import { randomMessageId, randomOpenid } from './push-message.ts';
import {
  ANSWER_LIMIT_MS,
  faultOfEmpty,
  faultOfReply,
  sendMessage,
  type UserMessage,
} from './release-message.ts';
import type { Simulator } from './simulator.ts';

/**
 * Plays WeChat's check before a platform is released (全网发布检测): all ten test accounts, where
 * the real one draws one group of two.
 * Source: developers.weixin.qq.com, Third-party_Platforms/2.0, operation/thirdparty/releases_test.
 */

export interface CheckedAccount {
  appid: string;
  userName: string;
  type: 'official account' | 'mini-program';
}

export const CHECKED_ACCOUNTS: readonly CheckedAccount[] = [
  ...[
    ['wx570bc396a51b8ff8', 'gh_3c884a361561'],
    ['wx9252c5e0bb1836fc', 'gh_c0f28a78b318'],
    ['wx8e1097c5bc82cde9', 'gh_3f222ed8d140'],
    ['wx14550af28c71a144', 'gh_26128078e9ab'],
    ['wxa35b9c23cfe664eb', 'gh_2b3713f184a6'],
  ].map(([appid = '', userName = '']) => ({ appid, userName, type: 'official account' as const })),
  ...[
    ['wxd101a85aa106f53e', 'gh_8dad206e9538'],
    ['wxc39235c15087f6f3', 'gh_905ae9d01059'],
    ['wx7720d01d4b2a4500', 'gh_393666f1fdf4'],
    ['wx05d483572dcd5d8b', 'gh_39abb5d4e1b7'],
    ['wx5910277cae6fd970', 'gh_7818dcb60240'],
  ].map(([appid = '', userName = '']) => ({ appid, userName, type: 'mini-program' as const })),
];

/** What the console calls them: ticket, authorization, texts, API, event, de-authorization. */
export type CheckStep =
  'ticket' | 'authorized' | 'text' | 'code' | 'api message' | 'event' | 'unauthorized';

export interface CheckResult {
  account: CheckedAccount;
  step: CheckStep;
  ok: boolean;
  /** In words: what came, or what is wrong with it. */
  detail: string;
  tookMs: number;
}

export interface ReleaseCheckOptions {
  /** With the secrets that messages are encrypted with. Its callback URL must be set. */
  component: ComponentOptions;
  /** The message & event URL, with `$APPID$` where the account's appid goes. */
  messageUrl: string;
  /** Default all. */
  accounts?: readonly CheckedAccount[];
  /** Milliseconds for each answer, and for the message by the API; default WeChat's 5000. */
  limitMs?: number;
  /** For CreateTime; default real time. Delays are always measured in real time. */
  now?: () => number;
  /** Called after each step. */
  onResult?: (result: CheckResult) => void;
}

interface Run extends ReleaseCheckOptions {
  simulator: Simulator;
  account: CheckedAccount;
  limitMs: number;
}

interface Outcome extends Pick<CheckResult, 'ok' | 'detail' | 'tookMs'> {
  /** There was no answer at all. */
  unreachable?: boolean;
}

const TEXT = 'TESTCOMPONENT_MSG_TYPE_TEXT';
/** Milliseconds between looks at what the simulator was sent. */
const POLL_MS = 10;

/**
 * Plays all steps for one account after the other; ends when nobody answers a ticket. Never rejects
 * for what the service does.
 * Messages have the form of the simulator's pushes, and replies are awaited in the same.
 * A token must outlive its successor's minting for a while (`overlapSeconds`), as at WeChat: the event
 * and the text each bring one.
 * @throws RangeError when the simulator does not know the component or its callback URL
 */
export async function runReleaseCheck(
  simulator: Simulator,
  options: ReleaseCheckOptions,
): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  const component = options.component.appid;
  for (const account of options.accounts ?? CHECKED_ACCOUNTS) {
    const run = { limitMs: ANSWER_LIMIT_MS, ...options, simulator, account };
    const note = (step: CheckStep, { ok, detail, tookMs }: Outcome): void => {
      const result = { account, step, ok, detail, tookMs };
      results.push(result);
      options.onResult?.(result);
    };
    const ticket = await expectSuccess(run, () => simulator.pushTicket(component));
    note('ticket', ticket);
    if (ticket.unreachable === true) break;
    // The event carries another code of the same authorization than the text does.
    const kind = account.type === 'mini-program' ? 'mini' : 'official';
    const codes = simulator.grant(component, account.appid, { kind, twoCodes: true });
    const pushAuthorized = () =>
      simulator.pushAuthorized(component, account.appid, codes.eventCode);
    note('authorized', await expectSuccess(run, pushAuthorized));
    const text = { MsgType: 'text', MsgId: randomMessageId(), Content: TEXT };
    note('text', await expectReply(run, text, `${TEXT}_callback`));
    await checkApiMessage(run, codes.redirectCode, note);
    note('event', await expectReply(run, LOCATION, 'LOCATIONfrom_callback'));
    const pushUnauthorized = () => simulator.pushUnauthorized(component, account.appid);
    note('unauthorized', await expectSuccess(run, pushUnauthorized));
  }
  return results;
}

const LOCATION = {
  MsgType: 'event',
  Event: 'LOCATION',
  Latitude: '23.137466',
  Longitude: '113.352425',
  Precision: '119.385040',
};

/** What a push came to, which must be answered with `success`. */
async function expectSuccess({ limitMs }: Run, push: () => Promise<PushRecord>): Promise<Outcome> {
  const started = performance.now();
  const { accepted, status, error, answer } = await push();
  const tookMs = Math.round(performance.now() - started);
  if (accepted && tookMs <= limitMs) return { ok: true, detail: 'success', tookMs };
  if (accepted) {
    return { ok: false, detail: `the answer took more than ${limitMs} ms`, tookMs };
  }
  const wrong =
    status === 200 ? `"${answer.slice(0, 40)}" and not success` : `status ${status ?? 0}`;
  const detail = error ?? `the answer is ${wrong}`;
  return { ok: false, detail, tookMs, unreachable: status === null };
}

async function expectReply(run: Run, fields: PushFields, content: string): Promise<Outcome> {
  const message = messageTo(run, fields);
  const answer = await sendMessage(message);
  const fault = faultOfReply(message, answer, content);
  return { ok: fault === undefined, detail: fault ?? content, tookMs: answer.tookMs };
}

/** A code comes in a text: an empty answer, and then the code goes back by the API. */
async function checkApiMessage(
  run: Run,
  code: string,
  note: (step: CheckStep, outcome: Outcome) => void,
): Promise<void> {
  const { calls, messages } = run.simulator.ledger;
  const since = { calls: calls.length, messages: messages.length };
  const fields = { MsgType: 'text', Content: `QUERY_AUTH_CODE:${code}`, MsgId: randomMessageId() };
  const message = messageTo(run, fields);
  const answer = await sendMessage(message);
  const fault = faultOfEmpty(answer);
  const { tookMs } = answer;
  note('code', { ok: fault === undefined, detail: fault ?? 'the empty answer', tookMs });
  const refused = { ok: false, detail: 'not awaited: the code was not taken', tookMs: 0 };
  note(
    'api message',
    fault === undefined ? await awaitMessage(run, message, code, since) : refused,
  );
}

/** What the service sends by the API, as soon as it is there. */
async function awaitMessage(
  { simulator, account, limitMs }: Run,
  { from }: UserMessage,
  code: string,
  since: { calls: number; messages: number },
): Promise<Outcome> {
  const { calls, messages } = simulator.ledger;
  const started = performance.now();
  const tookMs = (): number => Math.round(performance.now() - started);
  const find = () => messages.slice(since.messages).find(({ touser }) => touser === from);
  while (find() === undefined && tookMs() < limitMs) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  const sent = find();
  const fault =
    sent === undefined
      ? whyNothingCame(calls.slice(since.calls))
      : sent.appid !== account.appid
        ? `the message was sent with the token of ${sent.appid}`
        : sent.content !== `${code}_from_api`
          ? 'the message is not the code and _from_api: the code is all behind the first colon'
          : undefined;
  return { ok: fault === undefined, detail: fault ?? '<code>_from_api', tookMs: tookMs() };
}

/** From the calls that the service made meanwhile. */
function whyNothingCame(calls: readonly CallRecord[]): string {
  const missing = 'no message came to the sender in time';
  const failed = calls.findLast(({ errcode }) => errcode !== 0);
  if (failed === undefined) {
    const made = [...new Set(calls.map(({ api }) => api))].join(', ');
    return `${missing}; calls of the service meanwhile: ${made === '' ? 'none' : made}`;
  }
  const outcome = failed.errcode === null ? 'got no answer' : `got errcode ${failed.errcode}`;
  return `${missing}: ${failed.api} ${outcome}`;
}

function messageTo(run: Run, fields: PushFields): UserMessage {
  const { component, messageUrl, account, limitMs, now = Date.now, simulator } = run;
  return {
    component,
    url: messageUrl.replaceAll('$APPID$', account.appid),
    to: account.userName,
    appid: account.appid,
    from: randomOpenid(),
    createTime: Math.floor(now() / 1000),
    fields,
    limitMs,
    ...simulator.pushForm,
  };
}
