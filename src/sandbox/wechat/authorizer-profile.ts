import { createHash } from 'node:crypto';
import type { AccountKind, Authorization } from './model.ts';

/** What api_get_authorizer_info tells about an account: made up from its appid, always the same. */

/** Permission sets by id. */
const FUNC_NAMES: Readonly<Record<number, string>> = {
  1: '消息管理权限',
  2: '用户管理权限',
  3: '帐号服务权限',
  4: '网页服务权限',
  6: '多客服权限',
  7: '群发与通知权限',
  11: '素材管理权限',
  15: '自定义菜单权限',
  17: '小程序帐号管理权限',
  18: '小程序开发管理与数据分析权限',
  19: '小程序客服消息管理权限',
  25: '开放平台帐号管理权限',
  30: '小程序基本信息管理权限',
  31: '小程序认证权限',
};

/** What an account grants when nothing else is said. */
export const FUNCS: Readonly<Record<AccountKind, readonly number[]>> = {
  official: [1, 2, 3, 4, 7, 11, 15],
  mini: [17, 18, 19, 25, 30, 31],
};

const TOWNS = ['杭州', '成都', '广州', '苏州', '西安', '长沙', '青岛', '昆明'];
const TRADES = ['茶叶', '书店', '花坊', '咖啡', '面馆', '陶艺', '旅行', '家具'];

export function funcInfo(funcs: readonly number[]): unknown {
  return funcs.map((id) => ({
    funcscope_category: {
      id,
      type: id < 17 ? 1 : 2,
      name: FUNC_NAMES[id] ?? `权限集 ${id}`,
      desc: FUNC_NAMES[id] ?? `权限集 ${id}`,
    },
  }));
}

export function nicknameOf(appid: string, { nickname }: Pick<Authorization, 'nickname'>): string {
  if (nickname !== undefined) return nickname;
  const [town = 0, trade = 0] = createHash('sha1').update(appid).digest();
  return `${TOWNS[town % TOWNS.length] ?? ''}${TRADES[trade % TRADES.length] ?? ''} ${appid.slice(-4)}`;
}

/** The original id: `gh_` and twelve hex digits. */
export function userNameOf(appid: string): string {
  return `gh_${createHash('sha1').update(appid).digest('hex').slice(0, 12)}`;
}

/** The `authorizer_info` of an account; that of a mini-program has a MiniProgramInfo. */
export function authorizerInfo(appid: string, authorization: Authorization): object {
  const name = nicknameOf(appid, authorization);
  return {
    nick_name: name,
    head_img: `https://wx.qlogo.cn/mmopen/${userNameOf(appid)}/0`,
    verify_type_info: { id: 0, name: '微信认证' },
    user_name: userNameOf(appid),
    qrcode_url: `https://mmbiz.qpic.cn/mmbiz_jpg/${userNameOf(appid)}/0`,
    business_info: { open_pay: 0, open_shake: 0, open_scan: 0, open_card: 0, open_store: 0 },
    principal_name: principalOf(name),
    signature: `${name}的介绍`,
    register_type: 0,
    account_status: 1,
    basic_config: { is_phone_configured: true, is_email_configured: true },
    ...(authorization.kind === 'mini' ? MINI_PROGRAM : officialAccount(appid)),
  };
}

/** The company behind an account, in the letters of its name. */
function principalOf(name: string): string {
  return /^[ -~]*$/.test(name) ? `${name} Co., Ltd.` : `${name.slice(0, 4)}有限公司`;
}

function officialAccount(appid: string): object {
  return { alias: `id_${appid.slice(-6)}`, service_type_info: { id: 2, name: '服务号' } };
}

const MINI_PROGRAM = {
  alias: '',
  service_type_info: { id: 0, name: '普通小程序' },
  MiniProgramInfo: {
    network: {
      RequestDomain: ['https://www.example.com'],
      WsRequestDomain: ['wss://www.example.com'],
      UploadDomain: ['https://www.example.com'],
      DownloadDomain: ['https://www.example.com'],
      UDPDomain: [],
      TCPDomain: [],
    },
    categories: [{ first: '生活服务', second: '综合生活服务平台' }],
    visit_status: 0,
  },
};
