import {
  callApi,
  COMPONENT,
  mintToken,
  OTHER_COMPONENT,
  startSimulator,
  type Setup,
} from './harness.ts';

export const AUTHORIZER = 'wx00000000000000b1';
export const MINI = 'wx00000000000000b2';

export type Json = Record<string, unknown>;

export interface Platform extends Setup {
  /** Calls as COMPONENT with a live token. */
  call(api: string, body?: object): Promise<Json>;
  /** The `authorization_info` of an exchange. */
  exchange(code: string): Promise<Json>;
  list(offset: unknown, count: unknown): Promise<Json>;
  isLive(value: unknown): boolean;
}

/** A started simulator of two platforms, called as the first of them. */
export async function startPlatform(options: object = {}): Promise<Platform> {
  const setup = await startSimulator({ components: [COMPONENT, OTHER_COMPONENT], ...options });
  const { simulator } = setup;
  const token = await mintToken(simulator);
  const call = async (api: string, body: object = {}) =>
    (
      await callApi(simulator, `${api}?component_access_token=${token}`, {
        component_appid: COMPONENT.appid,
        ...body,
      })
    ).json;
  return {
    ...setup,
    call,
    exchange: async (code) =>
      (await call('api_query_auth', { authorization_code: code }))['authorization_info'] as Json,
    list: (offset, count) => call('api_get_authorizer_list', { offset, count }),
    isLive: (value) => simulator.isLive('authorizer_access_token', String(value)),
  };
}
