import type { Language, Text } from '../../lib/language.ts';
import { iso } from '../../lib/time-format.ts';
import { WechatError } from '../../wechat/client.ts';
import { explainErrcode } from '../../wechat/errcodes.ts';
import { fetchTrace, type TracedRequest } from '../../wechat/calls/operations.ts';
import { both } from './check.ts';
import { checkAppid, readFlags, readLanguage } from './flags.ts';
import { maskBody, maskUrl } from './mask.ts';
import {
  configuredSubjects,
  storedToken,
  subjectOf,
  type Installation,
  type Subject,
} from './installation.ts';
import { UsageError } from './usage.ts';
import { explain } from './whitelist.ts';

/** What was behind a rid, as WeChat remembers it. */

export const HELP = `Explains the request behind a rid, the number at the end of WeChat's error messages.

  npm run doctor -- trace RID [--appid APPID] [--lang zh]

  --appid APPID   whose request it was: a platform, an account of your own, or one that authorized you.
                  Without it all platforms and own accounts are asked in turn
  --lang zh       in Chinese
  --help          print this

WeChat remembers requests for seven days and tells only the account that made them. What is shown has
tokens, secrets and texts of users masked. The token for the question comes from Redis; none is issued.`;

export interface TraceFlags {
  rid: string;
  appid: string | undefined;
  language: Language;
}

const RID = /^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$/;
const REMEMBERED_MS = 7 * 86_400_000;

/** @throws UsageError */
export function readTraceFlags(args: readonly string[]): TraceFlags {
  const options = { appid: { type: 'string' }, lang: { type: 'string' } } as const;
  const { values, positionals } = readFlags(args, options, true);
  const [rid = '', ...more] = positionals;
  if (more.length > 0 || !RID.test(rid)) {
    throw new UsageError(
      `A rid looks like 5f0d1c2a-1b2c3d4e-5a6b7c8d, three times eight hex digits; this is none: "${positionals.join(' ')}"`,
    );
  }
  checkAppid('--appid', values.appid);
  return { rid, appid: values.appid, language: readLanguage(values.lang) };
}

/** @returns the lines, and whether the request was found @throws UsageError, KeeperError */
export async function trace(
  installation: Installation,
  { rid, appid, language }: TraceFlags,
): Promise<{ lines: string[]; well: boolean }> {
  const subjects =
    appid === undefined ? configuredSubjects(installation) : [await subjectOf(installation, appid)];
  const failures: string[] = [];
  for (const subject of subjects) {
    const stored = await storedToken(installation, subject);
    if (stored.token === undefined) {
      failures.push(`${subject.appid}: ${NO_TOKEN[language]}`);
      continue;
    }
    try {
      const traced = await fetchTrace(installation.api, { accessToken: stored.token, rid });
      return { lines: describe(subject, rid, traced, language), well: true };
    } catch (error) {
      if (!(error instanceof WechatError)) throw error;
      failures.push(`${subject.appid}: ${refusal(error, rid, installation.clock.now())[language]}`);
    }
  }
  return { lines: failures, well: false };
}

const NO_TOKEN = both(
  'there is no live token in Redis to ask with',
  'Redis 里没有可用的 token，无法查询',
);

function refusal({ facts }: WechatError, rid: string, now: number): Text {
  const { errcode } = facts;
  const madeAt = Number.parseInt(rid.slice(0, 8), 16) * 1000;
  const old = now - madeAt > REMEMBERED_MS;
  if (errcode === 76001 && old) {
    return both(
      `WeChat does not know this rid any more: it is of ${iso(madeAt)}, and only seven days are kept (76001).`,
      `微信已不记得这个 rid：它产生于 ${iso(madeAt)}，只保留七天（76001）。`,
    );
  }
  if (errcode === 76001) {
    return both(
      'WeChat knows no request of this rid; compare it with the log (76001).',
      '微信没有这个 rid 的请求；请与日志核对（76001）。',
    );
  }
  if (errcode === 76002)
    return both('WeChat takes this for no rid (76002).', '微信认为这不是 rid（76002）。');
  if (errcode === 76003) {
    return both(
      "it is another account's request: name that one with --appid (76003).",
      '这是其他账号的请求：用 --appid 指定该账号（76003）。',
    );
  }
  const said = explain(facts);
  return both(`${said.seen.en}. ${said.advice.en}`, `${said.seen.zh}。${said.advice.zh}`);
}

/** Calls in which 40001 means the AppSecret. */
const ISSUES_TOKEN =
  /\/(?:api_component_token|api_start_push_ticket|token|stable_token|clear_quota\/v2)$/;

function describe(
  subject: Subject,
  rid: string,
  traced: TracedRequest,
  language: Language,
): string[] {
  const words = LABELS[language];
  const { path, query } = maskUrl(traced.url);
  const lines = [
    `rid ${rid}, ${subject.appid}`,
    `  ${words.when}${iso(traced.invokedAt)}, ${traced.tookMs} ms`,
    `  ${words.from}${traced.clientIp}`,
    `  ${words.call}${path}${query}`,
    `  ${words.sent}${maskBody(traced.requestBody)}`,
    `  ${words.answered}${maskBody(traced.responseBody)}`,
  ];
  const errcode = /"errcode"\s*:\s*(-?\d+)/.exec(traced.responseBody)?.[1];
  if (errcode === undefined || errcode === '0') return [...lines, `  ${words.noError}`];
  const { meaning, advice } = explainErrcode(Number(errcode), ISSUES_TOKEN.test(path));
  return [
    ...lines,
    `  ${words.errcode}${errcode}: ${meaning[language]}`,
    `  ${words.advice}${advice[language]}`,
  ];
}

const LABELS = {
  en: {
    when: 'when      ',
    from: 'from      ',
    call: 'call      ',
    sent: 'sent      ',
    answered: 'answered  ',
    errcode: 'errcode   ',
    advice: 'What to do: ',
    noError: 'WeChat answered without an errcode: it did what was asked.',
  },
  zh: {
    when: '时间　',
    from: '来源　',
    call: '接口　',
    sent: '请求　',
    answered: '应答　',
    errcode: '错误码 ',
    advice: '怎么办：',
    noError: '微信的应答里没有错误码：请求已成功。',
  },
} as const;
