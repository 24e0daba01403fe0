import { fit, plain, textOfAll, type Tone } from '../message.ts';
import { faultByCode, inJson, type AlertKindRule } from './kind.ts';

/** Bytes of `markdown.content`; longer ones are refused with 40058. */
const MAX_BYTES = 4_096;
const COLOURS: Readonly<Record<Tone, string>> = {
  critical: 'warning',
  warning: 'warning',
  info: 'comment',
  resolved: 'info',
};

/**
 * A robot in a group of WeCom. It takes 20 messages a minute (45009 after that) and answers
 * `{"errcode":0}`. Source: developer.work.weixin.qq.com/document/path/91770
 */
export const wecom: AlertKindRule = {
  batches: true,
  request({ url, language }, notices, { version }) {
    const { heading, lines, tone } = textOfAll(notices, language, version);
    const head = `**<font color="${COLOURS[tone]}">${plain(heading)}</font>**`;
    const rest = fit(lines.map(plain), MAX_BYTES - Buffer.byteLength(head), '\n> '.length);
    const content = [head, ...rest].join('\n> ');
    return { url: new URL(url), payload: inJson({ msgtype: 'markdown', markdown: { content } }) };
  },
  faultIn: faultByCode('errcode'),
};
