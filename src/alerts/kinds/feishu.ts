import { createHmac } from 'node:crypto';
import { fit, textOfAll, type Tone } from '../message.ts';
import { faultByCode, inJson, type AlertKindRule } from './kind.ts';

/** Bytes of the text; Feishu refuses bodies of more than 20 KB. */
const MAX_BYTES = 10_000;
const COLOURS: Readonly<Record<Tone, string>> = {
  critical: 'red',
  warning: 'orange',
  info: 'blue',
  resolved: 'green',
};

/**
 * A robot in a group of Feishu or Lark: a card whose texts are plain, so nothing in them is a mention
 * or a link. It takes 5 messages a second and answers `{"code":0}`; 19021 is a wrong signature, 19024
 * a missing keyword. Source: open.feishu.cn/document/client-docs/bot-v3/add-custom-bot
 */
export const feishu: AlertKindRule = {
  batches: true,
  request({ url, secret, language }, notices, { at, version }) {
    const { heading, lines, tone } = textOfAll(notices, language, version);
    const content = fit(lines, MAX_BYTES, '\n'.length).join('\n');
    const title = { tag: 'plain_text', content: heading };
    const card = {
      config: { wide_screen_mode: true },
      header: { template: COLOURS[tone], title },
      elements: [{ tag: 'div', text: { tag: 'plain_text', content } }],
    };
    const timestamp = String(Math.floor(at / 1000));
    const signed = secret === undefined ? {} : { timestamp, sign: signFeishu(secret, timestamp) };
    return { url: new URL(url), payload: inJson({ ...signed, msg_type: 'interactive', card }) };
  },
  faultIn: faultByCode('code'),
};

/** @param timestamp Unix seconds; what is signed is nothing, under a key of both */
export function signFeishu(secret: string, timestamp: string): string {
  return createHmac('sha256', `${timestamp}\n${secret}`).digest('base64');
}
