import { WechatError, type WechatAnswer } from '../../src/wechat/client.ts';

/**
 * WeChat as the schedules need it: a request is executed when the scheduler says so, each execution
 * mints a value that ends the former one, and the answer is a step of its own.
 */

/** Milliseconds a client waits for an answer. */
export const CALL_MS = 8_000;
/** Milliseconds for which a request that was given up may still be executed. */
const LATE_MS = 10_000;

/** The sender's side: what happens to the promise that waits for the answer. */
export interface Waiting {
  resolve(answer: WechatAnswer): void;
  reject(error: unknown): void;
}

export interface Request {
  /** For traces. */
  name: string;
  /** Undefined when nobody waits any more. */
  sender: Waiting | undefined;
  /** When it was made; between that and the sending its sender may be paused. */
  madeAt: number;
  sentAt: number | undefined;
  /** From then on WeChat does not execute it any more. */
  executeUntil: number;
  /** The mint, once executed. */
  mint: Mint | undefined;
  /** Its answer never arrives: the sender waits until its deadline. */
  silent: boolean;
}

export interface Mint {
  number: number;
  value: string;
  at: number;
  expiresAt: number;
}

export interface Wechat {
  mints: Mint[];
  /** Sent and not yet over, in the order of sending. */
  requests: Request[];
  lifeMs: number;
}

export function createWechat(lifeMs: number): Wechat {
  return { mints: [], requests: [], lifeMs };
}

export function send(wechat: Wechat, request: Request, now: number): void {
  request.sentAt = now;
  request.executeUntil = now + CALL_MS + LATE_MS;
  wechat.requests.push(request);
}

export function execute(wechat: Wechat, request: Request, now: number): Mint {
  request.mint = mint(wechat, now);
  if (request.sender === undefined) forget(wechat, request);
  return request.mint;
}

/** Issues a value, which ends the former one. */
export function mint(wechat: Wechat, now: number): Mint {
  const number = wechat.mints.length + 1;
  const made = { number, value: `T${number}`, at: now, expiresAt: now + wechat.lifeMs };
  wechat.mints.push(made);
  return made;
}

export function answer(wechat: Wechat, request: Request): void {
  const { sender } = request;
  forget(wechat, request);
  sender?.resolve({
    fields: { access_token: request.mint?.value, expires_in: wechat.lifeMs / 1000 },
    mayHaveRunTwice: false,
  });
}

/** The sender has stopped waiting, or is dead; WeChat may execute the request all the same. */
export function abandon(wechat: Wechat, request: Request, now: number): void {
  request.sender = undefined;
  request.executeUntil = Math.min(request.executeUntil, now + LATE_MS);
  if (request.mint !== undefined) forget(wechat, request);
}

export function forget(wechat: Wechat, request: Request): void {
  wechat.requests = wechat.requests.filter((one) => one !== request);
}

export function mayExecute(request: Request, now: number): boolean {
  return request.sentAt !== undefined && request.mint === undefined && now < request.executeUntil;
}

/** What the client throws when the answer does not come; `fault` says how it noticed. */
export function lostAnswer(fault: 'timeout' | 'unreachable'): WechatError {
  return new WechatError({
    api: 'token',
    host: 'wechat',
    fault,
    class: 'retry',
    mayHaveRun: true,
  });
}
