import * as z from 'zod';
import { WechatError, type WechatApi } from '../client.ts';
import { integerIn, unwrapped } from '../answer.ts';
import { APPID } from '../../config/appid.ts';
import { isUsable, readTokenAnswer, type TokenAnswer } from '../token-answer.ts';

/**
 * The calls about accounts that authorized a platform.
 * Source: developers.weixin.qq.com, openApi/ticket-token (api_getauthorizerrefreshtoken,
 * api_getauthorizeraccesstoken), openApi/authorization-management (api_getauthorizerinfo, api_getauthorizerlist) and the customer
 * service message page.
 */

/** Seconds an authorizer_access_token lives by the documentation. */
export const AUTHORIZER_ACCESS_TOKEN_LIFE_SECONDS = 7200;
/** WeChat refuses longer pages of the list with 40170. */
export const LIST_PAGE = 500;
/** Bytes: 500 entries with long refresh tokens. */
const LIST_ANSWER_BYTES = 512 * 1024;

/** A platform and what it calls WeChat with. */
export interface PlatformCall {
  componentAppid: string;
  componentAccessToken: string;
}

/** What the exchange of an authorization code brings. */
export interface QueriedAuthorization {
  authorizerAppid: string;
  /** Absent when the account granted no permission that comes with a token. */
  token: TokenAnswer | undefined;
  refreshToken: string | undefined;
  /** Ids of the granted permission sets. */
  permissionSets: number[];
}

/** What WeChat tells about an account. Texts are the merchant's own: never trusted as markup. */
export interface AuthorizerProfile {
  type: 'official_account' | 'mini_program';
  nickName: string;
  /** WeChat's original id, `gh_…`. */
  userName: string;
  alias: string;
  principalName: string;
  signature: string;
  headImg: string;
  /** Ids as WeChat numbers them; undefined when it gave none. */
  serviceType: number | undefined;
  verifyType: number | undefined;
  /** 1 normal, 14 cancelled, 16 banned, 18 warned, 19 frozen. */
  accountStatus: number | undefined;
}

export interface AuthorizerInfo {
  profile: AuthorizerProfile;
  refreshToken: string | undefined;
  permissionSets: number[];
}

export interface ListedAuthorizer {
  authorizerAppid: string;
  /** Undefined when the account authorized and its code was never exchanged. */
  refreshToken: string | undefined;
  /** Epoch ms. */
  authorizedAt: number;
}

const text = z.string().catch('');
/** A number or its digits. Not coerced: nothing at all would become 0, which is "certified". */
const integer = z.unknown().transform((value, context) => {
  const number = integerIn(value);
  if (number !== undefined) return number;
  context.addIssue({ code: 'custom', message: 'not a whole number' });
  return z.NEVER;
});
const typeId = z
  .preprocess(unwrapped, z.object({ id: integer }))
  .transform(({ id }) => id)
  .optional()
  .catch(undefined);
const permissionSet = z.object({ funcscope_category: z.object({ id: integer }) });
const permissionSets = z
  .preprocess(
    unwrapped,
    z.array(permissionSet.transform((one) => one.funcscope_category.id).catch(0)),
  )
  .transform((ids) => ids.filter((id) => id > 0))
  .catch([]);

const authorizationInfo = z.object({
  authorizer_appid: z.string().regex(APPID),
  authorizer_access_token: z.unknown().optional(),
  expires_in: z.unknown().optional(),
  authorizer_refresh_token: z.unknown().optional(),
  func_info: permissionSets,
});

const authorizerInfo = z.object({
  nick_name: text,
  user_name: text,
  alias: text,
  principal_name: text,
  signature: text,
  head_img: text,
  service_type_info: typeId,
  verify_type_info: typeId,
  account_status: integer.optional().catch(undefined),
  MiniProgramInfo: z.unknown().optional(),
});

const listAnswer = z.object({
  total_count: integer.pipe(z.number().nonnegative()),
  // Of nobody there may be no list.
  list: z.preprocess((list) => unwrapped(list) ?? [], z.array(z.unknown())),
});
const listEntry = z.object({
  authorizer_appid: z.string().regex(APPID),
  refresh_token: z.unknown().optional(),
  auth_time: integer.pipe(z.number().positive()),
});

/**
 * Exchanges an authorization code, which works once. What the answer lacks is left out rather than
 * the whole thrown away: the code is used up.
 * @throws WechatError
 */
export async function queryAuth(
  api: WechatApi,
  { componentAppid, componentAccessToken, code }: PlatformCall & { code: string },
): Promise<QueriedAuthorization> {
  const name = 'api_query_auth';
  const answer = await api({
    name,
    path: '/cgi-bin/component/api_query_auth',
    query: { component_access_token: componentAccessToken },
    body: { component_appid: componentAppid, authorization_code: code },
    expects: 'authorization_info',
    issuesToken: false,
  });
  const info = shapedAnswer(name, authorizationInfo, answer.fields.authorization_info);
  const { authorizer_access_token: value, authorizer_refresh_token: refreshToken } = info;
  const minted = { ...answer, fields: info };
  const field = 'authorizer_access_token';
  return {
    authorizerAppid: info.authorizer_appid,
    token: isUsable(value)
      ? readTokenAnswer(name, minted, field, AUTHORIZER_ACCESS_TOKEN_LIFE_SECONDS)
      : undefined,
    refreshToken: usable(refreshToken),
    permissionSets: info.func_info,
  };
}

/**
 * The token of an authorizer. The answer brings a refresh token too, which replaces the one that was
 * sent; an unusable one is left out, because the access token must not be lost for it.
 * @throws WechatError
 */
export async function fetchAuthorizerToken(
  api: WechatApi,
  call: PlatformCall & { authorizerAppid: string; refreshToken: string },
): Promise<TokenAnswer & { refreshToken: string | undefined }> {
  const name = 'api_authorizer_token';
  const answer = await api({
    name,
    path: '/cgi-bin/component/api_authorizer_token',
    query: { component_access_token: call.componentAccessToken },
    body: {
      component_appid: call.componentAppid,
      authorizer_appid: call.authorizerAppid,
      authorizer_refresh_token: call.refreshToken,
    },
    expects: 'authorizer_access_token',
    issuesToken: false,
  });
  const field = 'authorizer_access_token';
  const minted = readTokenAnswer(name, answer, field, AUTHORIZER_ACCESS_TOKEN_LIFE_SECONDS);
  const { authorizer_refresh_token: refreshToken } = answer.fields;
  return { ...minted, refreshToken: usable(refreshToken) };
}

/** @throws WechatError; errcode 61003 when the account does not authorize this platform */
export async function fetchAuthorizerInfo(
  api: WechatApi,
  {
    componentAppid,
    componentAccessToken,
    authorizerAppid,
  }: PlatformCall & {
    authorizerAppid: string;
  },
): Promise<AuthorizerInfo> {
  const name = 'api_get_authorizer_info';
  const { fields } = await api({
    name,
    path: '/cgi-bin/component/api_get_authorizer_info',
    query: { component_access_token: componentAccessToken },
    body: { component_appid: componentAppid, authorizer_appid: authorizerAppid },
    expects: 'authorizer_info',
    issuesToken: false,
  });
  const raw = shapedAnswer(name, authorizerInfo, fields.authorizer_info);
  const authorization = authorizationInfo.safeParse(unwrapped(fields.authorization_info)).data;
  return {
    profile: {
      type: (raw.MiniProgramInfo ?? undefined) === undefined ? 'official_account' : 'mini_program',
      nickName: raw.nick_name,
      userName: raw.user_name,
      alias: raw.alias,
      principalName: raw.principal_name,
      signature: raw.signature,
      headImg: raw.head_img,
      serviceType: raw.service_type_info,
      verifyType: raw.verify_type_info,
      accountStatus: raw.account_status,
    },
    // Somebody else's token under this name would be worse than none.
    refreshToken:
      authorization?.authorizer_appid === authorizerAppid
        ? usable(authorization.authorizer_refresh_token)
        : undefined,
    permissionSets: authorization?.func_info ?? [],
  };
}

/**
 * One page of all accounts that authorize the platform: the official way to recover lost refresh
 * tokens. An entry that makes no sense is left out, so that the list is shorter than it says.
 * @param page `offset` from 0, `count` up to 500
 * @throws WechatError
 */
export async function listAuthorizers(
  api: WechatApi,
  { componentAppid, componentAccessToken }: PlatformCall,
  page: { offset: number; count: number },
): Promise<{ totalCount: number; list: ListedAuthorizer[] }> {
  const name = 'api_get_authorizer_list';
  const answer = await api({
    name,
    path: '/cgi-bin/component/api_get_authorizer_list',
    query: { component_access_token: componentAccessToken },
    body: { component_appid: componentAppid, ...page },
    expects: 'total_count',
    issuesToken: false,
    maxAnswerBytes: LIST_ANSWER_BYTES,
  });
  const { total_count: totalCount, list } = shapedAnswer(name, listAnswer, answer.fields);
  return {
    totalCount,
    list: list.flatMap((entry) => {
      const one = listEntry.safeParse(entry).data;
      if (one === undefined) return [];
      const { authorizer_appid: authorizerAppid, auth_time: authTime } = one;
      const refreshToken = usable(one.refresh_token);
      return [{ authorizerAppid, refreshToken, authorizedAt: authTime * 1000 }];
    }),
  };
}

/**
 * Sends a text to a user of an account, as customer service.
 * @param message `accessToken` is the authorizer's
 * @throws WechatError
 */
export async function sendCustomText(
  api: WechatApi,
  { accessToken, touser, content }: { accessToken: string; touser: string; content: string },
): Promise<void> {
  await api({
    name: 'custom/send',
    path: '/cgi-bin/message/custom/send',
    query: { access_token: accessToken },
    body: { touser, msgtype: 'text', text: { content } },
    issuesToken: false,
  });
}

function usable(value: unknown): string | undefined {
  return isUsable(value) ? value : undefined;
}

/** @throws WechatError `bad_value`: the call may have taken effect all the same */
function shapedAnswer<T>(api: string, schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(unwrapped(value));
  if (result.success) return result.data;
  const fields = result.error.issues.map((issue) => issue.path.join('.')).join(', ');
  throw new WechatError({
    api,
    host: '',
    fault: 'bad_value',
    class: 'retry',
    undocumented: fields || 'shape',
    mayHaveRun: true,
  });
}
