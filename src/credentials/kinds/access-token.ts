import { fetchAccessToken, fetchStableAccessToken } from '../../wechat/calls/account.ts';
import { TOKEN_BUDGET, type AccountKind } from './kind.ts';

/** Calls a day that WeChat allows: developers.weixin.qq.com, getAccessToken and getStableAccessToken. */
const DAILY_CALLS = { classic: 2_000, stable: 500_000 } as const;

/**
 * The token of an account of our own. By `stable_token` several holders cannot hurt each other; the
 * classic call issues a new token each time, which ends the former one.
 */
export const accessToken: AccountKind = {
  name: 'access_token',
  of: 'account',
  singleUse: false,
  wanted: () => true,
  budget: (account) => ({ ...TOKEN_BUDGET, dailyCalls: DAILY_CALLS[account.accessToken] }),
  prepare({ api, record }, { appid, appsecret, accessToken: call }) {
    const mint =
      call === 'classic'
        ? () => fetchAccessToken(api, { appid, secret: appsecret })
        : // Only a person may end a stable token before its time: WeChat allows it 20 times a day.
          () => fetchStableAccessToken(api, { appid, secret: appsecret, force: record.forced });
    return Promise.resolve({ mint });
  },
};
