/**
 * Passive replies: what a message may be answered with inside the answer to its push. They are
 * encrypted with the component's appid, like the push itself (`OpenedEnvelope.seal`).
 * Source: developers.weixin.qq.com, Passive_user_reply_message and message_push.
 */

/** What XML 1.0 cannot carry, lone surrogates included: WeChat would refuse the whole document. */
const ILLEGAL = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu;

/** One reply in the two forms: an account has the one in which it is pushed. */
export interface ReplyDocument {
  xml: string;
  json: string;
}

/**
 * A text to the user.
 * @param reply.to the openid that wrote to us
 * @param reply.from the account that was written to, `gh_…`
 * @param reply.createTime Unix seconds
 */
export function textReply(reply: {
  to: string;
  from: string;
  createTime: number;
  content: string;
}): ReplyDocument {
  const { to, from, createTime } = reply;
  const content = reply.content.replace(ILLEGAL, '');
  return {
    xml:
      `<xml><ToUserName>${cdata(to)}</ToUserName>` +
      `<FromUserName>${cdata(from)}</FromUserName>` +
      `<CreateTime>${createTime}</CreateTime>` +
      `<MsgType>${cdata('text')}</MsgType>` +
      `<Content>${cdata(content)}</Content></xml>`,
    json: JSON.stringify({
      ToUserName: to,
      FromUserName: from,
      CreateTime: createTime,
      MsgType: 'text',
      Content: content,
    }),
  };
}

/** A CDATA section ends at the first `]]>`, so one inside the text is spread over two sections. */
function cdata(text: string): string {
  return `<![CDATA[${text.replace(ILLEGAL, '').replaceAll(']]>', ']]]]><![CDATA[>')}]]>`;
}
