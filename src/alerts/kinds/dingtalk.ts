import { createHmac } from 'node:crypto';
import { fit, plain, textOfAll } from '../message.ts';
import { faultByCode, inJson, type AlertKindRule } from './kind.ts';

/** Bytes of the text; DingTalk refuses bodies of more than 20,000. */
const MAX_BYTES = 10_000;

/**
 * A robot in a group of DingTalk. It takes 20 messages a minute, is silent for ten minutes after more
 * of them, and answers `{"errcode":0}`; 310000 is a wrong signature, keyword or address.
 * Source: open.dingtalk.com/document/robots/custom-robot-access
 */
export const dingtalk: AlertKindRule = {
  batches: true,
  request({ url, secret, language }, notices, { at, version }) {
    const { heading, lines } = textOfAll(notices, language, version);
    const head = `#### ${plain(heading)}`;
    const rest = fit(lines.map(plain), MAX_BYTES, '\n\n'.length);
    const text = [head, ...rest].join('\n\n');
    const target = new URL(url);
    if (secret !== undefined) {
      target.searchParams.set('timestamp', String(at));
      target.searchParams.set('sign', signDingtalk(secret, at));
    }
    const markdown = { title: plain(heading), text };
    return { url: target, payload: inJson({ msgtype: 'markdown', markdown }) };
  },
  faultIn: faultByCode('errcode'),
};

/** @param at epoch ms; DingTalk accepts an hour of difference */
export function signDingtalk(secret: string, at: number): string {
  return createHmac('sha256', secret).update(`${at}\n${secret}`).digest('base64');
}
