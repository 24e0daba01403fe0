import { KeeperError } from '../../errors.ts';
import { readRecord } from '../../store/records.ts';
import { createPreAuthCode } from '../../wechat/component.ts';
import type { CredentialKind } from './kind.ts';

/** One code per visitor: being scanned already uses it up. One is kept ready for the next. */
export const preAuthCode: CredentialKind = {
  name: 'pre_auth_code',
  singleUse: true,
  needs: 'component_access_token',
  async prepare({ store, api, component, now }) {
    const token = await readRecord(store, {
      kind: 'component_access_token',
      subject: component.appid,
    });
    if (token.value === undefined || token.expiresAt <= now) {
      const message = 'There is no live component_access_token to ask for a pre_auth_code with.';
      return { blocked: new KeeperError('wechat_unavailable', message, { retryAfterSeconds: 10 }) };
    }
    const { value, seq } = token;
    return {
      mint: () => createPreAuthCode(api, { appid: component.appid, componentAccessToken: value }),
      uses: { kind: 'component_access_token', seq },
    };
  },
};
