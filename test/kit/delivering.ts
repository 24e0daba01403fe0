import { expect } from 'vitest';
import { COMPONENT, type TestPlatform } from './platform.ts';
import { asMessage, MESSAGES, post, type PostedPush } from './public-listener.ts';
import { encryptPush, type EnvelopeOptions } from './push-envelope.ts';
import type { Target } from './targets.ts';
import { readTargetState, type TargetState } from '../../src/store/deliveries/queue.ts';

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
