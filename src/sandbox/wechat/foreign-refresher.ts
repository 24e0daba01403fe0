import { mintAccountToken } from './account-api.ts';
import { findAuthorization, mintAuthorizerToken } from './authorizers.ts';
import type { MintKind } from './ledger.ts';
import { mintComponentToken } from './component-api.ts';
import { componentOf } from './world.ts';
import type { World } from './model.ts';

/** Somebody else who knows our secrets. */

export const FOREIGN_KINDS = [
  'component_access_token',
  'access_token',
  'authorizer_access_token',
] as const;
export type ForeignKind = (typeof FOREIGN_KINDS)[number];

/**
 * Mints as another program would: a value of ours ends as by our own hand.
 * @param appid of an authorizer's token: `component:authorizer`
 * @throws RangeError when there is nobody of that name whose value it could be
 */
export function mintElsewhere(world: World, kind: ForeignKind, appid?: string): void {
  switch (kind) {
    case 'component_access_token':
      mintComponentToken(world, componentOf(world, appid), { foreign: true });
      break;
    case 'access_token': {
      const account = appid ?? firstOwner(world, kind);
      if (!world.accounts.has(account)) throw new RangeError(`no account ${account} here`);
      mintAccountToken(world, account, 'token', true);
      break;
    }
    case 'authorizer_access_token': {
      const [component = '', authorizer = ''] = (appid ?? '').split(':');
      if (findAuthorization(world, component, authorizer) === undefined) {
        throw new RangeError(`"${appid ?? ''}" has not authorized: name it component:authorizer`);
      }
      mintAuthorizerToken(world, component, authorizer, true);
      break;
    }
  }
}

/** Where an appid may be left out. */
export function firstOwner(world: World, kind: MintKind): string {
  const own = kind === 'access_token' || kind === 'jsapi_ticket' || kind === 'wx_card_ticket';
  const [account] = world.accounts.keys();
  return own && account !== undefined ? account : componentOf(world).appid;
}
