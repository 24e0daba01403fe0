import type { Text } from '../lib/language.ts';
import type { ProxyFault } from '../lib/tunnel.ts';
import { explainErrcode, type ErrorClass } from './errcodes.ts';
import { PROXY_FAULTS, type Explanation } from './proxy-faults.ts';

/** A call that gave no usable answer: what is known of it, and the words for that. */

export type Fault =
  | 'errcode'
  | 'unreachable'
  | 'timeout'
  | 'http_status'
  | 'redirect'
  | 'bad_body'
  | 'bad_value'
  | ProxyFault;

/** Holds no secret: it is stored, logged and shown. */
export interface CallFailure {
  api: string;
  fault: Fault;
  class: ErrorClass;
  errcode?: number | undefined;
  /** WeChat's id of the request. */
  rid?: string | undefined;
  /** The addresses that WeChat saw: 61004 and 40164 name them, and they are what a person needs. */
  address?: string | undefined;
  /** The field of the answer that is empty or malformed. */
  field?: string | undefined;
  /** The fields of the answer that are not as WeChat documents them. */
  undocumented?: string | undefined;
  /** A person asked, so that nobody asks again by himself. */
  byHand?: boolean | undefined;
}

/** @param fault as it is stored: another version may know others */
export function isFault(fault: string): fault is Fault {
  return fault === 'errcode' || fault === 'bad_value' || Object.hasOwn(FAULTS, fault);
}

/** WeChat was not heard, or only something on the way to it. */
export const UNHEARD: readonly (string | undefined)[] = [
  'unreachable',
  'timeout',
  'http_status',
  ...Object.keys(PROXY_FAULTS),
];

/** What the words are made of: also of one that was stored. */
type KnownCall = Omit<CallFailure, 'class'> & { class: string };

const AGAIN: Text = { en: 'It is tried again.', zh: '会自动重试。' };
const LOOK_FOR_PROXY: Text = {
  en: 'It is tried again. If it stays, look for a proxy between this server and WeChat.',
  zh: '会自动重试。若持续出现，检查本机与微信之间是否有代理。',
};

const FAULTS: Readonly<Record<Exclude<Fault, 'errcode' | 'bad_value'>, Explanation>> = {
  ...PROXY_FAULTS,
  redirect: {
    meaning: { en: 'something answered with a redirect', zh: '收到了重定向' },
    advice: {
      en: 'A proxy stands between this server and WeChat: let it pass api.weixin.qq.com through.',
      zh: '本机与微信之间有代理：让它放行 api.weixin.qq.com。',
    },
  },
  http_status: {
    meaning: { en: 'WeChat answered with a server error', zh: '微信返回了服务器错误' },
    advice: AGAIN,
  },
  bad_body: {
    meaning: { en: 'the answer was not what WeChat documents', zh: '应答与微信文档不符' },
    advice: LOOK_FOR_PROXY,
  },
  timeout: { meaning: { en: 'no answer in time', zh: '超时未应答' }, advice: AGAIN },
  unreachable: {
    meaning: { en: 'no connection to WeChat', zh: '连接不上微信' },
    advice: {
      en: 'Check DNS, firewall and TLS between this server and WeChat.',
      zh: '检查本机到微信的 DNS、防火墙和 TLS。',
    },
  },
};

const TRY_AGAIN: Text = {
  en: 'Try again. If it stays, look for a proxy between this server and WeChat.',
  zh: '请再试一次。若持续出现，检查本机与微信之间是否有代理。',
};

/** What happened and what to do, without naming the call. */
export function explainCall(failure: KnownCall): Explanation {
  const { fault, byHand } = failure;
  if (fault === 'errcode') return explainRefusal(failure);
  if (fault === 'bad_value') return { meaning: meaningOfOddValue(failure), advice: LOOK_FOR_PROXY };
  if (fault === 'bad_body' && byHand === true) return { ...FAULTS[fault], advice: TRY_AGAIN };
  return FAULTS[fault];
}

function explainRefusal({ class: cls, errcode = 0, address }: KnownCall): Explanation {
  // Of the codes that mean one thing or another, only a wrong secret is a matter of settings.
  const { meaning, advice } = explainErrcode(errcode, cls === 'config');
  if (address === undefined) return { meaning, advice };
  return {
    meaning: { en: `${meaning.en} (${address})`, zh: `${meaning.zh}（${address}）` },
    advice,
  };
}

function meaningOfOddValue({ field, undocumented = '' }: KnownCall): Text {
  if (field === undefined) {
    return {
      en: `the answer is not what WeChat documents (${undocumented})`,
      zh: `应答与微信文档不符（${undocumented}）`,
    };
  }
  return {
    en: `${field} in the answer is empty or malformed`,
    zh: `应答里的 ${field} 为空或格式不对`,
  };
}

/** The same as one sentence that names the call. */
export function describeCall(failure: KnownCall): { message: Text; advice: Text } {
  const { api, fault, errcode } = failure;
  const { meaning, advice } = explainCall(failure);
  const message =
    errcode === undefined
      ? { en: `${api}: ${fault}: ${meaning.en}`, zh: `${api}：${meaning.zh}` }
      : {
          en: `${api}: errcode ${errcode}: ${meaning.en}`,
          zh: `${api}：错误码 ${errcode}，${meaning.zh}`,
        };
  return { message, advice };
}
