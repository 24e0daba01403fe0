import type { Language } from '../../../lib/language.ts';

/** Every sentence a merchant reads, in both languages. Merchants know accounts, not tokens. */

const EN = {
  startTitle: 'Authorize your WeChat account',
  startText:
    'The administrator of the official account or mini-program confirms the authorization in WeChat. WeChat shows there which permissions are asked for.',
  onlyAccount: (appid: string) => `This link is for the account ${appid} only.`,
  pcButton: 'Scan with WeChat on a computer',
  pcHint: 'Opens a page with a QR code for the administrator’s phone.',
  mobileButton: 'Authorize in WeChat on a phone',
  mobileHint: 'Works where this page is open inside WeChat on the phone.',
  openInWechat:
    'You are not inside WeChat. Send the address of this page to yourself in WeChat and open it there; only then the button below works.',
  lasts: (minutes: number, time: string) =>
    `The buttons work once, for ${minutes} minutes (until ${time}, Beijing time).`,
  startAgain: 'Start again',
  authorizedTitle: 'The account is authorized',
  authorizedText: (appid: string) => `Account ${appid} is connected. You can close this page.`,
  pendingTitle: 'Your authorization was received',
  pendingText:
    'It is being completed. This page looks again by itself every few seconds; nothing is lost if you close it.',
  reload: 'Look again now',
  expiredTitle: 'The authorization was not completed in time',
  expiredText: 'What WeChat confirmed has expired before it could be used. Please authorize again.',
  failedTitle: 'The authorization could not be completed yet',
  failedText:
    'WeChat did not accept it. Please tell whoever sent you the link: the reason is in their log, and something has to be mended first.',
  failedCode: (errcode: number) => `WeChat’s code: ${errcode}`,
  cancelledTitle: 'Nothing was authorized',
  cancelledText: 'WeChat sent you back without an authorization.',
  askAgain: 'The link has expired. Ask whoever sent it for a new one.',
  back: 'Back to the website',
  invalidTitle: 'This link does not work',
  invalidText:
    'The link is incomplete or was changed. Open it again as it was sent to you, or ask for a new one.',
  overTitle: 'This link has expired',
  overText: 'Ask whoever sent it for a new one.',
  notFoundTitle: 'There is no such page',
  notFoundText: 'Open the link again as it was sent to you.',
  methodTitle: 'This page can only be opened',
  methodText: 'Open the link again as it was sent to you.',
  damagedTitle: 'This address is damaged',
  damagedText: 'WeChat’s answer did not arrive whole. Open the link again and authorize once more.',
  tooManyTitle: 'Too many visits',
  tooManyText: 'This page was opened too often. Please try again in ten minutes.',
  laterTitle: 'Not possible right now',
  laterText: 'WeChat or this service cannot answer at the moment. Please try again in a minute.',
  notStoredTitle: 'Please reload this page',
  notStoredText:
    'Your authorization has arrived but could not be stored yet. Reload this page within ten minutes, and it is completed.',
  tryAgain: 'Try again',
  faultTitle: 'Something went wrong on our side',
  faultText: 'Please try again later, or tell whoever sent you the link.',
};

export type Wording = typeof EN;

const ZH: Wording = {
  startTitle: '授权您的微信账号',
  startText: '请由公众号或小程序的管理员在微信中确认授权，所需权限会在确认页面列出。',
  onlyAccount: (appid) => `此链接仅用于账号 ${appid}。`,
  pcButton: '在电脑上用微信扫码授权',
  pcHint: '将打开一个二维码页面，请管理员用手机微信扫描。',
  mobileButton: '在手机微信中授权',
  mobileHint: '请在手机微信里打开本页后使用。',
  openInWechat:
    '当前不在微信中。请把本页地址发到微信里（例如发给文件传输助手）再打开，下面的按钮才有效。',
  lasts: (minutes, time) => `按钮只能使用一次，${minutes} 分钟内有效（北京时间 ${time} 前）。`,
  startAgain: '重新开始',
  authorizedTitle: '授权成功',
  authorizedText: (appid) => `账号 ${appid} 已接入，可以关闭本页。`,
  pendingTitle: '已收到您的授权',
  pendingText: '正在完成授权。本页每隔几秒会自动刷新；关闭本页也不会丢失。',
  reload: '立即刷新',
  expiredTitle: '授权未能及时完成',
  expiredText: '微信的授权确认在使用之前已过期，请重新授权。',
  failedTitle: '授权暂未完成',
  failedText:
    '微信没有接受这次授权，需要先排除问题。请联系给您发送链接的一方，原因可在其服务日志中查到。',
  failedCode: (errcode) => `微信错误码：${errcode}`,
  cancelledTitle: '没有进行任何授权',
  cancelledText: '微信返回时没有带回授权。',
  askAgain: '链接已过期，请向发送方索取新的链接。',
  back: '返回网站',
  invalidTitle: '链接无效',
  invalidText: '链接不完整或被改动过。请按收到的原样打开，或索取新的链接。',
  overTitle: '链接已过期',
  overText: '请向发送方索取新的链接。',
  notFoundTitle: '页面不存在',
  notFoundText: '请按收到的原样重新打开链接。',
  methodTitle: '此页面只能打开浏览',
  methodText: '请按收到的原样重新打开链接。',
  damagedTitle: '地址不完整',
  damagedText: '微信返回的内容没有完整到达。请重新打开链接并再次授权。',
  tooManyTitle: '访问过于频繁',
  tooManyText: '本页打开次数过多，请十分钟后再试。',
  laterTitle: '暂时无法授权',
  laterText: '微信或本服务暂时没有响应，请一分钟后再试。',
  notStoredTitle: '请刷新本页',
  notStoredText: '已收到您的授权，但暂时未能保存。请在十分钟内刷新本页，授权即可完成。',
  tryAgain: '重试',
  faultTitle: '服务出错',
  faultText: '请稍后再试，或联系给您发送链接的一方。',
};

export const WORDING: Readonly<Record<Language, Wording>> = { en: EN, zh: ZH };
