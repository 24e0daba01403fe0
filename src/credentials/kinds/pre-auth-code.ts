import { createPreAuthCode } from '../../wechat/calls/component.ts';
import type { ComponentKind } from './kind.ts';

/** One code per visitor: being scanned already uses it up. One is kept ready for the next. */
export const preAuthCode: ComponentKind = {
  name: 'pre_auth_code',
  of: 'component',
  singleUse: true,
  needs: 'component_access_token',
  // As many as there are visitors, within reason; half a life is a quarter of an hour.
  budget: () => ({ most: 1_000, spare: 30, dailyCalls: 0 }),
  prepare({ api, parent }, { appid }) {
    const mint = () => createPreAuthCode(api, { appid, componentAccessToken: parent });
    return Promise.resolve({ mint });
  },
};
