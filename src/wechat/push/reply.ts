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

export type ReplyMessage =
  | { type: 'text'; content: string }
  | { type: 'image' | 'voice'; media_id: string }
  | {
      type: 'video';
      media_id: string;
      title?: string | undefined;
      description?: string | undefined;
    }
  | {
      type: 'music';
      title?: string | undefined;
      description?: string | undefined;
      music_url?: string | undefined;
      hq_music_url?: string | undefined;
      thumb_media_id: string;
    }
  | {
      type: 'news';
      articles: readonly { title: string; description: string; pic_url: string; url: string }[];
    }
  /** The user is handed to customer service; with `kf_account` to this member of it. */
  | { type: 'transfer_customer_service'; kf_account?: string | undefined };

export interface ReplyEnds {
  /** The openid that wrote to us. */
  user: string;
  /** The account that was written to, `gh_…`. */
  account: string;
  /** Unix seconds. */
  createTime: number;
}

/** The elements of one document, nested or repeated. */
type Element = string | number | Elements;
interface Elements {
  [name: string]: Element | readonly Elements[] | undefined;
}

/** Without what WeChat could not read. */
export function cleanText(text: string): string {
  return text.replace(ILLEGAL, '');
}

/** A text to the user. */
export function textReply(reply: {
  to: string;
  from: string;
  createTime: number;
  content: string;
}): ReplyDocument {
  const { to: user, from: account, createTime, content } = reply;
  return replyDocument({ type: 'text', content }, { user, account, createTime });
}

export function replyDocument(
  message: ReplyMessage,
  { user, account, createTime }: ReplyEnds,
): ReplyDocument {
  const elements: Elements = {
    ToUserName: user,
    FromUserName: account,
    CreateTime: createTime,
    MsgType: message.type,
    ...contentOf(message),
  };
  return { xml: `<xml>${xmlOf(elements)}</xml>`, json: JSON.stringify(jsonOf(elements)) };
}

function contentOf(message: ReplyMessage): Elements {
  switch (message.type) {
    case 'text':
      return { Content: cleanText(message.content) };
    case 'image':
      return { Image: { MediaId: message.media_id } };
    case 'voice':
      return { Voice: { MediaId: message.media_id } };
    case 'video': {
      const { media_id: MediaId, title: Title, description: Description } = message;
      return { Video: { MediaId, Title, Description } };
    }
    case 'music':
      return {
        Music: {
          Title: message.title,
          Description: message.description,
          MusicUrl: message.music_url,
          HQMusicUrl: message.hq_music_url,
          ThumbMediaId: message.thumb_media_id,
        },
      };
    case 'news': {
      const item = message.articles.map((article) => ({
        Title: article.title,
        Description: article.description,
        PicUrl: article.pic_url,
        Url: article.url,
      }));
      return { ArticleCount: item.length, Articles: { item } };
    }
    case 'transfer_customer_service': {
      const { kf_account: KfAccount } = message;
      return KfAccount === undefined ? {} : { TransInfo: { KfAccount } };
    }
  }
}

function xmlOf(elements: Elements): string {
  return Object.entries(elements)
    .flatMap(([name, value]) => {
      if (value === undefined) return [];
      const all = Array.isArray(value) ? value : [value];
      return all.map((one) => `<${name}>${innerXml(one as Element)}</${name}>`);
    })
    .join('');
}

function innerXml(value: Element): string {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' ? cdata(value) : xmlOf(value);
}

/** Without what was left out. */
function jsonOf(elements: Elements): Elements {
  return JSON.parse(JSON.stringify(elements)) as Elements;
}

/** A CDATA section ends at the first `]]>`, so one inside the text is spread over two sections. */
function cdata(text: string): string {
  return `<![CDATA[${cleanText(text).replaceAll(']]>', ']]]]><![CDATA[>')}]]>`;
}
