import { KeeperError } from '../../lib/errors.ts';
import {
  awaitReauthorization,
  replaceRefreshToken,
} from '../../store/authorizers/authorization.ts';
import { mergeAuthorizer } from '../../store/authorizers/profile.ts';
import { cannotDecrypt, readyEncryption } from '../../store/redis/encryption-keys.ts';
import { WechatError } from '../../wechat/client.ts';
import { fetchAuthorizerInfo, fetchAuthorizerToken } from '../../wechat/calls/authorizer.ts';
import { DEAD_REFRESH_TOKEN } from '../../wechat/errcodes.ts';
import { TOKEN_BUDGET, type AuthorizerKind, type KindContext } from './kind.ts';

/**
 * The token of an account that authorized a component, minted with the refresh token of the same
 * record. Each answer brings a refresh token, which replaces the stored one; an answer without one
 * changes nothing about it.
 */
export const authorizerAccessToken: AuthorizerKind = {
  name: 'authorizer_access_token',
  of: 'authorizer',
  singleUse: false,
  needs: 'component_access_token',
  budget: () => ({ ...TOKEN_BUDGET, dailyCalls: 0 }),
  async prepare({ store, api, record, parent }, { component, authorizer }) {
    const { refreshToken, unreadableRefreshToken, revokedAt, reauthorizeAt } = record;
    if (revokedAt !== undefined) {
      const message = 'This account has ended its authorization.';
      return { blocked: new KeeperError('authorizer_revoked', message) };
    }
    if (reauthorizeAt !== undefined) {
      const message =
        'WeChat refuses the stored authorization: the account must authorize the platform again.';
      return { blocked: new KeeperError('authorizer_revoked', message) };
    }
    if (unreadableRefreshToken !== undefined) {
      return {
        blocked: cannotDecrypt(store, `${component}:${authorizer}`, unreadableRefreshToken),
      };
    }
    if (refreshToken === undefined) {
      const message = 'This account has not authorized the platform.';
      return { blocked: new KeeperError('not_found', message) };
    }
    // Asked before the call: the refresh token that it brings must be storable.
    const problem = await readyEncryption(store);
    if (problem !== undefined) return { blocked: problem };
    const mint = () =>
      fetchAuthorizerToken(api, {
        componentAppid: component,
        componentAccessToken: parent,
        authorizerAppid: authorizer,
        refreshToken,
      });
    return { mint };
  },
  async afterRefusal(context, { facts }, { component, authorizer }) {
    if (facts.class !== 'reauthorize') return undefined;
    const { store, id, record } = context;
    if (DEAD_REFRESH_TOKEN.includes(facts.errcode)) {
      const named = await askForRefreshToken(context, component, authorizer);
      if (named === 'unknown') return 'try_soon';
      const other = named !== undefined && named !== record.refreshToken;
      if (other && (await replaceRefreshToken(store, id, named, record))) return 'try_again';
    }
    // Another refresh token has come while this one was tried.
    if (!(await awaitReauthorization(store, id, record))) return 'try_again';
    const stateAt = store.time.now();
    await mergeAuthorizer(store, component, authorizer, { state: 'reauthorize', stateAt });
    return undefined;
  },
};

/**
 * The refresh token that WeChat itself names for this account: ours may have been replaced by an answer
 * that never reached us. `unknown` when it could not be asked; the next refusal asks again.
 */
async function askForRefreshToken(
  { api, parent }: KindContext,
  component: string,
  authorizer: string,
): Promise<string | undefined> {
  const platform = { componentAppid: component, componentAccessToken: parent };
  try {
    const call = { ...platform, authorizerAppid: authorizer };
    const { refreshToken } = await fetchAuthorizerInfo(api, call);
    return refreshToken;
  } catch (error) {
    if (!(error instanceof WechatError)) throw error;
    return error.facts.class === 'reauthorize' ? undefined : 'unknown';
  }
}
