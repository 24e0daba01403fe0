import type { Language, Text } from '../lib/language.ts';
import type { StoredError } from '../store/credentials/stored-error.ts';
import { describeCall, isFault } from '../wechat/failure.ts';

/** What went wrong and what to do about it, in words: of a call to WeChat, or of our own. */

interface OwnWords {
  message: Text;
  /** Undefined when it differs from case to case, and is kept with the error. */
  advice?: Text;
}

const OWN = {
  paused: {
    message: { en: 'the process was paused before the call', zh: '进程在调用之前停顿了' },
    advice: { en: 'Nothing to do: it is tried again.', zh: '无需处理：会自动重试。' },
  },
  unexpected: {
    message: { en: 'an unexpected fault inside wxkeeper', zh: 'wxkeeper 内部意外错误' },
    advice: {
      en: 'Look in the log for this moment and report it.',
      zh: '查看此刻的日志，并反馈给我们。',
    },
  },
  budget_spent: {
    message: {
      en: 'this credential was minted so often that wxkeeper has stopped for a while',
      zh: '该凭据获取得太频繁，wxkeeper 已暂停一段时间',
    },
    advice: {
      en: 'Look in its history and the log for who keeps asking; it goes on by itself.',
      zh: '在历史和日志里查是谁一直在要；之后会自动继续。',
    },
  },
  record_edited: {
    message: { en: 'the record was edited by hand', zh: '记录被人手工改动过' },
    advice: {
      en: 'Nothing to do: it is put aside and made anew within seconds.',
      zh: '无需处理：该记录会移到一边，几秒内重新生成。',
    },
  },
  codes_edited: {
    message: { en: 'the codes in Redis were edited by hand', zh: 'Redis 里的授权码被人手工改动过' },
  },
} as const satisfies Record<string, OwnWords>;

type OwnFault = keyof typeof OWN;

/** A fault that is not of a call to WeChat. @param advice where the table has none */
export function ownError<C extends string>(cls: C, fault: OwnFault, advice = '') {
  const { message, ...more }: OwnWords = OWN[fault];
  return { class: cls, fault, message: message.en, advice: more.advice?.en ?? advice };
}

/** @returns what is known only as a text as that text */
export function explainError(
  error: StoredError,
  language: Language,
): { message: string; advice: string } {
  const words = wordsOf(error);
  return {
    message: words?.message[language] ?? error.message,
    advice: words?.advice?.[language] ?? error.advice,
  };
}

/** @returns undefined when they would not say what is stored: another version has other words for it */
function wordsOf(error: StoredError): OwnWords | undefined {
  const { fault, api, message } = error;
  const words =
    fault !== undefined && api !== undefined && isFault(fault)
      ? describeCall({ ...error, fault, api })
      : // 0.1.0 has written nothing but the text.
        Object.values<OwnWords>(OWN).find((one) => one.message.en === message);
  return words?.message.en === message ? words : undefined;
}

/** Both in one text. */
export function sentenceOf({ message, advice }: { message: string; advice: string }): string {
  return `${message.replace(/\.$/, '')}. ${advice}`;
}

/** An error as the HTTP API shows it. */
export function describeError(error: StoredError, language: Language) {
  const { class: cls, errcode, rid } = error;
  return {
    class: cls,
    ...explainError(error, language),
    ...(errcode === undefined ? {} : { errcode }),
    ...(rid === undefined ? {} : { rid }),
  };
}
