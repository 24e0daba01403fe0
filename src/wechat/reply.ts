/**
 * Passive replies: what a message may be answered with inside the answer to its push. They are
 * encrypted with the component's appid, like the push itself (`OpenedEnvelope.seal`).
 * Source: developers.weixin.qq.com, Passive_user_reply_message and message_push.
 */

/** What XML 1.0 cannot carry, lone surrogates included: WeChat would refuse the whole document. */
const ILLEGAL = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu;

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
}): string {
  return (
    `<xml><ToUserName>${cdata(reply.to)}</ToUserName>` +
    `<FromUserName>${cdata(reply.from)}</FromUserName>` +
    `<CreateTime>${reply.createTime}</CreateTime>` +
    `<MsgType>${cdata('text')}</MsgType>` +
    `<Content>${cdata(reply.content)}</Content></xml>`
  );
}

/** A CDATA section ends at the first `]]>`, so one inside the text is spread over two sections. */
function cdata(text: string): string {
  return `<![CDATA[${text.replace(ILLEGAL, '').replaceAll(']]>', ']]]]><![CDATA[>')}]]>`;
}
