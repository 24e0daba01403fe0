import { fit, plain, textOfAll } from '../message.ts';
import { faultByCode, inJson, type AlertKindRule } from './kind.ts';

/** Letters of the title, and bytes of the text (32 KB are allowed). */
const MAX_TITLE = 32;
const MAX_BYTES = 16_000;

/**
 * ServerChan, which brings messages to one person's WeChat; the key is in the address. It answers
 * `{"code":0}`. Source: sct.ftqq.com/sendkey
 */
export const serverchan: AlertKindRule = {
  batches: true,
  request({ url, language }, notices, { version }) {
    const { heading, lines } = textOfAll(notices, language, version);
    const letters = Array.from(heading);
    const long = letters.length > MAX_TITLE;
    const title = long ? `${letters.slice(0, MAX_TITLE - 1).join('')}…` : heading;
    const desp = fit([...(long ? [heading] : []), ...lines].map(plain), MAX_BYTES, '\n\n'.length);
    return { url: new URL(url), payload: inJson({ title, desp: desp.join('\n\n') }) };
  },
  faultIn: faultByCode('code'),
};
