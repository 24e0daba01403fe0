import { explainError } from '../../credentials/error-words.ts';
import type { StoredError } from '../../store/credentials/stored-error.ts';
import { WechatError } from '../../wechat/client.ts';
import { explainCall, type CallFailure } from '../../wechat/failure.ts';
import { fetchQuota, type Quota } from '../../wechat/calls/operations.ts';
import { both, failed, ok, skipped, warn, type Check } from './check.ts';
import {
  configuredSubjects,
  storedToken,
  type Installation,
  type Subject,
} from './installation.ts';
import type { Text } from '../../lib/language.ts';

/**
 * Whether WeChat takes calls from this address, found out with a call that only reads: how much of a
 * quota is left. Issuing a token would prove it, too, and end the one that is in use.
 */

const NOT_LISTED = [61004, 40164, 40090];
const TOKEN_PATH = '/cgi-bin/component/api_component_token';

/**
 * @param wechatIsThere whether any of its hosts answers
 * @throws KeeperError `store_unavailable`
 */
export async function examineWhitelist(
  installation: Installation,
  wechatIsThere: boolean,
): Promise<Check[]> {
  const { components, accounts } = installation.config;
  if (installation.redisProblem !== undefined) {
    const why = both('Redis cannot be used, so there is no token', '无法使用 Redis，没有 token');
    return [...components, ...accounts].map(({ appid }) => skipped('whitelist', appid, why));
  }
  if (!wechatIsThere) {
    const why = both('WeChat cannot be reached', '无法连接微信');
    return [...components, ...accounts].map(({ appid }) => skipped('whitelist', appid, why));
  }
  const checks = configuredSubjects(installation).map((subject) =>
    subject.type === 'component'
      ? examineComponent(installation, subject)
      : examineAccount(installation, subject),
  );
  return (await Promise.all(checks)).flat();
}

async function examineComponent(installation: Installation, subject: Subject): Promise<Check[]> {
  const { appid } = subject;
  const stored = await storedToken(installation, subject);
  if (stored.token === undefined) {
    const known = lastRefusal(appid, stored.lastError);
    const why = both(
      'there is no live component_access_token to ask with',
      '没有可用的 component_access_token，无法查询',
    );
    return [known ?? skipped('whitelist', appid, why)];
  }
  try {
    const quota = await fetchQuota(installation.api, {
      accessToken: stored.token,
      path: TOKEN_PATH,
    });
    return [
      ok(
        'whitelist',
        appid,
        both('WeChat takes calls from this address', '微信接受来自本机出口 IP 的调用'),
      ),
      quotaCheck(appid, quota),
    ];
  } catch (error) {
    if (!(error instanceof WechatError)) throw error;
    return [refusalCheck(appid, error)];
  }
}

function refusalCheck(appid: string, { facts }: WechatError): Check {
  const { errcode } = facts;
  const said = explain(facts);
  if (errcode !== undefined && NOT_LISTED.includes(errcode)) {
    return failed('whitelist', appid, { code: 'address_not_whitelisted', subject: appid, ...said });
  }
  if (facts.class === 'token') return skipped('whitelist', appid, said.seen);
  return warn('whitelist', appid, said);
}

/** WeChat tells only when it issues a token; what it told the service last is remembered. */
async function examineAccount(installation: Installation, subject: Subject): Promise<Check[]> {
  const { appid } = subject;
  const stored = await storedToken(installation, subject);
  const why = both(
    'WeChat tells only when it issues a token, and the doctor has none issued',
    '只有签发 token 时微信才会检查，而体检不签发 token',
  );
  const known = stored.token === undefined ? lastRefusal(appid, stored.lastError) : undefined;
  return [known ?? skipped('whitelist', appid, why)];
}

function lastRefusal(appid: string, error: StoredError | undefined): Check | undefined {
  if (error?.errcode === undefined || !NOT_LISTED.includes(error.errcode)) return undefined;
  const [en, zh] = [explainError(error, 'en'), explainError(error, 'zh')];
  return failed('whitelist', appid, {
    code: 'address_not_whitelisted',
    subject: appid,
    seen: both(en.message, zh.message),
    advice: both(en.advice, zh.advice),
  });
}

/** What WeChat said, and what to do about it. */
export function explain(failure: CallFailure): { seen: Text; advice: Text } {
  const { meaning, advice } = explainCall(failure);
  const name = failure.errcode ?? failure.fault;
  return { seen: both(`${meaning.en} (${name})`, `${meaning.zh}（${name}）`), advice };
}

/** @param quota of the call that issues component_access_token */
export function quotaCheck(appid: string, { used, limit, remaining }: Quota): Check {
  const name = both(`${appid} quota`, `${appid} 额度`);
  const seen = both(
    `${used} of ${limit} calls for component_access_token were made today`,
    `今日已调用 component_access_token 接口 ${used} 次，上限 ${limit} 次`,
  );
  const advice = both(
    'Find out what asks so often: npm run doctor -- quota shows all calls, and can clear the counters.',
    '查明是谁在频繁调用：npm run doctor -- quota 列出所有接口的用量，也可以清零。',
  );
  const about = { subject: appid, seen, advice };
  if (remaining <= 0) return failed('wechat', name, { ...about, code: 'quota_exhausted' });
  if (used < limit / 2) return ok('wechat', name, seen);
  return warn('wechat', name, { ...about, code: 'quota_half_used' });
}
