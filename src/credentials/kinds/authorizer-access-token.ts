import { KeeperError } from '../../errors.ts';
import { awaitReauthorization } from '../../store/authorizations.ts';
import { fetchAuthorizerToken } from '../../wechat/authorizer.ts';
import { TOKEN_BUDGET, type AuthorizerKind } from './kind.ts';

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
  prepare({ api, record, parent }, { component, authorizer }) {
    const { refreshToken, revokedAt, reauthorizeAt } = record;
    if (revokedAt !== undefined) {
      const message = 'This account has ended its authorization.';
      return blocked(new KeeperError('authorizer_revoked', message));
    }
    if (reauthorizeAt !== undefined) {
      const message =
        'WeChat refuses the stored authorization: the account must authorize the platform again.';
      return blocked(new KeeperError('authorizer_revoked', message));
    }
    if (refreshToken === undefined) {
      return blocked(new KeeperError('not_found', 'This account has not authorized the platform.'));
    }
    const mint = () =>
      fetchAuthorizerToken(api, {
        componentAppid: component,
        componentAccessToken: parent,
        authorizerAppid: authorizer,
        refreshToken,
      });
    return Promise.resolve({ mint });
  },
  async afterRefusal({ store, id, record }, { facts }) {
    if (facts.class === 'reauthorize') await awaitReauthorization(store, id, record.authEpoch);
    return undefined;
  },
};

function blocked(error: KeeperError): Promise<{ blocked: KeeperError }> {
  return Promise.resolve({ blocked: error });
}
