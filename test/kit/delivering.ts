import { expect } from 'vitest';
import { COMPONENT, MINUTE, type TestPlatform } from './platform.ts';
import { asMessage, MESSAGES, post, type PostedPush } from './public-listener.ts';
import { encryptPush, type EnvelopeOptions } from './push-envelope.ts';
import type { Answering, Target } from './targets.ts';
import { readTargetState, type TargetState } from '../../src/store/deliveries/target-state.ts';
import type { EnvelopeSecrets } from '../../src/wechat/push/envelope.ts';
import { appendEvent } from '../../src/store/tickets/event-stream.ts';
import type { DeliveryPlan } from '../../src/store/tickets/push.ts';

/** Delivery routes, as CONFIG_FILE spells them, and messages for them. */

export const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
/** What an application of its own has, behind `sealed`. */
export const APP = {
  token: 'appToken',
  encodingAesKey: 'ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210abcdefg',
};

export function rawRoute(target: Target, fields: object = {}): object {
  return { name: 'raw', target: target.url, mode: 'raw', ...fields };
}

export function jsonRoute(target: Target, fields: object = {}): object {
  return { name: 'json', target: target.url, mode: 'json', secrets: [SECRET], ...fields };
}

export function sealedRoute(target: Target, fields: object = {}): object {
  const { token, encodingAesKey: key } = APP;
  const own = { token, encoding_aes_key: key };
  return { name: 'sealed', target: target.url, mode: 'sealed', ...own, ...fields };
}

/** By mode. */
export const ROUTES = { raw: rawRoute, sealed: sealedRoute, json: jsonRoute };

/** What the console has, and what the application behind `sealedRoute`. */
export const CONSOLE: EnvelopeSecrets = {
  componentAppid: COMPONENT.appid,
  token: COMPONENT.token,
  encodingAesKey: COMPONENT.encodingAesKey,
};
export const APPLICATION: EnvelopeSecrets = { componentAppid: COMPONENT.appid, ...APP };

/** For `Target.answer`: 200 with this body. */
export function says(body: string): Answering {
  return (_request, response) => response.end(body);
}

const secondsOf = ({ clock }: TestPlatform) => Math.floor(clock.now() / 1000);

/** A text to `gh_1`, unless the fields say otherwise. */
export function messageXml(
  platform: TestPlatform,
  fields: Readonly<Record<string, string | number>> = {},
): string {
  const all = {
    ToUserName: 'gh_1',
    FromUserName: 'o1',
    CreateTime: secondsOf(platform),
    MsgType: 'text',
    Content: 'hello',
    MsgId: 1,
    ...fields,
  };
  const elements = Object.entries(all).map(([name, value]) => `<${name}>${value}</${name}>`);
  return `<xml>${elements.join('')}</xml>`;
}

export function messagePush(
  platform: TestPlatform,
  xml: string,
  options: EnvelopeOptions = {},
): PostedPush {
  return asMessage(encryptPush(xml, { timestamp: secondsOf(platform), ...options }));
}

/** Sends one that is accepted, and waits for what follows. */
export async function sendMessage(
  platform: TestPlatform,
  fields: Readonly<Record<string, string | number>> = {},
): Promise<PostedPush> {
  const push = messagePush(platform, messageXml(platform, fields));
  expect(await post(platform, push, MESSAGES)).toBe('200 success');
  return push;
}

export function stateOf({ store }: TestPlatform, route: string): Promise<TargetState> {
  return readTargetState(store, COMPONENT.appid, route);
}

/** Stores a push for the route `json` as a replica does that dies before it delivers anything. */
export async function storeAndDie({ store, keys, clock }: TestPlatform, id: string): Promise<void> {
  const { fresh, target } = keys.deliveries(COMPONENT.appid, 'json');
  const kept = { at: '1', type: 'message', targets: 'json', json: `{"id":"${id}"}` };
  const score = clock.now();
  const plan: DeliveryPlan = { id, kept, queues: [{ keys: [fresh, target], score }] };
  const identities = [{ name: id, forMs: MINUTE }];
  await appendEvent(store, COMPONENT.appid, { identities, event: { id }, plan });
}
