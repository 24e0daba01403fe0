import type { PlatformCall } from '../wechat/calls/authorizer.ts';
import { WechatError } from '../wechat/client.ts';
import { readCredential, type ReadContext } from './read.ts';
import { noteInvalid } from './note-invalid.ts';

/**
 * Calls WeChat with a component's live token. When WeChat calls that token dead, it is renewed as after
 * any complaint, and the call is made once more, no more.
 * @throws WechatError; KeeperError as `readCredential` does when there is no live token
 */
export async function callAsComponent<T>(
  context: ReadContext,
  component: string,
  call: (platform: PlatformCall) => Promise<T>,
): Promise<T> {
  const id = { kind: 'component_access_token', subject: component } as const;
  const token = await readCredential(context, id);
  try {
    return await call({ componentAppid: component, componentAccessToken: token.value });
  } catch (error) {
    if (!(error instanceof WechatError) || error.facts.class !== 'token') throw error;
    const by = { call: error.facts.api };
    await noteInvalid(context, id, { seq: token.seq, by, ownDoing: false, quiet: true });
    await context.keeper.ensureFresh(id, 'refused');
    const renewed = await readCredential(context, id);
    if (renewed.seq === token.seq) throw error;
    return call({ componentAppid: component, componentAccessToken: renewed.value });
  }
}
