/**
 * What is stored about failures is English; here it is for people who read Chinese. Keyed by the
 * English text, so that a text that was changed shows up in English rather than with another meaning.
 */
const CHINESE: Readonly<Record<string, string>> = {
  // Of records.
  'the record was edited by hand': '记录被人手工改动过',
  'Nothing to do: it is put aside and made anew within seconds.':
    '无需处理：该记录会移到一边，几秒内重新生成。',
  'the codes in Redis were edited by hand': 'Redis 里的授权码被人手工改动过',

  // Meanings.
  'WeChat is busy': '微信系统繁忙',
  'system error at WeChat': '微信系统错误',
  'too many calls at the same moment': '同一时刻请求过多',
  'too many calls within a minute': '一分钟内调用太频繁',
  'the token is invalid or not the latest': 'token 无效或不是最新的',
  'the token is not a legal one': 'token 不合法',
  'the token has expired': 'token 已过期',
  'the component_verify_ticket has expired': '票据已过期',
  'the component_verify_ticket is invalid': '票据无效',
  'the appid is wrong': 'appid 错误',
  'the AppSecret is wrong': 'AppSecret 错误',
  'the AppSecret is missing': '缺少 AppSecret',
  'the AppSecret is frozen': 'AppSecret 已被冻结',
  'this address is not on the IP whitelist': '出口 IP 不在白名单里',
  "this address is not on the platform's IP whitelist": '出口 IP 不在平台的白名单里',
  'the call waits for confirmation': '调用等待管理员确认',
  'the confirmation is pending': '管理员尚未确认',
  'the confirmation was refused repeatedly': '管理员多次拒绝了这次调用',
  'the confirmation was refused': '管理员拒绝了这次调用',
  'a retired address of WeChat was used': '使用了微信已下线的 IP',
  'the component type is wrong': '第三方平台类型不对',
  'type or appid of the component differ': '第三方平台的类型与 appid 不符',
  'the component is invalid': '第三方平台无效',
  'the platform is not released': '平台未发布',
  'the platform must be released again': '平台需要重新发布',
  'the daily quota of this call is used up': '该接口当日额度已用完',
  'no quota clearing is left this month': '本月清零次数已用完',
  'this account has not authorized the platform': '该账号没有授权给平台',
  'the refresh token is invalid': 'refresh token 无效',
  'the refresh token has expired': 'refresh token 已过期',
  'the authorization code is invalid or was used': '授权码无效或已被使用',
  'the authorization code has expired': '授权码已过期',
  'the account changed its password': '该账号修改了密码',
  'this call is not granted': '没有该接口的权限',
  'this call is banned': '该接口已被封禁',
  'the user wrote too long ago to be answered': '用户太久没有发消息，不能再回复',
  'the user was answered too often': '对该用户的回复次数已达上限',
  'the user is restricted': '用户受限',
  'the permission set is not granted': '没有获得该权限集',
  'the grant_type is wrong': 'grant_type 错误',
  'a parameter is wrong': '参数错误',
  'the openid is wrong': 'openid 错误',
  'the text holds characters that WeChat refuses': '文本含有微信不接受的字符',
  'a page of the list is too long': '列表每页条数超限',
  'the access token is missing': '缺少 access token',
  'the appid is missing': '缺少 appid',
  'component_appid is missing': '缺少 component_appid',
  'GET was expected': '应使用 GET',
  'POST was expected': '应使用 POST',
  'https was expected': '应使用 https',
  'the body is empty': '请求体为空',
  'the body is not JSON': '请求体不是 JSON',
  'a request key is doubled': '请求参数重复',
  'the wrong kind of token was used': 'token 类型不对',
  'a component must use api_component_token': '第三方平台必须使用 api_component_token',
  'an answer that wxkeeper does not know': 'wxkeeper 不认识的应答',
  'something answered with a redirect': '收到了重定向',
  'WeChat answered with a server error': '微信返回了服务器错误',
  'the answer was not what WeChat documents': '应答与微信文档不符',
  'no answer in time': '超时未应答',
  'no connection to WeChat': '连接不上微信',
  'the process was paused before the call': '进程在调用之前停顿了',
  'an unexpected fault inside wxkeeper': 'wxkeeper 内部意外错误',
  'this credential was minted so often that wxkeeper has stopped for a while':
    '该凭据获取得太频繁，wxkeeper 已暂停一段时间',
  // What to do.
  'Nothing to do: it is tried again by itself.': '无需处理：会自动重试。',
  'Nothing to do: it is tried again.': '无需处理：会自动重试。',
  'Nothing to do.': '无需处理。',
  'It is tried again.': '会自动重试。',
  'Try again. If it stays, look for a proxy between this server and WeChat.':
    '请再试一次。若持续出现，检查本机与微信之间是否有代理。',
  'It is tried again. If it stays, look for a proxy between this server and WeChat.':
    '会自动重试。若持续出现，检查本机与微信之间是否有代理。',
  'It is refreshed by itself.': '会自动刷新。',
  'This is a fault of wxkeeper: please report it with the rid.':
    '这是 wxkeeper 的缺陷：请带上 rid 反馈给我们。',
  'Compare the configured AppSecret (COMPONENT_APPSECRET, or appsecret in CONFIG_FILE) with the console; after a reset the old one is void.':
    '与控制台核对配置的 AppSecret（COMPONENT_APPSECRET，或 CONFIG_FILE 中的 appsecret）；重置之后旧值作废。',
  'Compare the configured appid (COMPONENT_APPID, or appid in CONFIG_FILE) with the console, capitals included.':
    '与控制台核对配置的 appid（COMPONENT_APPID，或 CONFIG_FILE 中的 appid），注意大小写。',
  "Add this server's outgoing address to the IP whitelist in the console; a platform's whitelist takes effect with its next release.":
    '在控制台把本机出口 IP 加入白名单；第三方平台的白名单要在下次全网发布后才生效。',
  'The account must open the authorization page again; until then nothing is called for it.':
    '该账号须重新打开授权页；在此之前不会为它调用任何接口。',
  'The merchant must authorize again, or change the permission sets in the console of the account, which sends a fresh code.':
    '商家须重新授权；或在账号后台修改权限集，微信会推送新的授权码。',
  'The next ticket push heals this. If none arrives, check the authorization-event URL.':
    '下一次票据推送会自动修复。一直不来就检查授权事件接收 URL。',
  'Unfreeze it in the console.': '在控制台解冻。',
  'An administrator must confirm it.': '由管理员在微信中确认。',
  'Talk to the administrator.': '与管理员沟通。',
  'Use host names, not addresses.': '使用域名，不要写死 IP。',
  'Check COMPONENT_APPID.': '检查 COMPONENT_APPID。',
  'Check COMPONENT_APPID and its approval.': '检查 COMPONENT_APPID，确认平台已审核通过。',
  'Release it in the console.': '在控制台全网发布。',
  'It is tried again every 5 to 10 minutes, each hour while a live value is left, and just after midnight in Beijing. npm run doctor -- quota shows how much is used, and clears it, 10 times a month: POST /cgi-bin/component/clear_quota/v2 for a platform, POST /cgi-bin/clear_quota/v2 for an account, both with the AppSecret.':
    '每 5 到 10 分钟会再试一次（仍有可用的值时每小时一次），北京时间零点过后也会立即再试。npm run doctor -- quota 可查看用量，也可立即清零（每月 10 次）：平台用 POST /cgi-bin/component/clear_quota/v2，自有账号用 POST /cgi-bin/clear_quota/v2，都带上 AppSecret。',
  'Wait for the next day.': '等到第二天。',
  'Check the permission sets.': '检查权限集。',
  'See the console for the reason.': '到控制台查看原因。',
  'Use https in WECHAT_API_BASE_URLS.': 'WECHAT_API_BASE_URLS 请使用 https。',
  "Look the errcode up in WeChat's documentation.": '请在微信文档里查这个错误码。',
  'A proxy stands between this server and WeChat: let it pass api.weixin.qq.com through.':
    '本机与微信之间有代理：让它放行 api.weixin.qq.com。',
  'Check DNS, firewall and TLS between this server and WeChat.':
    '检查本机到微信的 DNS、防火墙和 TLS。',
  'Look in the log for this moment and report it.': '查看此刻的日志，并反馈给我们。',
  'Look in its history and the log for who keeps asking; it goes on by itself.':
    '在历史和日志里查是谁一直在要；之后会自动继续。',
};

const MALFORMED = /^(\w+) in the answer is empty or malformed$/;
const UNDOCUMENTED = /^the answer is not what WeChat documents \((.+)\)$/;
/** One address or several, IPv4 or IPv6: see `addressesIn`. */
const ADDRESS = /^(.*) \(([\da-f]*[.:][\da-f.:]+(?:, [\da-f.:]+)*)\)$/i;
const CALL = /^(\w+): (?:errcode (-?\d+)|\w+): (.*)$/;

/** @param text what happened, or what to do, as it is stored; unknown texts stay as they are */
export function inChinese(text: string): string {
  const [, api, errcode, meaning] = CALL.exec(text) ?? [];
  if (api !== undefined && meaning !== undefined) {
    const code = errcode === undefined ? '' : `错误码 ${errcode}，`;
    return `${api}：${code}${inChinese(meaning)}`;
  }
  const [, place, address] = ADDRESS.exec(text) ?? [];
  if (place !== undefined) return `${inChinese(place)}（${String(address)}）`;
  const [, field] = MALFORMED.exec(text) ?? [];
  if (field !== undefined) return `应答里的 ${field} 为空或格式不对`;
  const [, fields] = UNDOCUMENTED.exec(text) ?? [];
  if (fields !== undefined) return `应答与微信文档不符（${fields}）`;
  return (Object.hasOwn(CHINESE, text) ? CHINESE[text] : undefined) ?? text;
}
