import type { Language, Text } from '../../lib/language.ts';
import { noteQuotaCleared } from '../../credentials/quota.ts';
import { KeeperError } from '../../lib/errors.ts';
import { WechatError } from '../../wechat/client.ts';
import { explainCall } from '../../wechat/failure.ts';
import {
  clearAccountQuota,
  clearComponentQuota,
  fetchQuota,
} from '../../wechat/calls/operations.ts';
import { both } from './check.ts';
import { checkAppid, readFlags, readLanguage } from './flags.ts';
import {
  configuredSubjects,
  storedToken,
  subjectOf,
  type Installation,
  type Subject,
} from './installation.ts';
import { UsageError } from './usage.ts';
import { explain } from './whitelist.ts';

/** How much of WeChat's daily quotas is used, and the emergency exit when one is used up. */

export const HELP = `Shows how much of WeChat's daily quotas is used, for the calls that wxkeeper makes.

  npm run doctor -- quota [--appid APPID] [--path PATH] [--lang zh]
  npm run doctor -- quota --clear [--appid APPID]
  npm run doctor -- quota --clear --confirm APPID

  --appid APPID     of a platform, an account of your own, or one that authorized you. Without it all
                    platforms and own accounts
  --path PATH       another call, such as /cgi-bin/message/custom/send
  --clear           says what clearing would do; nothing is cleared without --confirm
  --confirm APPID   clears all counters of today of this appid. WeChat allows that ten times a month
  --lang zh         in Chinese
  --help            print this

The token for the question comes from Redis; none is issued. Clearing takes the AppSecret instead, so it
works, too, when no token can be had.`;

export interface QuotaFlags {
  appid: string | undefined;
  path: string | undefined;
  clear: boolean;
  confirm: string | undefined;
  language: Language;
}

interface Outcome {
  lines: string[];
  well: boolean;
}

/** @throws UsageError */
export function readQuotaFlags(args: readonly string[]): QuotaFlags {
  const text = { type: 'string' } as const;
  const clearing = { clear: { type: 'boolean' }, confirm: text } as const;
  const options = { appid: text, path: text, lang: text, ...clearing };
  const { appid, path, clear = false, confirm, lang } = readFlags(args, options).values;
  checkAppid('--appid', appid);
  checkAppid('--confirm', confirm);
  if (path !== undefined && !/^\/[\w/-]+$/.test(path)) {
    throw new UsageError(
      `--path is a path without host and query, such as /cgi-bin/token, not "${path}"`,
    );
  }
  if (confirm !== undefined && !clear) throw new UsageError('--confirm goes with --clear');
  if (path !== undefined && clear)
    throw new UsageError('--clear clears all calls: leave --path out');
  if (appid !== undefined && confirm !== undefined && appid !== confirm) {
    throw new UsageError('--confirm must repeat the --appid');
  }
  return { appid, path, clear, confirm, language: readLanguage(lang) };
}

/** @throws UsageError, KeeperError */
export async function quota(installation: Installation, flags: QuotaFlags): Promise<Outcome> {
  const { appid = flags.confirm } = flags;
  const subjects =
    appid === undefined ? configuredSubjects(installation) : [await subjectOf(installation, appid)];
  if (flags.clear) {
    const [subject, ...more] = subjects;
    if (subject === undefined || more.length > 0) {
      const names = subjects.map((one) => one.appid).join(', ');
      throw new UsageError(`Say with --appid whose counters are meant: ${names}`);
    }
    return flags.confirm === undefined
      ? announce(subject, flags.language)
      : clear(installation, subject, flags.language);
  }
  const tables: Outcome[] = [];
  for (const subject of subjects) tables.push(await table(installation, subject, flags));
  return { lines: tables.flatMap(({ lines }) => lines), well: tables.every(({ well }) => well) };
}

const COMPONENT_CALLS = [
  ...['api_component_token', 'api_create_preauthcode', 'api_authorizer_token', 'api_query_auth'],
  ...['api_get_authorizer_list', 'api_get_authorizer_info', 'api_start_push_ticket'],
].map((name) => `/cgi-bin/component/${name}`);

function callsOf(subject: Subject): string[] {
  switch (subject.type) {
    case 'component':
      return COMPONENT_CALLS;
    case 'account': {
      const { accessToken, tickets } = subject.account;
      const token = accessToken === 'stable' ? '/cgi-bin/stable_token' : '/cgi-bin/token';
      return tickets.length === 0 ? [token] : [token, '/cgi-bin/ticket/getticket'];
    }
    case 'authorizer':
      return ['/cgi-bin/message/custom/send'];
  }
}

async function table(
  installation: Installation,
  subject: Subject,
  flags: QuotaFlags,
): Promise<Outcome> {
  const { language, path } = flags;
  const stored = await storedToken(installation, subject);
  if (stored.token === undefined) {
    return { lines: [`${subject.appid}: ${NO_TOKEN[language]}`], well: false };
  }
  const paths = path === undefined ? callsOf(subject) : [path];
  const rows: Outcome[] = [];
  for (const one of paths) rows.push(await row(installation, stored.token, one, language));
  const titles = language === 'zh' ? ['已用', '上限', '剩余'] : ['used', 'limit', 'remaining'];
  return {
    lines: [line(subject.appid, titles), ...rows.flatMap(({ lines }) => lines)],
    well: rows.every(({ well }) => well),
  };
}

const NO_TOKEN = both(
  'there is no live token in Redis to ask with',
  'Redis 里没有可用的 token，无法查询',
);
const REFUSED: Readonly<Record<number, Text>> = {
  76003: both('not a path of an API', '不是接口路径'),
  76021: both('WeChat does not know this path', '微信不认识这个路径'),
  76022: both('not a call of this kind of account', '不是这类账号的接口'),
};

async function row(
  installation: Installation,
  accessToken: string,
  path: string,
  language: Language,
): Promise<Outcome> {
  try {
    const { used, limit, remaining } = await fetchQuota(installation.api, { accessToken, path });
    const text = line(`  ${path}`, [String(used), String(limit), String(remaining)]);
    if (remaining > 0) return { lines: [text], well: true };
    return { lines: [text, `    ${USED_UP[language]}`], well: false };
  } catch (error) {
    if (!(error instanceof WechatError)) throw error;
    const { errcode, fault } = error.facts;
    const known = errcode === undefined ? undefined : REFUSED[errcode];
    const said = known ?? explainCall(error.facts).meaning;
    return { lines: [`  ${path}  ${said[language]} (${errcode ?? fault})`], well: false };
  }
}

const USED_UP = both(
  'Used up until midnight in Beijing. --clear says how to go on before.',
  '已用完，北京时间零点恢复。用 --clear 查看如何提前恢复。',
);

const PATH_WIDTH = 52;
function line(first: string, cells: readonly string[]): string {
  return first.padEnd(PATH_WIDTH) + cells.map((cell) => cell.padStart(11)).join('');
}

function announce({ appid }: Subject, language: Language): Outcome {
  const command = `npm run doctor -- quota --clear --confirm ${appid}`;
  const text = both(
    `This would set all counters of today of ${appid} back to 0, of every call and whoever makes it.
WeChat allows it ten times a month and appid, and one of the ten is used up by it, even if nothing was
counted. It does not end what has used the quota up: find that first. Nothing was cleared yet.

  ${command}`,
    `这会把 ${appid} 今日所有接口的调用次数清零，不论由谁调用。
微信允许每个 appid 每月清零十次，即使没有用量也会占用一次。清零并不会消除用完额度的原因：请先查明。
现在还没有清零。

  ${command}`,
  );
  return { lines: text[language].split('\n'), well: false };
}

/** So that it does not go on waiting for what is there again. Clearing does not need it, and may not fail. */
async function tellService(
  installation: Installation,
  subject: Subject,
): Promise<Text | undefined> {
  // What an authorizer calls with its own token is not for wxkeeper.
  if (subject.type === 'authorizer') return undefined;
  try {
    if (installation.redisProblem !== undefined) return UNTOLD;
    await noteQuotaCleared(installation.store, installation.config, subject.appid);
    return both(
      'wxkeeper asks again within 15 seconds, or as soon as somebody wants a value.',
      'wxkeeper 会在 15 秒内再试；若有服务来取值则立即再试。',
    );
  } catch (error) {
    if (!(error instanceof KeeperError)) throw error;
    return UNTOLD;
  }
}

const UNTOLD = both(
  'Redis cannot be used, so wxkeeper does not know of it: it asks again within ten minutes.',
  '无法使用 Redis，wxkeeper 尚不知情：它会在十分钟内再试。',
);

async function clear(
  installation: Installation,
  subject: Subject,
  language: Language,
): Promise<Outcome> {
  const { appid } = subject;
  try {
    if (subject.type === 'account') await clearAccountQuota(installation.api, subject.account);
    else {
      const authorizerAppid = subject.type === 'authorizer' ? appid : undefined;
      await clearComponentQuota(installation.api, { ...subject.component, authorizerAppid });
    }
    const done = both(`The counters of ${appid} are back to 0.`, `${appid} 的调用次数已清零。`);
    const told = await tellService(installation, subject);
    return { lines: [done[language], ...(told === undefined ? [] : [told[language]])], well: true };
  } catch (error) {
    if (!(error instanceof WechatError)) throw error;
    const said = explain(error.facts);
    const none = both(
      'All ten clearings of this month are used (48006): the quota comes back at midnight in Beijing, the ' +
        'clearings with the next month.',
      '本月十次清零已用完（48006）：额度在北京时间零点恢复，清零次数下个月恢复。',
    );
    const more =
      error.facts.errcode === 48006
        ? none
        : both(`${said.seen.en}. ${said.advice.en}`, `${said.seen.zh}。${said.advice.zh}`);
    const words = both('WeChat did not clear it: ', '微信没有清零：');
    return { lines: [`${words[language]}${more[language]}`], well: false };
  }
}
